"""How long something takes."""

import statistics
import time
from collections.abc import Callable


def median_seconds(call: Callable[[], object], rounds: int) -> float:
    """Return the median wall time of some calls, after one that is not counted."""
    call()
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
