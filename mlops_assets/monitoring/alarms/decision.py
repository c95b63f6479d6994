"""Which columns of a model have moved, among all that are looked at, window after window.

Each figure of a window, and of the last few windows together, has a p-value against chance and natural
variation. Those of one column are combined by Cauchy's distribution, which holds however they depend on each
other (Liu and Xie, "Cauchy combination test", 2020). Then two things are asked. Is anything wrong? While
nothing is, the answer is yes with a probability of alpha at most (Simes, "An improved Bonferroni procedure",
1986). If so, which columns? Of those that are named, a twentieth is named wrongly at most, or alpha if that
is more (Benjamini and Hochberg, "Controlling the false discovery rate", 1995).

Alpha is spent by the time that passes (Lan and DeMets, "Discrete sequential boundaries for clinical trials",
1983): a window gets the share of the budget that its length is of a quarter. So the windows with an alarm
to expect while nothing is wrong are at most the budget, however often anybody looks and however windows
depend on each other: expectations add up in any case.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.alarms.baseline import Baseline, Figures
from mlops_assets.monitoring.alarms.natural_variation import Windows
from mlops_assets.monitoring.windows import LENGTH, Period

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

QUARTER = timedelta(days=365.25 / 4)
# How many windows are looked at together, and how much attention each such look gets: what is sudden shows in
# one, what is slow in many. Whole days and weeks keep their pattern out.
_SPANS: dict[Period, dict[int, float]] = {
    "hour": {1: 0.2, 24: 0.3, 168: 0.3},
    "day": {1: 0.2, 7: 0.3, 28: 0.3},
    "week": {1: 0.2, 4: 0.3, 13: 0.3},
    "month": {1: 0.2, 3: 0.3, 12: 0.3},
}
_SUDDEN = 0.2
_BEFORE: dict[Period, int] = {"hour": 24, "day": 7, "week": 4, "month": 3}
# Which share of the columns that are named may be named wrongly.
_NAMED_WRONGLY = 0.05
# However much of the budget a long window could spend.
_MOST_ALPHA = 0.1
# What is said of a figure that does not count: it speaks neither for nor against.
_NEUTRAL = 0.5


@dataclass(frozen=True)
class Movement:
    """How a column moved.

    Attributes:
        column: Its name.
        p_value: How probable it is that a column differs as much while nothing is wrong.
        alarm: Whether it is named.
        figure: What of it moved most, as its components call it.
        effect: By how much, in standard deviations of a row (of a share: twice the arcsine of its root).
        windows: How many windows together show it best.
        since: When the first of these starts.
        enough_data: Whether there was enough to tell from: rows now, and windows in the history. If not,
            ``p_value`` is 1 and nothing is said.
    """

    column: str
    p_value: float
    alarm: bool
    figure: str
    effect: float
    windows: int
    since: datetime
    enough_data: bool = True


def alpha_of(budget: float, period: Period, models: int) -> float:
    """Return the probability of a false alarm that a window of one model may have.

    Not more than .1, though a budget for few models and long windows allows it: beyond .05 it is also the
    share of the named columns that are named wrongly, and a list of which a third is wrong is not read twice.
    The budget holds all the same, since it is a bound: what is capped is not spent.

    Args:
        budget: False alarms a quarter that are promised to a team.
        period: Length of the window.
        models: How many models share the budget.
    """
    return min(budget * (LENGTH[period] / QUARTER) / max(models, 1), _MOST_ALPHA)


def longest_span(period: Period) -> int:
    """Return how many of the last windows are looked at together at most."""
    return max(_SPANS[period])


def movements(
    baseline: Baseline, period: Period, recent: Sequence[Figures], alpha: float, *, least_effect: float
) -> list[Movement]:
    """Return what is to be said of each column after a window, those named first.

    Args:
        baseline: The model's.
        period: Length of the windows that are looked at; the baseline's or longer.
        recent: The figures of the last windows, in order of time; the last one is what is judged.
        alpha: Probability of naming any column while nothing is wrong; see :func:`alpha_of`.
        least_effect: What did not surely move by more is not named, however sure it is that it moved.
    """
    import numpy as np

    looks = list(_looks(baseline, period, recent, least_effect))
    told = np.stack([look.p_values for look in looks])
    parts = np.where(np.isnan(told), 1.0, told)
    known = np.bincount(baseline.columns, np.isfinite(told).any(axis=0), len(baseline.components)) > 0
    attention = np.array([look.attention for look in looks])
    attention = (attention / attention.sum())[:, None] * baseline.weights
    evidence = (attention * np.tan((0.5 - np.clip(parts, 1e-300, _NEUTRAL)) * np.pi)).sum(axis=0)
    of_column = np.bincount(baseline.columns, evidence, len(baseline.components))
    # Far out, the distribution's tail is written without a difference that would lose all digits.
    p_values = np.where(
        of_column > 1e6, 1 / (np.maximum(of_column, 1) * np.pi), 0.5 - np.arctan(of_column) / np.pi
    )
    named = _named(np.where(known, p_values, 1.0), alpha)
    strength = parts / attention
    found = []
    for number, (name, components) in enumerate(baseline.components.items()):
        own = np.flatnonzero(baseline.columns == number)
        best, figure = np.unravel_index(np.argmin(strength[:, own]), (len(looks), len(own)))
        look = looks[best]
        found.append(
            Movement(
                column=name,
                p_value=float(p_values[number]) if known[number] else 1.0,
                alarm=bool(named[number]),
                figure=components.names[figure],
                effect=float(look.effects[own[figure]]),
                windows=look.windows,
                since=look.since,
                enough_data=bool(known[number]),
            )
        )
    return sorted(found, key=lambda movement: (not movement.alarm, movement.p_value, movement.column))


@dataclass(frozen=True, eq=False)
class _Look:
    windows: int
    since: datetime
    attention: float
    p_values: "Array"
    effects: "Array"


def _looks(
    baseline: Baseline, period: Period, recent: Sequence[Figures], least_effect: float
) -> "list[_Look]":
    import numpy as np

    length = max(round(LENGTH[period] / LENGTH[baseline.period]), 1)
    variation = baseline.natural_variation
    found = []
    for windows, attention in _SPANS[period].items():
        if windows > len(recent):
            continue
        together = recent[-windows:]
        seen = _windows(baseline, together, length)
        p_values, effects = variation.p_values(seen, variation.together(seen), least_effect)
        found.append(_Look(windows, together[0].start, attention, p_values, effects))
    before = _BEFORE[period]
    if len(recent) > 1:
        seen = _windows(baseline, recent[-1 - before :], length)
        p_values, effects = variation.p_values(seen, variation.sudden(seen), least_effect)
        found.append(_Look(1, recent[-1].start, _SUDDEN, p_values, effects))
    for look in found:
        small = np.abs(look.effects) < least_effect
        look.p_values[small] = np.maximum(look.p_values[small], _NEUTRAL)
    return found


def _windows(baseline: Baseline, figures: Sequence[Figures], length: int) -> Windows:
    import numpy as np

    means = np.column_stack([each.means for each in figures])
    rows = np.column_stack([each.rows for each in figures])
    noise = np.where(np.isnan(means), np.inf, 1 / np.maximum(rows, 1))
    step = LENGTH[baseline.period]
    starts = [each.start + number * step for each in figures for number in range(length)]
    return Windows(means, noise, baseline.phases_of(starts))


def _named(p_values: "Array", alpha: float) -> "Array":
    """Return which columns are named: none, unless it is sure enough that any is wrong."""
    import numpy as np

    if not _rejected(p_values, alpha).any():
        return np.zeros(len(p_values), dtype=bool)
    return _rejected(p_values, max(alpha, _NAMED_WRONGLY))


def _rejected(p_values: "Array", level: float) -> "Array":
    """Return which hypotheses Benjamini and Hochberg reject: some if Simes rejects all together."""
    import numpy as np

    order = np.argsort(p_values)
    within = p_values[order] <= level * np.arange(1, len(order) + 1) / len(order)
    rejected = np.zeros(len(order), dtype=bool)
    if within.any():
        rejected[order[: np.flatnonzero(within)[-1] + 1]] = True
    return rejected
