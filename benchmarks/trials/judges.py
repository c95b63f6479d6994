"""Who names columns: ours, and what else is in use. All see the same profiles."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import reduce
from typing import Any

import numpy as np

from mlops_assets.monitoring.alarms.baseline import Baseline, Figures
from mlops_assets.monitoring.alarms.decision import alpha_of, longest_span, movements
from mlops_assets.monitoring.distances import (
    chi_square,
    chi_square_of_fit,
    distances,
    scipy_smirnov_p_value,
)
from mlops_assets.monitoring.profiles.categories import Categories
from mlops_assets.monitoring.profiles.column import (
    CategoricalProfile,
    ColumnProfile,
    NumericProfile,
)
from mlops_assets.monitoring.profiles.profile import Profile
from mlops_assets.monitoring.windows import Period
from trials.streams import Windows

Array = np.ndarray[Any, Any]
# Names columns, when the last of some windows is over.
Watch = Callable[[Windows], frozenset[str]]
# Learns from a stable history.
Judge = Callable[[Windows], Watch]

_FEW_ROWS, _FEW_VALUES = 1000, 5
_EVIDENTLYS_P, _EVIDENTLYS_DISTANCE, _PSI = 0.05, 0.1, 0.2
_RATE = 0.05
_EXACT = 2_000  # the limiting distribution is as good beyond, and quicker
REFERENCE = 14


def ours(period: Period, alpha: float | None = None, budget: float = 1.0, least_effect: float = 0.0) -> Judge:
    """Return our alarms, of such an alpha or such a budget of false ones a quarter.

    If not asked otherwise, nothing is too small to be named: that would only make false alarms fewer.
    """
    level = alpha_of(budget, period, models=1) if alpha is None else alpha

    def judge(history: Windows) -> Watch:
        baseline = Baseline.of(period, history)
        known: dict[datetime, Figures] = {}

        def watch(windows: Windows) -> frozenset[str]:
            seen = windows[-longest_span(period) :]
            known.update({start: baseline.figures(start, of) for start, of in seen if start not in known})
            recent = [known[start] for start, _ in seen]
            found = movements(baseline, period, recent, level, least_effect=least_effect)
            return frozenset(movement.column for movement in found if movement.alarm)

        return watch

    return judge


def against(named: Callable[[Profile, Profile], frozenset[str]], reference: int = REFERENCE) -> Judge:
    """Return a judge that holds each window against the last windows of the history, taken together."""

    def judge(history: Windows) -> Watch:
        whole = reduce(Profile.merge, [profile for _, profile in history[-reference:]])
        return lambda windows: named(whole, windows[-1][1])

    return judge


def evidently(reference: Profile, current: Profile) -> frozenset[str]:
    """Return what Evidently 0.7 calls drifted with its defaults.

    Up to 1,000 rows of reference: Kolmogorov-Smirnov or chi-square (of two values, a z-test of shares) with
    p < .05. Of more: Wasserstein or Jensen-Shannon distance of at least .1. Up to five numbers are texts
    (evidently/legacy/calculations/stattests/registry.py).
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
    sides = [_categories(side) for side in (old, new)]
    counts = np.array(
        [[side[text] for text in sorted({*sides[0].counts, *sides[1].counts})] for side in sides]
    )
    figure = chi_square(*counts) if counts.shape[1] == 2 else chi_square_of_fit(*sides)
    return figure.p_value < _EVIDENTLYS_P


def _categories(profile: ColumnProfile) -> Categories:
    if not isinstance(profile, NumericProfile):
        return profile.categories
    values = profile.cells.values
    counts = np.diff(profile.cells.below(values, side="right"), prepend=0)
    return Categories.of({str(value): int(count) for value, count in zip(values, counts, strict=True)})


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
    """Return what Kolmogorov-Smirnov, chi-square of deciles and z of the mean tell together (Cauchy)."""
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


def _pairs(reference: Profile, current: Profile) -> Iterator[tuple[str, Any, Any]]:
    for name, old in reference.columns.items():
        new = current.columns[name]
        if old.rows.known and new.rows.known:
            yield name, old, new


def _values(*sides: NumericProfile) -> int:
    """Return how many different numbers there are on both sides, or that there are many."""
    return len(np.unique(np.concatenate([side.cells.values[: _FEW_VALUES + 1] for side in sides])))


def _smirnov(old: NumericProfile, new: NumericProfile) -> float:
    found = distances(old, new)
    assert found is not None
    assert found.kolmogorov_smirnov is not None
    if max(old.rows.known, new.rows.known) > _EXACT:
        return found.kolmogorov_smirnov.p_value
    return scipy_smirnov_p_value(found.kolmogorov_smirnov.value, old.rows.known, new.rows.known)


def _homogeneity(old: CategoricalProfile, new: CategoricalProfile) -> float:
    figure = distances(old, new)
    assert figure is not None
    assert figure.chi_square is not None
    return figure.chi_square.p_value


def _of_means(old: NumericProfile, new: NumericProfile) -> float:
    from scipy.special import ndtr

    error = np.hypot(old.cells.deviation / old.rows.known**0.5, new.cells.deviation / new.rows.known**0.5)
    return float(2 * ndtr(-abs(new.cells.mean - old.cells.mean) / error)) if error > 0 else 1.0


def _discoveries(p_values: Mapping[str, float]) -> frozenset[str]:
    """Return what Benjamini and Hochberg reject."""
    from scipy.stats import false_discovery_control

    if not p_values:
        return frozenset()
    adjusted = false_discovery_control(list(p_values.values()))
    return frozenset(name for name, p in zip(p_values, adjusted, strict=True) if p <= _RATE)
