"""What a training of a model that serves can be expected to gain, from its newest assessment."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops_assets.monitoring.retraining.gain import ExpectedGain, Fleet, Outcome, expect_gain
from mlops_assets.monitoring.retraining.history import loss_of

if TYPE_CHECKING:
    from mlops_assets.monitoring.assessment.record import Assessment
    from mlops_assets.monitoring.fleet_state import Learned


def expected_gain(
    assessment: "Assessment", candidates: "Sequence[Learned]", fleet: Fleet, own: Sequence[Outcome]
) -> ExpectedGain | None:
    """Return what a training now can be expected to gain; None where nobody counted the new rows.

    Args:
        assessment: The model's newest.
        candidates: What its candidates learned from, oldest first.
        fleet: What the fleet's retrainings have taught.
        own: What its own retrainings gained.
    """
    if assessment.unseen_rows is None or not candidates or not candidates[-1].rows:
        return None
    growth = math.log1p(assessment.unseen_rows / candidates[-1].rows)
    measured, promised = assessment.metrics.get(assessment.metric), assessment.reference_metric
    loss, excess = None, 0.0
    if measured is not None and math.isfinite(measured[0]):
        loss = loss_of(assessment.metric, measured[0])
        first = loss_of(assessment.metric, promised) if promised is not None else math.nan
        excess = max(math.log(loss / first), 0.0) if first > 0 and loss > 0 else 0.0
    return expect_gain(fleet, assessment.model, own, growth=growth, excess=excess, loss=loss)
