"""What the road costs beside a plain script that loads, trains and evaluates the same flights.

    python benchmarks/lifecycle.py

Both are whole processes, from an empty home, the median of three. The script does what a data scientist
would do in a notebook: read, compute features, fit, and measure with the same intervals and slices. The
road adds the snapshot, six gates, the signed package in two forms, MLflow, Dagster, and a promotion that is
tried on a gateway. Then both again in a process that has imported everything, as a daemon's would.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

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
started = time.perf_counter()
import os, sys, tempfile
from datetime import datetime
from mlops_assets.cli.execution import run_lifecycle
from mlops_assets.cli.instance import open_instance
from mlops_assets.cli.project import Project
from mlops_assets.home import Home
from mlops_assets.defs.flight_delay import source
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

work()
print(time.perf_counter() - started)
os.environ["MLOPS_HOME"] = tempfile.mkdtemp(dir=os.environ["MLOPS_HOME"])
for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
    os.environ.pop(name, None)
started = time.perf_counter()
work()
print(time.perf_counter() - started)
"""


def _times(script: str) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as home:
        environment = {
            k: v for k, v in os.environ.items() if not k.startswith(("MLOPS_", "DAGSTER_", "MLFLOW_"))
        }
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script],
            env=environment | {"MLOPS_HOME": home},
            capture_output=True,
            text=True,
            check=True,
        )
    fresh, warm = map(float, done.stdout.split())
    return fresh, warm


def main() -> None:
    started = time.perf_counter()
    pairs = [(_times(_PLAIN), _times(_ROAD)) for _ in range(3)]
    for index, name in enumerate(("fresh process", "warm process")):
        plain = statistics.median(p[index] for p, _ in pairs)
        road = statistics.median(r[index] for _, r in pairs)
        print(f"{name}: plain script {plain:.1f} s, lifecycle {road:.1f} s, ratio {road / plain:.2f}")
    print(f"({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
