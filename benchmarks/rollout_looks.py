"""What a look at a rollout takes as the rollout grows: from scratch, and going on from the look before.

    python benchmarks/rollout_looks.py [ANSWERS ...]

A prediction log of so many answers (10 features, a quarter by the challenger, 1,000 a second) is written and
compacted. Then a rollout is looked at from scratch; a hundredth more is answered; and it is looked at again,
from scratch and from what the first look kept. Both tell the same to the last bit, or it stops.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from mlops_assets.prediction_log.compaction import compact
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import Answers
from mlops_assets.prediction_log.segment_writer import SegmentWriter
from mlops_assets.rollout.decision import Finding, findings
from mlops_assets.rollout.outcomes import Scale, guards
from mlops_assets.rollout.running_bounds import RunningBounds, Stand
from mlops_assets.specs.policy_file import load_policy

_BEGUN, _TRAFFIC, _PERCENT = datetime(2026, 1, 1), 7, 25
_RULES = load_policy().tiers["minimal"].rollout
_SCALE = Scale(
    "binary_classification", classes=(0, 1), slow_ms=3.0, edges=tuple(np.arange(1, 10) / 10), cost_ms=3.0
)
_COLUMNS = [f"feature_{place}" for place in range(10)]


def main() -> None:
    for count in [int(given) for given in sys.argv[1:]] or [20_000, 100_000, 500_000]:
        with tempfile.TemporaryDirectory() as folder:
            _measure(Path(folder) / "log", count)


def _measure(folder: Path, count: int) -> None:
    log = PredictionLog(folder)
    _write(folder, 0, count)
    compact(folder)
    first = _look(log, {})
    _write(folder, count, count // 100)
    scratch, going_on = _look(log, {}), _look(log, first.stands)
    if scratch.found != going_on.found:
        raise SystemExit("the look that goes on tells something else")
    print(
        f"{count:>9,} answers: from scratch {scratch.seconds:6.2f} s (the log {scratch.reading:5.2f}), "
        f"going on {going_on.seconds:6.2f} s (the log {going_on.reading:5.2f}): "
        f"{scratch.seconds / going_on.seconds:.1f} times as fast; the bounds alone "
        f"{scratch.betting / going_on.betting:.0f} times"
    )


@dataclass(frozen=True)
class _Looked:
    """What a look told and kept, and seconds of processor time: to read, for the outcomes, for the bounds."""

    found: list[Finding]
    stands: Mapping[str, Stand]
    reading: float
    comparing: float
    betting: float

    @property
    def seconds(self) -> float:
        return self.reading + self.comparing + self.betting


def _look(log: PredictionLog, stands: Mapping[str, Stand]) -> _Looked:
    later = _BEGUN + timedelta(days=1)
    answers, reading = _timed(lambda: log.rollout("m", "2", {_TRAFFIC: _PERCENT}, _BEGUN, later))
    compared, comparing = _timed(lambda: guards(answers, _SCALE, _RULES.guards, paired=False))
    bounds = RunningBounds(stands)
    found, betting = _timed(lambda: findings(compared, _RULES.alpha, _SCALE.guards, bounds))
    return _Looked(found, bounds.now, reading, comparing, betting)


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.process_time()
    done = work()
    return done, time.process_time() - started


def _write(folder: Path, start: int, count: int) -> None:
    generator = np.random.default_rng(start)
    recorder = Recorder(SegmentWriter(folder, f"from {start}", sync=lambda file: None), bytes(32))
    forms = {version: recorder.form("m", version, _COLUMNS) for version in ("1", "2")}
    challenger = generator.random(count) < _PERCENT / 100
    for place in range(count):
        at = microseconds(_BEGUN) + (start + place) * 1000
        recorder.answers(
            forms["2" if challenger[place] else "1"],
            Answers(
                base=f"{at:014x}",
                served_at=at,
                arm="challenger" if challenger[place] else "champion",
                caller="",
                latency_us=int(generator.lognormal(7, 0.5)),
                probe=False,
                event_times=None,
                inputs=generator.random((len(_COLUMNS), 1)).tolist(),
                outputs=generator.random(1).tolist(),
                traffic=_TRAFFIC,
            ),
        )
    recorder.close()


if __name__ == "__main__":
    main()
