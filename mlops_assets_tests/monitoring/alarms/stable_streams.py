"""Streams of windows in which nothing is wrong, until a test has something go wrong."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from mlops_assets.monitoring.alarms.baseline import Baseline
from mlops_assets.monitoring.alarms.decision import Movement, longest_span, movements
from mlops_assets.monitoring.profiles.categories import Categories
from mlops_assets.monitoring.profiles.column import (
    CategoricalProfile,
    ColumnProfile,
    Rows,
    of_numbers,
)
from mlops_assets.monitoring.profiles.profile import Profile
from mlops_assets.monitoring.windows import Period

Array = np.ndarray[Any, Any]
# The profile of values that standard normal numbers stand for.
Column = Callable[[Array], ColumnProfile]
Windows = list[tuple[datetime, Profile]]

MONDAY = datetime(2026, 1, 5)
# Normal numbers that part texts of which there are .4, .3, .2 and .1.
EDGES = np.array([-0.2533, 0.5244, 1.2816])


def numbers(normal: Array) -> ColumnProfile:
    return of_numbers(normal)


def skewed(normal: Array) -> ColumnProfile:
    return of_numbers(np.exp(normal))


def heavy(normal: Array) -> ColumnProfile:
    """A cubed exponential has outliers that no mean survives."""
    return of_numbers(np.sign(normal) * np.expm1(np.abs(normal) ** 2))


def counts(normal: Array) -> ColumnProfile:
    return of_numbers(np.maximum(np.round(2 * normal + 3), 0))


def texts(normal: Array) -> ColumnProfile:
    return of_texts(np.bincount(np.searchsorted(EDGES, normal), minlength=len(EDGES) + 1))


def of_texts(counted: Array, missing: int = 0) -> ColumnProfile:
    every = {"abcdefgh"[number]: int(count) for number, count in enumerate(counted) if count}
    return CategoricalProfile(Rows(all=int(sum(counted)) + missing, missing=missing), Categories.of(every))


SIX: Mapping[str, Column] = {
    "normal": numbers, "skewed": skewed, "heavy": heavy, "counts": counts, "texts": texts, "other": numbers,
}  # fmt: skip
Level = Callable[[np.random.Generator, int, int], Array]


def steady(_: np.random.Generator, windows: int, columns: int) -> Array:
    return np.zeros((windows, columns))


def autocorrelated(generator: np.random.Generator, windows: int, columns: int) -> Array:
    """AR(1) of correlation .5, and .2 standard deviations of a row."""
    fresh = generator.standard_normal((windows, columns))
    fresh[1:] *= 0.75**0.5
    for window in range(1, windows):
        fresh[window] += 0.5 * fresh[window - 1]
    return 0.2 * fresh


def weekly(generator: np.random.Generator, windows: int, columns: int) -> Array:
    return generator.normal(0, 0.3, (7, columns))[np.arange(windows) % 7]


def stream(
    seed: int,
    windows: int,
    columns: Mapping[str, Column] = SIX,
    level: Level = steady,
    rows: int = 500,
    length: timedelta = timedelta(days=1),
) -> Windows:
    """Return windows whose normal numbers are shifted by a level each."""
    generator = np.random.default_rng(seed)
    levels = level(generator, windows, len(columns))
    return [
        (
            MONDAY + number * length,
            Profile(
                {
                    name: of(generator.standard_normal(rows) + at)
                    for (name, of), at in zip(columns.items(), levels[number], strict=True)
                }
            ),
        )
        for number in range(windows)
    ]


def watched(
    history: Windows, later: Windows, alpha: float, least_effect: float = 0.0, period: Period = "day"
) -> list[list[Movement]]:
    """Return what is said after each of the later windows."""
    baseline = Baseline.of(period, history)
    figures = [baseline.figures(*window) for window in later]
    longest = longest_span(period)
    return [
        movements(baseline, period, figures[max(0, end - longest) : end], alpha, least_effect=least_effect)
        for end in range(1, len(figures) + 1)
    ]


def named(said: list[Movement]) -> set[str]:
    return {movement.column for movement in said if movement.alarm}
