"""The gates on how good a candidate is: its own thresholds, and the champion it has to beat."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.evaluation.comparison import ChampionComparison
from mlops_assets.evaluation.expectation import Expectation, ShownGain
from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.evaluation.intervals import intervals
from mlops_assets.evaluation.metrics import metrics_of
from mlops_assets.specs.gate_rules import WEIGHED, MetricThresholdRules
from mlops_assets.verdict import Figure, Measurement


def measure_thresholds(holdout: Holdout, rules: MetricThresholdRules) -> Measurement:
    """Measure every metric of the task with the bounds that its thresholds are held against.

    A threshold is kept only if the bound on its side keeps it: the lower bound a minimum, the upper bound a
    maximum. The point estimate alone would let a lucky hold-out decide.

    Returns:
        What gate ``metric_thresholds`` measured.
    """
    found = intervals(
        metrics_of(holdout.spec.task),
        holdout.target,
        holdout.predicted,
        holdout.blocks,
        confidence=2 * rules.confidence - 1,  # each side alone
    )
    figures = [
        Figure(
            name="thresholds the spec sets",
            value=len(holdout.spec.evaluation.thresholds),
            limit="min_thresholds",
        )
    ]
    for name, interval in found.items():
        threshold = rules.thresholds.get(name)  # type: ignore[call-overload]
        common = {"name": name, "value": interval.value, "low": interval.low, "high": interval.high}
        if threshold is None:
            figures.append(Figure(**common))
            continue
        if threshold.min is not None:
            figures.append(Figure(**common, limit=f"{name}.min", counts="low"))
        if threshold.max is not None:
            figures.append(Figure(**common, limit=f"{name}.max", counts="high"))
    return Measurement(
        gate="metric_thresholds",
        summary=", ".join(f"{name} {interval}" for name, interval in found.items()),
        figures=tuple(figures),
    )


@dataclass(frozen=True)
class HoldoutUse:
    """A comparison with a champion: of whom, and on rows of which time."""

    candidate: str
    start: datetime
    end: datetime


def others_on_holdout(use: HoldoutUse, earlier: Iterable[HoldoutUse]) -> frozenset[str]:
    """Return the other candidates that were compared on rows of the same time."""
    return frozenset(
        other.candidate
        for other in earlier
        if other.candidate != use.candidate and other.start < use.end and use.start < other.end
    )


def share_of_error(uses: int) -> float:
    """Return how much of the error that one hold-out allows its k-th use may spend; see the gate below.

    Source: Foster and Stine, "Alpha-investing", Journal of the Royal Statistical Society B 70 (2008), section
    2 (alpha-spending rules); the shares sum to one by Euler's solution of the Basel problem.
    """
    return 6 / (math.pi * uses) ** 2


def measure_against_champion(
    comparison: ChampionComparison,
    champion: str | None,
    same: bool,
    uses: int,
    metric: str,
    weighed: tuple[ShownGain, Expectation] | None = None,
) -> Measurement:
    """State how sure it is that a challenger beats the champion.

    Whoever may try again and again on the same hold-out will win by luck some day. So the error that may be
    made on one hold-out is shared among its uses: the k-th comparison on it may spend 6 / (pi k)^2 of it,
    which sums to the whole over any number of uses; see :func:`share_of_error`.

    Args:
        comparison: What the two showed on common rows.
        champion: The champion's version, None if no model serves yet.
        same: Whether the candidate is the champion itself.
        uses: How many candidates were compared on this hold-out, this one included.
        metric: Name of the primary metric.
        weighed: What the rows show beside what was expected, to be told together as well; None if the policy
            does not weigh them, or no expectation is known.

    Returns:
        What gate ``champion_comparison`` measured; its facts name the champion it holds for.
    """
    gate, facts = "champion_comparison", {"champion": champion}
    if champion is None:
        said = "no champion yet: the first version has none to beat"
        return Measurement(gate=gate, summary=said, not_applicable=said, facts=facts)
    if same:
        said = f"the candidate is the champion (version {champion})"
        return Measurement(gate=gate, summary=said, not_applicable=said, facts=facts)
    rows = Figure(name="rows unseen by both", value=comparison.rows, limit="min_rows")
    difference = comparison.difference
    if difference is None:
        said = comparison.problem or "the champion could not be compared with"
        unknown = Figure(name="confidence of a gain", value=None, limit="confidence", note=said)
        return Measurement(gate=gate, summary=said, figures=(rows, unknown), facts=facts)
    confidence = 1 - min(1.0, difference.p_value / share_of_error(uses))
    together, how_sure = _with_expectation(confidence, uses, *weighed) if weighed else ((), "")
    said = (
        f"{metric} gain {difference.gain:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}] over champion "
        f"{champion}, p = {difference.p_value:.3f}, on {comparison.rows:,} rows unseen by both"
        + (f", of a hold-out used {uses} times" if uses > 1 else "")
        + how_sure
    )
    return Measurement(
        gate=gate,
        summary=said,
        figures=(
            rows,
            Figure(name="gain", value=difference.gain, low=difference.low, high=difference.high),
            Figure(name="p-value", value=difference.p_value),
            Figure(name="uses of the hold-out", value=uses),
            Figure(name="confidence of a gain", value=confidence, limit="confidence", note=said),
            *together,
        ),
        facts=facts,
    )


def _with_expectation(
    alone: float, uses: int, shown: ShownGain, expected: Expectation
) -> tuple[tuple[Figure, ...], str]:
    """Return what rows and expectation say together, with all that it is computed from, and in words."""
    probability = shown.probability_with(expected)
    if probability is None:
        return (), ""
    confidence = 1 - min(1.0, (1 - probability) / share_of_error(uses))
    said = (
        f"; confidence {alone:.4f} by these rows alone, {confidence:.4f} by them and the expected "
        f"{expected.mean:+.4f} ± {expected.deviation:.4f} (logarithm of the loss; {expected.basis})"
    )
    figures = (
        Figure(name="gain of the rows (logarithm of the loss)", value=shown.gain),
        Figure(name="standard error of that gain", value=shown.error),
        Figure(name="least such gain", value=shown.margin),
        Figure(name="expected gain (logarithm of the loss)", value=expected.mean, note=expected.basis),
        Figure(name="standard deviation of the expected gain", value=expected.deviation),
        Figure(name="confidence by rows and expectation", value=confidence, limit=WEIGHED, note=said[2:]),
    )
    return figures, said
