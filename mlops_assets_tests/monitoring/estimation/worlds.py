"""Rows whose labels are thrown with known chances, days that are good and bad, and outputs that are off."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Rows:
    outputs: Array
    labels: Array
    days: Array

    @property
    def per_day(self) -> Array:
        return np.unique(self.days, return_counts=True)[1]


def chance(score: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-score)))


def binary_rows(
    generator: np.random.Generator,
    count: int,
    *,
    days: int = 20,
    level: float = -1.0,
    sureness: float = 1.0,
    moods: float = 0.0,
    concept: float = 1.0,
) -> Rows:
    """Return rows of a classifier.

    Args:
        generator: Throws them.
        count: How many.
        days: How many days they are spread over.
        level: Mean of the true score; what changes with it is which rows are served.
        sureness: How many times too large the score is that outputs are made of.
        moods: Spread of a score that all rows of a day share and outputs do not know of.
        concept: What labels follow: the score times this.
    """
    score = generator.normal(level, 1.5, count)
    day = generator.integers(0, days, count)
    true = chance(concept * score + generator.normal(0, moods, days)[day])
    return Rows(chance(sureness * score), (generator.random(count) < true).astype(float), day)
