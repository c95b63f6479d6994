"""When to retrain: after harm, after a time, after new data; never for drift alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from mlops_assets.monitoring.assessment import Assessment
from mlops_assets.specs.durations import format_duration

Trigger = Literal["harm", "cadence", "new_data"]


@dataclass(frozen=True)
class Decision:
    """Whether to retrain after an assessment, and why.

    Attributes:
        trigger: What calls for it; None if nothing does.
        retrain: Whether it starts; a trigger within the cooldown does not start it.
        reason: For people, the run's tags and the audit.
    """

    trigger: Trigger | None
    retrain: bool
    reason: str


# The span that a policy's budget is for.
BUDGET_SPAN = timedelta(days=30)


def decide(
    assessment: Assessment,
    last_training: datetime | None,
    *,
    running: bool = False,
    started: Sequence[datetime] = (),
) -> Decision:
    """Return what to do after an assessment.

    Args:
        assessment: The newest assessment of a model, with the spec's rules in it.
        last_training: As-of time of the model's newest training, whatever became of it.
        running: Whether a lifecycle of the model is queued or running already.
        started: As-of times of the retrainings of the model that started by themselves.
    """
    trigger, reason = _trigger(assessment, last_training)
    if trigger is None:
        return Decision(None, False, reason)
    if running:
        return Decision(trigger, False, f"{reason}; a lifecycle is under way already")
    cooldown = assessment.rules.cooldown
    if last_training is not None and assessment.as_of - last_training < cooldown:
        return Decision(
            trigger,
            False,
            f"{reason}; in the cooldown of {format_duration(cooldown)} since {last_training:%Y-%m-%d}",
        )
    spent = sum(assessment.as_of - BUDGET_SPAN < then <= assessment.as_of for then in started)
    if assessment.budget is not None and spent >= assessment.budget:
        return Decision(
            trigger,
            False,
            f"{reason}; the policy lets {assessment.budget} retrainings start by themselves in "
            f"{BUDGET_SPAN.days} days, and {spent} have; start one by hand if it is wanted",
        )
    return Decision(trigger, True, reason)


def _trigger(assessment: Assessment, last_training: datetime | None) -> tuple[Trigger | None, str]:
    rules = assessment.rules
    if assessment.harm and rules.on_harm:
        return "harm", assessment.reason
    if rules.cadence is not None and last_training is not None:
        age = assessment.as_of - last_training
        if age >= rules.cadence:
            return (
                "cadence",
                f"last trained {age.days} days ago, cadence {format_duration(rules.cadence)}",
            )
    if rules.on_new_rows is not None and (assessment.unseen_rows or 0) >= rules.on_new_rows:
        return "new_data", f"{assessment.unseen_rows:,} rows the champion has not seen"
    return None, assessment.reason
