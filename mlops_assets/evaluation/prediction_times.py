"""How long single predictions take, by the clock on the wall and by the processor's."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from mlops_assets.training.package import PackagedModel

_WARM_UP, _CALLS, _ROUNDS = 10, 100, 3
# A model that is far too slow is not asked for minutes to tell so.
_FEWEST, _ROUND_SECONDS = 20, 3.0


@dataclass(frozen=True)
class PredictionTimes:
    """What one row's prediction takes, in seconds.

    What else runs on the machine makes a round of calls slower and never faster, so of several rounds the
    quietest counts: this is about the model and not about its neighbours.

    Attributes:
        p50: Median by the clock on the wall.
        p99: 99th percentile; the slowest where there was no time for a hundred calls.
        processor: Mean processor time, of all threads together.
        calls: Calls of the shortest round.
    """

    p50: float
    p99: float
    processor: float
    calls: int


def time_predictions(package: "PackagedModel", rows: "pd.DataFrame") -> PredictionTimes:
    """Time predictions of single rows, a spread of those given, on the runtime that serves."""
    step = max(1, len(rows) // _CALLS)
    single = [rows.iloc[[i]] for i in range(0, len(rows), step)][:_CALLS]
    list(_round(package, single, _WARM_UP))
    rounds = [list(_round(package, single, _CALLS)) for _ in range(_ROUNDS)]
    by_wall = [sorted(wall for wall, _ in calls) for calls in rounds]
    return PredictionTimes(
        p50=min(_quantile(walls, 0.5) for walls in by_wall),
        p99=min(_quantile(walls, 0.99) for walls in by_wall),
        processor=min(sum(used for _, used in calls) / len(calls) for calls in rounds),
        calls=min(map(len, rounds)),
    )


def _round(package: "PackagedModel", rows: "list[pd.DataFrame]", calls: int) -> Iterator[tuple[float, float]]:
    """Yield the seconds of each call, on the wall and of the processor."""
    until = time.perf_counter() + _ROUND_SECONDS
    for number in range(calls):
        wall, used = time.perf_counter(), time.process_time()
        if number >= _FEWEST and wall > until:
            return
        package.predict(rows[number % len(rows)])
        yield time.perf_counter() - wall, time.process_time() - used


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
