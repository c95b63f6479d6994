"""What the road costs beside a plain script that loads, trains and evaluates the same flights.

    python benchmarks/lifecycle.py

The script does what a data scientist would do in a notebook: read, compute features, fit, and measure with
the same intervals and slices. The road adds the snapshot, six gates, the signed package in two forms,
MLflow, Dagster, and a promotion that is tried on a gateway. Medians of three, in three situations:

- first run: a whole process each, from an empty home: two databases are made and a gateway started;
- running platform: a whole process each, on a home that exists, with a gateway that runs;
- warm process: the same without the process's imports, as in a daemon that has made runs before.

What is added is the same few seconds however long the fit takes, so it is printed beside the ratio.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

from mlops_assets.gateway_process import running_gateway
from mlops_assets.home import Home

_PLAIN = """
import time
started = time.perf_counter()
from datetime import datetime, timedelta
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from mlops_assets.defs.flight_delay.features import compute
from mlops_assets.defs.flight_delay import source
from mlops_assets.evaluation.intervals import intervals
from mlops_assets.evaluation.slices import measure_slices

def work():
    source._flights.cache_clear()
    rows = source.load(datetime(2012, 4, 1), datetime(2013, 3, 31))
    features = compute(rows).astype("float32")
    older = rows["scheduled_at"] < rows["scheduled_at"].max() - timedelta(days=14)
    model = HistGradientBoostingClassifier(
        max_iter=200, learning_rate=0.06, early_stopping=False, random_state=0
    ).fit(features[older], rows.loc[older, "late"])
    held = rows[~older]
    predicted = model.predict_proba(features[~older])[:, 1]
    target = held["late"].to_numpy(dtype=float)
    days = held["scheduled_at"].dt.floor("D").to_numpy()
    found = intervals(("roc_auc", "brier", "log_loss", "accuracy"), target, predicted, days)
    measure_slices("roc_auc", held[["origin", "carrier"]], target, predicted, days)
    return found

work()
print(time.perf_counter() - started)
started = time.perf_counter()
work()
print(time.perf_counter() - started)
"""
_ROAD = """
import time
import os, sys, tempfile
from datetime import datetime
from mlops_assets.cli.execution import run_lifecycle
from mlops_assets.cli.instance import open_instance
from mlops_assets.cli.project import Project
from mlops_assets.gateway_process import running_gateway
from mlops_assets.home import Home
from mlops_assets.defs.flight_delay import source
from mlops_assets.resources import Platform
import mlops_assets
from pathlib import Path

def work():
    source._flights.cache_clear()
    home = Home.from_environment().prepare()
    project = Project.around(Path(mlops_assets.__file__).parent)
    spec = project.spec("flight_delay")
    outcome = run_lifecycle(
        project.definitions([spec]), open_instance(home), home, "flight_delay", as_of=datetime(2013, 4, 1)
    )
    assert outcome.success, outcome

for turn in ("imports", "measured"):
    os.environ["MLOPS_HOME"] = tempfile.mkdtemp(dir=os.environ["BENCHMARK"])
    for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        os.environ.pop(name, None)
    home = Home.from_environment().prepare()
    open_instance(home), Platform().registry.aliases()
    with running_gateway(home):
        started = time.perf_counter()
        work()
        print(time.perf_counter() - started)
"""
_RUN = ("-m", "mlops_assets.cli.main", "run", "flight_delay", "--as-of", "2013-04-01")


def _clean(folder: str) -> dict[str, str]:
    ours = ("MLOPS_", "DAGSTER_", "MLFLOW_")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | {"BENCHMARK": folder}


def _python(environment: dict[str, str], *arguments: str) -> tuple[float, str]:
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return time.perf_counter() - started, done.stdout


def _round() -> dict[str, tuple[float, float]]:
    """Return seconds of script and road, by situation."""
    with tempfile.TemporaryDirectory() as folder:
        environment = _clean(folder)
        plain, said = _python(environment, "-c", _PLAIN)
        plain_warm = float(said.split()[1])
        plain -= plain_warm  # the process has worked twice
        first, _ = _python(environment | {"MLOPS_HOME": f"{folder}/first"}, *_RUN)
        home = Home(Path(folder) / "second").prepare()
        in_home = environment | home.environment()
        _python(in_home, "-m", "mlops_assets.cli.main", "status")
        with mock.patch.dict(os.environ, in_home, clear=True), running_gateway(home):
            running, _ = _python(in_home, *_RUN)
        _, said = _python(environment, "-c", _ROAD)
        warm = float(said.split()[-1])
    return {
        "first run": (plain, first),
        "running platform": (plain, running),
        "warm process": (plain_warm, warm),
    }


def main() -> None:
    started = time.perf_counter()
    rounds = [_round() for _ in range(3)]
    print("                  script  lifecycle  ratio  added")
    for situation in rounds[0]:
        script, road = (statistics.median(r[situation][side] for r in rounds) for side in (0, 1))
        print(f"{situation:16} {script:6.1f} s {road:8.1f} s {road / script:6.2f} {road - script:5.1f} s")
    print(f"({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
