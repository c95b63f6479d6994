"""Columns of many kinds, each a function of a standard normal: what shifts the normal shifts the column."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from mlops_assets.monitoring.profiles.categories import Categories
from mlops_assets.monitoring.profiles.column import (
    CategoricalProfile,
    ColumnProfile,
    Rows,
    of_numbers,
)

Array = np.ndarray[Any, Any]

_GRID = np.linspace(-8.5, 8.5, 20_001)
_SCORE_DIGITS = 1e-15


@dataclass(frozen=True)
class Kind:
    """A distribution.

    Attributes:
        name: What it is called.
        of: Values of standard normal numbers, ascending with them; of texts, their numbers from 0.
        texts: How many texts there are; 0 for numbers.
        added: Whether a shift is added to the values; else it is one of the normal numbers.
        deviation: Standard deviation of the values.
    """

    name: str
    of: Callable[[Array], Array]
    texts: int = 0
    added: bool = True
    deviation: float = 1.0

    def profile(self, values: Array) -> ColumnProfile:
        """Return the profile of values as ``of`` gives them; NaN are missing."""
        if not self.texts:
            return of_numbers(values)
        known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
        counts = np.bincount(known.astype(np.int64), minlength=self.texts)
        rows = Rows(all=len(values), missing=len(values) - len(known))
        texts = {f"text {number}": int(count) for number, count in enumerate(counts) if count}
        return CategoricalProfile(rows, Categories.of(texts))


def shifted(kind: Kind, normal: Array, deviations: float) -> Array:
    """Return values whose mean is greater by so many standard deviations.

    Counts and texts have none to add to: of these, the normal numbers behind them are greater.
    """
    if kind.added:
        return kind.of(normal) + deviations * kind.deviation
    return kind.of(normal + deviations)


def texts(shares: Sequence[float], name: str) -> Kind:
    """Return a column of texts with such shares."""
    from scipy.special import ndtri

    whole = np.array(shares) / np.sum(shares)
    edges = ndtri(np.clip(np.cumsum(whole)[:-1], _SCORE_DIGITS, 1 - _SCORE_DIGITS))
    return Kind(name, lambda normal: np.searchsorted(edges, normal), texts=len(whole), added=False)


def zipf(count: int, exponent: float = 1.0) -> Kind:
    """Return a column of so many texts, each rarer than the one before (Zipf's law)."""
    return texts(1 / np.arange(1, count + 1) ** exponent, f"{count} texts")


@cache
def kinds() -> dict[str, Kind]:
    """Return numeric kinds by name."""
    from scipy.special import ndtr, stdtrit
    from scipy.stats import poisson

    student = stdtrit(4, np.clip(ndtr(_GRID), 1e-17, 1 - 1e-16))
    counts = np.arange(40)
    count_edges = _scores(poisson.cdf(counts, 4.0))
    zeros = 0.6
    made = [
        Kind("normal", lambda normal: normal),
        Kind("lognormal", np.exp, deviation=float(np.sqrt((np.e - 1) * np.e))),
        Kind("exponential", lambda normal: -np.log(ndtr(-normal))),
        Kind("t4", lambda normal: np.interp(normal, _GRID, student), deviation=2**0.5),
        Kind("uniform", lambda normal: ndtr(normal), deviation=12**-0.5),
        Kind("counts", lambda normal: np.searchsorted(count_edges, normal).astype(float), added=False),
        Kind(
            "zero-inflated",
            lambda normal: -np.log(np.minimum(ndtr(-normal) / (1 - zeros), 1)) + 0.0,
            added=False,
        ),
        Kind("cauchy", lambda normal: np.tan(np.pi * (ndtr(normal) - 0.5))),
        Kind("lognormal 2", lambda normal: np.exp(2 * normal)),
        Kind("rounded", lambda normal: np.round(2 * normal) / 2, added=False),
    ]
    return {kind.name: kind for kind in made}


def _scores(shares: Array) -> Array:
    from scipy.special import ndtri

    return ndtri(np.clip(shares, _SCORE_DIGITS, 1 - _SCORE_DIGITS))


@cache
def hundred() -> tuple[Kind, ...]:
    """Return a hundred columns of mixed kinds."""
    numeric = ("normal", "lognormal", "exponential", "t4", "uniform", "counts", "zero-inflated")
    many = (25, 12, 12, 12, 12, 7, 5)
    found = [kinds()[name] for name, count in zip(numeric, many, strict=True) for _ in range(count)]
    return (*found, *(zipf(count) for count in (3, 4, 5, 6, 8, 8, 10, 12, 15, 20, 25, 30, 35, 40, 50)))


@cache
def twenty() -> tuple[Kind, ...]:
    """Return the columns of a usual model: sixteen of numbers, four of texts."""
    numeric = ("normal", "lognormal", "exponential", "t4", "uniform", "counts", "zero-inflated", "rounded")
    return (*(kinds()[name] for name in numeric * 2), *(zipf(count) for count in (3, 8, 20, 50)))
