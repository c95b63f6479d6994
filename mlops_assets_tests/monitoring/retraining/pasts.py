"""Pasts of models that learn a mean, and trainers that remember what they were shown."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from mlops_assets.monitoring.retraining.history import History

Array = np.ndarray[Any, Any]
START = datetime(2024, 1, 1)
WEEK = timedelta(days=7)


def past(
    windows: int = 8,
    *,
    seed: int = 0,
    level: float = 0.0,
    delay_days: int = 1,
    model: str = "m",
    **given: Any,
) -> History:
    """Return weeks of eight rows a day, whose mean moves by ``level`` a week."""
    rows = windows * 7 * 8
    times = np.datetime64(START) + np.arange(rows) * np.timedelta64(3, "h")
    weeks = np.arange(rows) // (7 * 8)
    target = np.random.default_rng(seed).normal(level * weeks, 1.0)
    ticks = tuple(START + WEEK * (i + 1) for i in range(windows))
    known_at = times + np.timedelta64(delay_days, "D")
    return History(model, "rmse", target, times, known_at, ticks, **given)


@dataclass(frozen=True)
class Mean:
    """A version that expects the mean of what it has seen."""

    value: float
    seconds: float = 2.0

    def predict(self, rows: Array) -> Array:
        return np.full(len(rows), self.value)


@dataclass
class MeanTrainer:
    """Trains on the rows that it is given, and remembers the last of them."""

    target: Array
    shown: list[int] = field(default_factory=list)

    def train(self, rows: Array) -> Mean:
        self.shown.append(int(rows.max()))
        return Mean(float(self.target[rows].mean()))
