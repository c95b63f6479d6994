"""What a retraining gained over what served, for those who decide about the next."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

from mlops_assets.evaluation.expectation import Expectation, ShownGain
from mlops_assets.evaluation.intervals import PairedDifference
from mlops_assets.monitoring.fleet_state import Learned
from mlops_assets.monitoring.performance.standard import FILE as STANDARD
from mlops_assets.monitoring.performance.standard import PerformanceStandard
from mlops_assets.monitoring.retraining.gain import Outcome, expect_gain, fleet_of
from mlops_assets.monitoring.retraining.history import loss_of
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.records import TrainedModel
from mlops_assets.training.package import PackagedModel

_SMALLEST_LOSS = 1e-9


def outcome_of(
    spec: ModelSpec,
    trained: TrainedModel,
    champion: PackagedModel,
    champion_value: float | None,
    difference: PairedDifference | None,
    candidates: Sequence[Learned],
) -> Outcome | None:
    """Return what a candidate gains over the champion on rows that neither has seen; None if not known.

    Args:
        spec: The model's spec.
        trained: The candidate.
        champion: The champion.
        champion_value: The champion's primary metric on these rows.
        difference: By how much the candidate is better.
        candidates: What the model's candidates learned from.
    """
    if difference is None or champion_value is None or math.isnan(champion_value):
        return None
    rows = {each.candidate: each.rows for each in candidates}
    new, old = rows.get(trained.candidate), rows.get(champion.digest)
    if not new or not old:
        return None
    metric = spec.evaluation.primary_metric
    before = max(loss_of(metric, champion_value), _SMALLEST_LOSS)
    # The gain is positive where the candidate is better, which is less loss whatever the metric.
    after = max(before - difference.gain, _SMALLEST_LOSS)
    bounds = NormalDist().inv_cdf((1 + spec.evaluation.confidence) / 2)
    error = (difference.high - difference.low) / (2 * bounds) / before
    if not math.isfinite(error) or error <= 0:
        return None
    return Outcome(
        growth=math.log(new / old),
        excess=_excess(metric, before, champion),
        gain=math.log(before / after),
        error=error,
    )


def shown_gain(spec: ModelSpec, outcome: Outcome, champion_value: float, min_gain: float) -> ShownGain:
    """Return what the common rows show of a gain.

    Args:
        spec: The model's spec.
        outcome: What the candidate gains.
        champion_value: The champion's primary metric on these rows.
        min_gain: Gain of that metric which the policy demands.
    """
    before = max(loss_of(spec.evaluation.primary_metric, champion_value), _SMALLEST_LOSS)
    margin = math.log(before / max(before - min_gain, _SMALLEST_LOSS))
    return ShownGain(outcome.gain, outcome.error, margin)


def expectation_of(model: str, outcome: Outcome, known: Mapping[str, Sequence[Outcome]]) -> Expectation:
    """Return what was to be expected of a candidate before it was compared.

    Args:
        model: Name of the model.
        outcome: What it gains; of which only by how much its rows had grown, and the champion's loss, count.
        known: What other retrainings gained, by model; none on rows that it is compared on.
    """
    learned, own = fleet_of(known), known.get(model, ())
    return expect_gain(learned, model, own, growth=outcome.growth, excess=outcome.excess).expectation


def _excess(metric: str, loss: float, champion: PackagedModel) -> float:
    """Return the logarithm of the champion's loss over that on its own hold-out; 0 if not above."""
    if STANDARD not in champion.manifest.files:
        return 0.0
    promised = PerformanceStandard.from_bytes(champion.content(STANDARD)).metrics.get(metric)
    first = loss_of(metric, promised.value) if promised else math.nan
    return max(math.log(loss / first), 0.0) if first > 0 else 0.0
