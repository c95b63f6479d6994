"""Whether a model does harm: its measured figure beside its hold-out's, and beside its own stable windows.

A figure is *worse* if the better end of its interval lies beyond a standard by more than the tolerance. There
are two standards: what the hold-out promised, and what the model did in windows while nothing was wrong. How
much such windows differ from each other is more than the rows of one of them tell: whole windows have weather
and seasons of their own. So where there are enough of them, the interval is that of a new window among them,
and what they vary by on their own is no harm.

Source: Hahn and Meeker, "Statistical Intervals" (1991), chapter 4 (the interval for one more observation).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlops_assets.evaluation.metrics import higher_is_better
from mlops_assets.monitoring.performance.measured import Measured

# Fewer windows do not tell how much windows differ.
FEWEST_WINDOWS = 8
_HOLDOUT = "the hold-out"

Outcome = Literal["measured", "not_shown", "cannot_tell"]


@dataclass(frozen=True)
class Standard:
    """What a figure is held against.

    Attributes:
        name: What it is, for a person.
        value: Its figure.
        best_case: The better end of the interval that is held against it.
        limit: Beyond which a figure is worse.
        worse: Whether it is.
    """

    name: str
    value: float
    best_case: float
    limit: float
    worse: bool


@dataclass(frozen=True)
class Harm:
    """Whether a model does harm.

    Attributes:
        outcome: Harm is measured, not shown, or cannot be told.
        reason: Why, in one sentence.
        metric: The metric that is judged.
        figure: What was measured; None if nothing could be.
        standards: What it was held against.
    """

    outcome: Outcome
    reason: str
    metric: str
    figure: Measured | None = None
    standards: tuple[Standard, ...] = ()


def judge(
    metric: str,
    figure: Measured | None,
    holdout: float | None,
    *,
    tolerance: float,
    missing: str = "",
    stable: Sequence[Measured] = (),
    confidence: float = 0.95,
) -> Harm:
    """Return whether a figure of a window is harm.

    Args:
        metric: Name of the metric.
        figure: The figure; None where it is not defined.
        holdout: The same on the hold-out; None where it is not defined.
        tolerance: By how much it may be worse.
        missing: What is missing for a judgement, see :class:`.window_performance.WindowPerformance`.
        stable: The same in windows while nothing was wrong; they count from eight on.
        confidence: Two-sided, of the interval that is held against the standards.
    """
    if missing:
        return Harm("cannot_tell", missing, metric, figure)
    if figure is None or not math.isfinite(figure.low):
        why = (
            "is not defined on these labels" if figure is None else "rests on too few blocks for an interval"
        )
        return Harm("cannot_tell", f"{metric} {why}", metric, figure)
    known = [each for each in stable if math.isfinite(each.value) and math.isfinite(each.error)]
    natural = _natural(figure, known, confidence) if len(known) >= FEWEST_WINDOWS else None
    standards = []
    if holdout is not None and math.isfinite(holdout):
        margin = natural.margin if natural else 0.0
        standards.append(_held(_HOLDOUT, metric, figure, holdout, margin, tolerance))
    if natural:
        name = f"{len(known)} stable windows"
        standards.append(_held(name, metric, figure, natural.mean, natural.margin_of_mean, tolerance))
    if not standards:
        return Harm("cannot_tell", f"{metric} is not defined on the hold-out", metric, figure)
    worse = any(each.worse for each in standards)
    reason = _reason(metric, figure, standards, tolerance)
    if not worse and _held("", metric, figure, standards[0].value, 0.0, tolerance).worse:
        reason += ", as windows differ by as much while nothing is wrong"
    return Harm("measured" if worse else "not_shown", reason, metric, figure, tuple(standards))


def _reason(metric: str, figure: Measured, standards: Sequence[Standard], tolerance: float) -> str:
    against = " and ".join(
        f"{each.value:.4f} {'on' if each.name == _HOLDOUT else 'in'} {each.name}" for each in standards
    )
    shown = [each.name for each in standards if each.worse]
    verdict = "worse" if shown else "not shown to be worse"
    than = f" than {shown[0]}" if len(standards) > len(shown) == 1 else ""
    return f"{metric} {figure.interval} against {against}: {verdict}{than} by more than {tolerance:g}"


@dataclass(frozen=True)
class _Natural:
    mean: float
    margin: float
    margin_of_mean: float


def _natural(figure: Measured, stable: Sequence[Measured], confidence: float) -> _Natural:
    """Return the mean of stable windows, and by how much one more may differ from a standard, and from it."""
    from scipy.stats import t

    count = len(stable)
    mean = sum(each.value for each in stable) / count
    spread = sum((each.value - mean) ** 2 for each in stable) / (count - 1)
    chance = sum(each.error**2 for each in stable) / count
    # A window with fewer rows than those varies by more.
    spread = max(spread, chance) + max(figure.error**2 - chance, 0.0)
    steps = float(t.ppf((1 + confidence) / 2, count - 1))
    return _Natural(mean, steps * math.sqrt(spread), steps * math.sqrt(spread * (1 + 1 / count)))


def _held(
    name: str, metric: str, figure: Measured, standard: float, margin: float, tolerance: float
) -> Standard:
    up = higher_is_better(metric)
    best_case = max(figure.high, figure.value + margin) if up else min(figure.low, figure.value - margin)
    limit = standard - tolerance if up else standard + tolerance
    return Standard(name, standard, best_case, limit, best_case < limit if up else best_case > limit)
