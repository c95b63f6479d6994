"""How soon a gateway serves after its start, and what memory it takes.

    python benchmarks/gateway_start.py [MODELS [STARTS]]

Small models of numbers (gradient boosting, 50 trees, ten features) in a registry in SQLite. The first start
has to fetch and prove all of them from there; the later ones go on from what was kept. A start is timed from
the process's beginning until every model has answered once. Memory is what the process takes for itself (PSS)
after that. Beside it stands a process that imports MLflow's client and does nothing: the least that a gateway
takes that reads its registry with it. Limits: ready within 1.5 s, at most 100 MB for ten models.
"""

import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

READY_SECONDS, MOST_MB = 1.5, 100.0
_MLFLOW = "import mlflow; mlflow.MlflowClient(); print('ready', flush=True); input()"


@dataclass(frozen=True)
class Start:
    """What a start took.

    Attributes:
        ready: Seconds until all models had answered.
        cpu: Seconds of processor time until then.
        memory: MB the process takes for itself.
    """

    ready: float
    cpu: float
    memory: float

    @classmethod
    def of(cls, process: "subprocess.Popen[str]", began: float) -> "Start":
        """Return what a process took so far that began then."""
        ready = time.perf_counter() - began
        said = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        ticks = int(fields[11]) + int(fields[12])
        found = re.search(r"^Pss:\s+(\d+)", said, re.MULTILINE)
        assert found is not None
        return cls(ready, ticks / os.sysconf("SC_CLK_TCK"), int(found[1]) / 1024)


def make_fleet(root: Path, models: int) -> None:
    """Register small models and make each a champion."""
    from sklearn.ensemble import GradientBoostingRegressor

    from mlops_assets.home import Home
    from mlops_assets_tests.fleets import Fleet, diabetes

    fleet = Fleet(Home(root))
    for number in range(models):
        estimator = GradientBoostingRegressor(n_estimators=50, random_state=number)
        training = replace(diabetes(), model=f"model_{number}", estimator=estimator)
        fleet.promote(training.model, fleet.add(training).version)


def start_gateway(root: Path, models: int, *options: str) -> Start:
    """Start a gateway with further options, ask every model once, and stop it."""
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", "mlops_assets.serving", "--port", "0", *options],
        env=os.environ | {"MLOPS_HOME": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with closing(http.client.HTTPConnection(urlsplit(url).netloc)) as connection:
            for number in range(models):
                _ask(connection, f"model_{number}")
        start = Start.of(process, began)
        process.terminate()
    return start


def _ask(connection: http.client.HTTPConnection, model: str) -> None:
    row = json.dumps({"instances": [[0.01] * 10]})
    connection.request("POST", f"/models/{model}/invocations", row, {"content-type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200, f"{model} answered {answer.status}"


def import_mlflow(root: Path) -> Start:
    """Start a process that has MLflow's client on a home's registry and does nothing."""
    began = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", _MLFLOW],
        env=os.environ | {"MLFLOW_TRACKING_URI": f"sqlite:///{root / 'mlflow.db'}"},
        cwd=root,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        start = Start.of(process, began)
        process.kill()
    return start


def told(name: str, starts: list[Start]) -> Start:
    """Print the median of some starts, and return it."""
    median = Start(
        *(statistics.median(getattr(s, part) for s in starts) for part in ("ready", "cpu", "memory"))
    )
    print(
        f"{name:34} {median.ready:6.2f} s   {median.cpu:6.2f} s of processor time   {median.memory:6.1f} MB"
    )
    return median


def main() -> None:
    """Measure and print; exit with 1 if a limit is not kept."""
    models = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    starts = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_fleet(root, models)
        print(f"{models} models, median of {starts}")
        told("from the registry, the first time", [start_gateway(root, models)])
        again = told("from what was kept", [start_gateway(root, models) for _ in range(starts)])
        told("MLflow's client alone", [import_mlflow(root) for _ in range(starts)])
    print(f"ready: {again.ready / READY_SECONDS:.2f} of {READY_SECONDS} s")
    print(f"memory: {again.memory / MOST_MB:.2f} of {MOST_MB:.0f} MB")
    sys.exit(again.ready > READY_SECONDS or again.memory > MOST_MB)


if __name__ == "__main__":
    main()
