"""Whom to tell of an incident, and when: once, when it gets worse, and not too often."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from mlops_assets.monitoring.incidents.incident import Incident, Told
from mlops_assets.monitoring.incidents.life import Step
from mlops_assets.specs.alert_rules import SEVERITIES, Alerts, Severity
from mlops_assets.specs.durations import format_duration

Occasion: TypeAlias = Literal["new", "back", "worse", "reminder", "escalation"]


@dataclass(frozen=True)
class Notice:
    """Word that has to go out.

    Attributes:
        variable: Environment variable with the URL it goes to.
        occasion: Why it goes out.
        severity: How bad it is for those who are told.
    """

    variable: str
    occasion: Occasion
    severity: Severity


def due(incident: Incident, rules: Alerts, now: datetime) -> tuple[Step, list[Notice]]:
    """Return the incident with it noted whom to tell now, and these notices.

    A route is told when an incident begins to concern it, when it gets worse, and again after each cooldown
    while alarms go on and nobody has taken charge. A page that nobody acknowledges is told to one more.
    """
    step = Step(incident)
    if incident.state == "resolved" or incident.is_silenced(now):
        return step, []
    found, told = list[Notice](), dict(incident.told)
    for variable, severity in _concerned(incident, rules).items():
        occasion = _occasion(incident, told.get(variable), severity, rules, now)
        if occasion is not None:
            found.append(Notice(variable, occasion, severity))
            told[variable] = Told(at=now, severity=severity)
    if _has_waited(incident, rules, now) and rules.escalate_to_env is not None:
        found.append(Notice(rules.escalate_to_env, "escalation", incident.severity))
        step.incident = step.incident.changed(escalated_at=now)
        step.note(now, "escalated", f"nobody acknowledged it for {format_duration(rules.escalate_after)}")
    step.incident = step.incident.changed(told=told)
    return step, found


def without_route(incident: Incident, rules: Alerts) -> list[str]:
    """Return the owners who ought to know and whom no route of the policy leads to."""
    return sorted(
        owner
        for owner, severity in incident.owners.items()
        if severity != "information" and not any(route.takes(owner, severity) for route in rules.routes)
    )


def _concerned(incident: Incident, rules: Alerts) -> dict[str, Severity]:
    """Return by environment variable how bad it is for those who are told that way."""
    found: dict[str, Severity] = {}
    for route in rules.routes:
        for owner, severity in incident.owners.items():
            if route.takes(owner, severity):
                known = found.setdefault(route.url_env, severity)
                found[route.url_env] = max(known, severity, key=SEVERITIES.index)
    return found


def _occasion(
    incident: Incident, before: Told | None, severity: Severity, rules: Alerts, now: datetime
) -> Occasion | None:
    if before is None:
        return "new" if incident.reopened == 0 else "back"
    if SEVERITIES.index(severity) > SEVERITIES.index(before.severity):
        return "worse"
    goes_on = any(each.windows == 0 for each in incident.quiet.values())
    if incident.state == "open" and goes_on and now - before.at >= rules.cooldown:
        return "reminder"
    return None


def _has_waited(incident: Incident, rules: Alerts, now: datetime) -> bool:
    waiting = incident.state == "open" and incident.severity == "page" and incident.escalated_at is None
    return waiting and now - incident.opened_at >= rules.escalate_after
