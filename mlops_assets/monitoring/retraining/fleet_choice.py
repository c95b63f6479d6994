"""Which of the models that ask for a training get one, when the fleet cannot train them all at once."""

from collections.abc import Mapping
from dataclasses import replace

from mlops_assets.monitoring.retraining.decision import Decision


def choose(decisions: Mapping[str, Decision], allowed: int | None) -> dict[str, Decision]:
    """Return the decisions, with those blocked that the fleet's budget does not reach.

    First come models of which no gain is known though harm is measured, then those that promise the most
    for their cost; what is equal goes by name.

    Args:
        decisions: By model, all of one moment.
        allowed: How many trainings may start; None for any number.
    """
    asking = sorted(
        (name for name, decision in decisions.items() if decision.retrain),
        key=lambda name: (*_urgency(decisions[name]), name),
    )
    chosen = dict(decisions)
    for place, name in enumerate(asking, start=1):
        if allowed is not None and place > allowed:
            decision = decisions[name]
            said = f"{decision.reason}; {_ordinal(place)} of {len(asking)} that ask for a training"
            chosen[name] = replace(
                decision,
                retrain=False,
                blocked="fleet_budget",
                reason=f"{said}, and the fleet's budget allows {allowed} now",
            )
    return chosen


def _urgency(decision: Decision) -> tuple[bool, float]:
    if decision.priority is None:
        return decision.trigger != "harm", 0.0
    return True, -decision.priority


def _ordinal(number: int) -> str:
    ending = "th" if 10 <= number % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
