"""How fast and in how much memory a file is scored, beside the bare model on the same file.

    python benchmarks/scoring.py [ROWS] [ROUNDS]

The peer is the fitted scikit-learn estimator itself, asked for chunk after chunk that pandas has read; its
predictions go to a file of the same kind, with nothing that names them. Ours proves nothing less than in
production: it checks every value against the signature, names every prediction, writes parts and the whole
file, syncs and signs its audit entry. The ratio is rows per second of ours by those of the peer, median of
interleaved rounds; limit: at least .8. Ours reads, predicts and writes at once, so a machine that is busy
otherwise holds it back more. Peak memory is that of the command in a process of its own, on ROWS and on ten
times as many; limit: at most 1.2 times.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.home import Home, settle_libraries
from mlops_assets.prediction_log.prediction_ids import PredictionIds
from mlops_assets.prediction_log.secret import secret_for
from mlops_assets.scoring.inputs import CHUNK_ROWS
from mlops_assets.scoring.job import Scorer
from mlops_assets.scoring.records import Records
from mlops_assets.serving.proven import ProvenVersions
from mlops_assets.specs.data_spec import Column
from mlops_assets.specs.policy_file import load_policy

_COLUMNS = [f"x{i}" for i in range(30)]
_TRAINED_ON = 20_000
# By the process itself: what its parent is told of it begins with the parent's own memory.
_AND_TELL_PEAK = """
from pathlib import Path
from mlops_assets.cli.main import main
try:
    main()
finally:
    status = Path("/proc/self/status").read_text()
    print(next(line for line in status.splitlines() if line.startswith("VmHWM")))
"""
_LEAST_RATIO = 0.8
_MOST_MEMORY = 1.2


def main(rows: int, rounds: int) -> None:
    settle_libraries()  # before scikit-learn is imported, which is when it counts
    import pyarrow.parquet as pq

    from mlops_assets_tests.fleets import Fleet

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        fleet = Fleet(Home(folder / "home"))
        files = {"parquet": folder / "rows.parquet", "csv": folder / "rows.csv"}
        write_rows(files["parquet"], rows)
        pq.ParquetFile(files["parquet"]).read_row_group(0).to_pandas().to_csv(files["csv"], index=False)
        for name, estimator in estimators().items():
            fleet.promote(name, fleet.add(trained(name, estimator)).version)
            for kind, file in files.items():
                compare(fleet, name, kind, file, rounds, folder)
        write_rows(folder / "more.parquet", 10 * rows)
        small, large = (peak_megabytes(fleet, folder / f"{n}.parquet", folder) for n in ("rows", "more"))
        said = f"peak memory {small:.0f} MB for {rows:,} rows, {large:.0f} MB for {10 * rows:,}"
        print(f"{said}; ratio {large / small:.2f}; limit {_MOST_MEMORY}")


def estimators() -> dict[str, Any]:
    from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    return {
        "boosting": HistGradientBoostingClassifier(max_iter=100),
        "forest": RandomForestClassifier(100, max_depth=10, n_jobs=-1),
        "linear": LogisticRegression(),
    }


def trained(name: str, estimator: Any) -> Any:
    import pandas as pd

    from mlops_assets_tests.fleets import Training

    random = np.random.default_rng(0)
    features = pd.DataFrame(random.normal(size=(_TRAINED_ON, len(_COLUMNS))), columns=_COLUMNS)
    score = features.x0 + features.x1 * features.x2 + random.normal(size=_TRAINED_ON)
    frame = features.assign(y=(score > 0).astype(int))
    return Training(
        name, "binary_classification", frame, tuple(Column(name=c) for c in _COLUMNS), "y", estimator
    )


def write_rows(file: Path, rows: int) -> None:
    """Write random rows, a row group at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(1)
    schema = pa.schema([(name, pa.float64()) for name in _COLUMNS])
    with pq.ParquetWriter(file, schema) as writer:
        for low in range(0, rows, 250_000):
            values = random.normal(size=(len(_COLUMNS), min(250_000, rows - low)))
            writer.write_table(pa.table(list(values), schema=schema))


def compare(fleet: Any, model: str, kind: str, file: Path, rounds: int, folder: Path) -> None:
    home = fleet.home
    audit = AuditChain(home.state_url, home.audit_checkpoints, lambda: fleet.signer)
    with tempfile.TemporaryDirectory() as private:
        versions = ProvenVersions(fleet.registry, fleet.signer.verifier, audit, load_policy, Path(private))
        proven = versions.load(model)
        estimator = proven.resident.package.estimator
        ids = PredictionIds(secret_for(home.root))
        scorer = Scorer(proven.resident, ids, deliver=Records(proven, audit).keep)
        ours, bare, why, count = [], [], "", 0
        for _ in range(rounds):
            started = time.perf_counter()
            count = bare_rows(estimator, kind, file, folder / f"bare.{kind}")
            bare.append(time.perf_counter() - started)
            started = time.perf_counter()
            why = scorer.score(file, folder / f"out.{kind}").plan.why
            ours.append(time.perf_counter() - started)
    rates = [count / statistics.median(seconds) for seconds in (ours, bare)]
    print(
        f"{model}, {kind}, {count:,} rows: {rates[0]:,.0f} rows/s, bare model {rates[1]:,.0f}; "
        f"ratio {rates[0] / rates[1]:.2f}; limit {_LEAST_RATIO}; {why}",
        flush=True,
    )


def bare_rows(estimator: Any, kind: str, file: Path, out: Path) -> int:
    import pandas as pd
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    count, schema = 0, pa.schema({"prediction": pa.float64()})
    if kind == "csv":
        chunks = pd.read_csv(file, chunksize=CHUNK_ROWS)
        writer = pc.CSVWriter(out, schema)
    else:
        chunks = (batch.to_pandas() for batch in pq.ParquetFile(file).iter_batches(CHUNK_ROWS))
        writer = pq.ParquetWriter(out, schema)
    with writer:
        for chunk in chunks:
            predicted = estimator.predict_proba(chunk)[:, 1]
            writer.write_table(pa.table([predicted], schema=schema))
            count += len(predicted)
    return count


def peak_megabytes(fleet: Any, file: Path, folder: Path) -> float:
    """Return the greatest memory that the command had resident."""
    arguments = ["score", "boosting", str(file), str(folder / "out.parquet"), "--form", "onnx"]
    environment = {**os.environ, "MLOPS_HOME": str(fleet.home.root)}
    command = [sys.executable, "-c", _AND_TELL_PEAK, *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return int(done.stdout.split()[-2]) / 1024


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000,
        int(sys.argv[2]) if len(sys.argv) > 2 else 3,
    )
