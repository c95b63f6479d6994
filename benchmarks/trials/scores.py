"""What is counted of what judges name."""

from collections.abc import Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def onsets(named: Sequence[frozenset[str]], apart: int) -> int:
    """Return how often a column is named that was not in so many windows before."""
    last: dict[str, int] = {}
    found = 0
    for window, columns in enumerate(named):
        found += sum(window - last.get(column, -apart - 1) > apart for column in columns)
        last |= dict.fromkeys(columns, window)
    return found


def alarms(named: Sequence[frozenset[str]], apart: int) -> int:
    """Return how often any column is named and none was in so many windows before."""
    return onsets([frozenset({"any"}) if columns else frozenset() for columns in named], apart)


def with_error(counts: "Sequence[float] | Array") -> str:
    """Return a mean and twice its standard error."""
    values = np.asarray(counts, dtype=float)
    error = 2 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{values.mean():6.2f} ± {error:4.2f}"


def poisson(counts: "Sequence[int] | Array") -> tuple[float, float, float]:
    """Return a mean and its 95 % interval, as of Poisson's distribution (Garwood, 1936)."""
    from scipy.special import chdtri

    events, trials = int(np.sum(counts)), len(counts)
    low = chdtri(2 * events, 0.975) / 2 if events else 0.0
    return events / trials, low / trials, chdtri(2 * events + 2, 0.025) / 2 / trials
