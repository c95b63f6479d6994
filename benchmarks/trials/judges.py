"""Who names columns: ours, and what else is in use. All see the same profiles."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np

from mlops_assets.monitoring.alarms.baseline import Baseline
from mlops_assets.monitoring.alarms.decision import alpha_of, movements
from mlops_assets.monitoring.distances import (
    chi_square,
    chi_square_of_fit,
    distances,
    exact_smirnov_p_value,
)
from mlops_assets.monitoring.profiles.column import ColumnProfile, NumericProfile
from mlops_assets.monitoring.profiles.profile import Profile
from mlops_assets.monitoring.windows import LENGTH, Period
from trials.streams import Windows

Array = np.ndarray[Any, Any]
# Returns the columns that are named in each of the later windows.
Judge = Callable[[Windows, Windows], list[frozenset[str]]]

_FEW_ROWS, _FEW_VALUES = 1000, 5
_EVIDENTLYS_P, _EVIDENTLYS_DISTANCE, _PSI = 0.05, 0.1, 0.2
_RATE = 0.05
REFERENCE = 14


def ours(period: Period, alpha: float | None = None, budget: float = 1.0) -> Judge:
    """Return our alarms, of such an alpha or such a budget of false ones a quarter.

    Nothing is too small to be named: least effects would only lessen false alarms.
    """

    def judge(history: Windows, later: Windows) -> list[frozenset[str]]:
        baseline = Baseline.of(period, history)
        figures = [baseline.figures(*window) for window in later]
        level = alpha_of(budget, period, models=1) if alpha is None else alpha
        return [
            frozenset(
                movement.column
                for movement in movements(baseline, period, figures[: number + 1], level, least_effect=0.0)
                if movement.alarm
            )
            for number in range(len(figures))
        ]

    return judge


def against(named: Callable[[Profile, Profile], frozenset[str]], reference: int = REFERENCE) -> Judge:
    """Return a judge that holds each window against the last windows of the history, taken together."""

    def judge(history: Windows, later: Windows) -> list[frozenset[str]]:
        whole = reduce(Profile.merge, [profile for _, profile in history[-reference:]])
        return [named(whole, profile) for _, profile in later]

    return judge


def evidently(reference: Profile, current: Profile) -> frozenset[str]:
    """Return what Evidently 0.7 calls drifted with its defaults.

    Up to 1,000 rows of reference: Kolmogorov-Smirnov or chi-square with p < .05. Of more: Wasserstein or
    Jensen-Shannon distance of at least .1 (evidently/legacy/calculations/stattests/registry.py).
    """
    return frozenset(name for name, *pair in _pairs(reference, current) if _evidently(*pair))


def _evidently(old: ColumnProfile, new: ColumnProfile) -> bool:
    numbers = isinstance(old, NumericProfile) and _values(old, new) > _FEW_VALUES
    if old.rows.all > _FEW_ROWS:
        found = distances(old, new)
        figure = found and (found.wasserstein if numbers else found.jensen_shannon)
        return bool(figure and figure.value >= _EVIDENTLYS_DISTANCE)
    if numbers:
        return _smirnov(old, new) < _EVIDENTLYS_P
    assert not isinstance(old, NumericProfile), "numbers of up to five values, which no stream here has"
    assert not isinstance(new, NumericProfile)
    return chi_square_of_fit(old.categories, new.categories).p_value < _EVIDENTLYS_P


def psi(reference: Profile, current: Profile) -> frozenset[str]:
    """Return columns with a population stability index above .2."""
    found = {name: distances(*pair) for name, *pair in _pairs(reference, current)}
    return frozenset(name for name, each in found.items() if each and each.psi.value > _PSI)


def tests(reference: Profile, current: Profile) -> frozenset[str]:
    """Return what Kolmogorov-Smirnov and chi-square tell, false discoveries held to 5 %."""
    return _discoveries(
        {
            name: _smirnov(*pair) if isinstance(pair[0], NumericProfile) else _homogeneity(*pair)
            for name, *pair in _pairs(reference, current)
        }
    )


def combination(reference: Profile, current: Profile) -> frozenset[str]:
    """Return what a Cauchy combination tells of Kolmogorov-Smirnov, chi-square of deciles and z of the mean."""
    found = {}
    for name, old, new in _pairs(reference, current):
        if not isinstance(old, NumericProfile) or not isinstance(new, NumericProfile):
            found[name] = _homogeneity(old, new)
            continue
        edges = np.unique(old.cells.quantiles(np.arange(1, 10) / 10))
        counts = [
            np.diff(side.cells.below(edges, side="right"), prepend=0, append=side.cells.total)
            for side in (old, new)
        ]
        parts = np.array([_smirnov(old, new), chi_square(*counts).p_value, _of_means(old, new)])
        found[name] = 0.5 - np.arctan(np.tan((0.5 - np.maximum(parts, 1e-15)) * np.pi).mean()) / np.pi
    return _discoveries(found)


def adwin(delta: float) -> Callable[[Sequence[Array]], list[int]]:
    ...
