"""When to retrain: after harm, after a time, after new data; never for drift alone."""

from dataclasses import dataclass
from datetime import datetime
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


def decide(assessment: Assessment, last_training: datetime | None, *, running: bool = False) -> Decision:
    """Return what to do after an assessment.

    Args:
        assessment: The newest assessment of a model, with the spec's rules in it.
        last_training: As-of time of the model's newest training, whatever became of it.
        running: Whether a lifecycle of the model is queued or running already.
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
