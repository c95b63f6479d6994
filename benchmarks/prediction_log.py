"""What the prediction log takes: to compact it, to find a prediction, to read a window column by column.

    python benchmarks/prediction_log.py [FOLDER]

200,000 rows of 20 numbers are written as gateways write them, one a request and a hundred a request, and
compacted. Then 100,000 rows of 100 numbers become one file. A prediction in it is found, and each column is
read through a window, which is held against ``pyarrow.parquet.read_table`` of all of them at once. All is
processor time, of what is read the best of five. The log lies in FOLDER, else where temporary files do.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.prediction_log.compaction import compact
from mlops_assets.prediction_log.input_columns import field_of
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import Answers
from mlops_assets.prediction_log.segment_writer import SegmentWriter

_BEGUN = datetime(2026, 1, 1)
_END = _BEGUN + timedelta(days=1)


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if sys.argv[1:] else None) as folder:
        for rows in (1, 100):
            log = Path(folder) / f"of {rows}"
            _write(log, 200_000, 20, rows)
            took = _seconds(lambda log=log: compact(log), 1)
            size = sum(file.stat().st_size for file in log.glob("parquet/*/*/*")) / 200_000
            print(
                f"compacted at {rows:>3} rows a request: {200_000 / took:>7,.0f} rows/s, {size:.0f} B a row"
            )
        _write(Path(folder) / "wide", 100_000, 100, 100)
        _read(Path(folder) / "wide")


def _read(folder: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    compact(folder, batch_bytes=2**40)
    (file,) = folder.glob("parquet/*/*/*")
    log = PredictionLog(folder)
    with log.served("m", _BEGUN, _END) as served:
        fields = [field_of(column) for column in served.columns]
        plainly = _seconds(lambda: pq.read_table(file, columns=fields, partitioning=None))
        each = _seconds(lambda: [0 for column in served.columns for _ in served.values(column)])
        held = pa.total_allocated_bytes()
        most = max(pa.total_allocated_bytes() for column in served.columns for _ in served.values(column))
        ids = [i for batch in served.base(["prediction_id"]) for i in batch["prediction_id"].to_pylist()]
    opened = _seconds(lambda: log.served("m", _BEGUN, _END).__enter__())
    print(f"window: opened in {opened * 1e3:.0f} ms, all columns one by one {each * 1e3:.0f} ms, ", end="")
    print(f"Parquet alone {plainly * 1e3:.0f} ms; memory {(most - held) / 2**20:.1f} MiB")
    print(f"a prediction is found in {_seconds(lambda: log.find(ids[len(ids) // 2])) * 1e3:.0f} ms")


def _seconds(work: Callable[[], Any], times: int = 5) -> float:
    """Return the processor time that work takes, the least of some times."""
    took = []
    for _ in range(times):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return min(took)


def _write(folder: Path, count: int, columns: int, rows: int) -> None:
    generator = np.random.default_rng(0)
    recorder = Recorder(SegmentWriter(folder, "benchmark", sync=lambda file: None), bytes(32))
    form = recorder.form("m", "1", [f"feature_{place}" for place in range(columns)])
    for place in range(0, count, rows):
        at = microseconds(_BEGUN) + place * 500
        values = [
            *generator.random((columns - 4, rows)).tolist(),
            *generator.integers(0, 100, (4, rows)).tolist(),
        ]
        recorder.answers(
            form,
            Answers(
                base=f"{at:014x}", served_at=at, arm="champion", caller="someone",
                latency_us=int(generator.lognormal(7, 0.5)), probe=False, event_times=None, inputs=values,
                outputs=generator.random(rows).tolist(),
            ),
        )  # fmt: skip
    recorder.close()


if __name__ == "__main__":
    main()
