"""The life of an incident: what alarms, time and people do to it. No clock and no database: all is given."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mlops_assets.errors import IncidentError
from mlops_assets.monitoring.incidents.alarm import Alarm, Harm
from mlops_assets.monitoring.incidents.cause import Cause, named
from mlops_assets.monitoring.incidents.incident import MONITORING, Event, Incident, Quiet, What
from mlops_assets.monitoring.incidents.severity import severity_of, worst
from mlops_assets.monitoring.incidents.suspects import Suspect
from mlops_assets.monitoring.incidents.upstream import Lineage
from mlops_assets.specs.alert_rules import PLATFORM_OWNER, SEVERITIES, Alerts, Severity

_HARMS: tuple[Harm, ...] = ("not_shown", "estimated", "measured")


@dataclass
class Step:
    """An incident after something happened, and what is to be written on its timeline."""

    incident: Incident
    events: list[Event] = field(default_factory=list)

    def note(self, at: datetime, what: What, text: str = "", actor: str = MONITORING) -> "Step":
        """Add an event."""
        self.events.append(Event(at=at, what=what, actor=actor, text=text))
        return self

    def then(self, other: "Step") -> "Step":
        """Return this step and one after it as one."""
        return Step(other.incident, [*self.events, *other.events])


def opened(cause: Cause, alarms: Sequence[Alarm], lineage: Lineage, now: datetime) -> Step:
    """Return a new incident.

    Args:
        cause: Its probable cause.
        alarms: The newest of each stream.
        lineage: The fleet.
        now: When it is opened.
    """
    seen = _seen(cause, alarms, lineage)
    incident = Incident(cause=cause, opened_at=now, quiet=_reset(alarms, lineage), **seen)
    return Step(incident).note(now, "opened", f"{incident.severity}: {cause.title}; {cause.why}")


def went_on(
    incident: Incident,
    cause: Cause,
    alarms: Sequence[Alarm],
    came: Sequence[Alarm],
    new: Sequence[Alarm],
    lineage: Lineage,
    now: datetime,
) -> Step:
    """Return an incident after more alarms of it came.

    Severity and harm never get less while it lasts: what was shown once is not unsaid by a better window.

    Args:
        incident: As it was.
        cause: Its probable cause in the light of all alarms.
        alarms: The newest of each stream.
        came: Those that came now.
        new: Of these, those of streams that it did not have.
        lineage: The fleet.
        now: When they came.
    """
    seen = _seen(cause, alarms, lineage)
    owners: dict[str, Severity] = dict(incident.owners)
    for owner, bad in seen["owners"].items():
        owners[owner] = worst((bad, owners.get(owner, bad)))
    severity = worst((incident.severity, seen["severity"]))
    kept = {
        "owners": owners,
        "severity": severity,
        "harm": max(incident.harm, seen["harm"], key=_HARMS.index),
        "last_alarm_at": max(incident.last_alarm_at, seen["last_alarm_at"]),
        "quiet": {**incident.quiet, **_reset(came, lineage)},
    }
    step = Step(incident.changed(**{**seen, **kept, "cause": cause}))
    if new:
        step.note(
            now, "joined", f"{len(new)} more, of {named(sorted({a.model for a in new}))}: {new[0].says}"
        )
    if cause.suspect != incident.cause.suspect:
        step.note(now, "cause", f"{cause.title} (was: {incident.cause.title}); {cause.why}")
    if severity != incident.severity:
        # Whoever asked for silence did so of something less bad.
        step.incident = step.incident.changed(silenced_until=None)
        step.note(now, "worse", f"{severity}, was {incident.severity}")
    return step


def went_quiet(incident: Incident, lineage: Lineage, rules: Alerts, now: datetime) -> Step:
    """Return an incident after windows of its models were judged: it ends after enough that showed nothing.

    A model that left the fleet shows nothing any more.
    """
    quiet = {}
    for model, known in incident.quiet.items():
        if (watched := lineage.models.get(model)) is None:
            continue
        until = watched.judged_until
        if until is not None and until > known.until:
            known = Quiet(until=until, windows=known.windows + 1)
        quiet[model] = known
    step = Step(incident.changed(quiet=quiet))
    if any(each.windows < rules.resolve_after for each in quiet.values()):
        return step
    text = f"{rules.resolve_after} windows in a row of each model hit showed nothing"
    return _ended(step, now, MONITORING, text if quiet else "the models that it hit are gone")


def returned(incident: Incident, now: datetime) -> Step:
    """Return an ended incident that is open again.

    If somebody ended it in person, all are told at once: they think it is over. What ended and began again by
    itself is told of after the cooldown only.
    """
    ended = f"{incident.resolved_at:%Y-%m-%d %H:%M}" if incident.resolved_at else "before"
    again = incident.changed(
        state="open",
        opened_at=now,
        reopened=incident.reopened + 1,
        resolved_at=None,
        resolved_by="",
        acknowledged_at=None,
        escalated_at=None,
        told=incident.told if incident.resolved_by == MONITORING else {},
    )
    return Step(again).note(now, "reopened", f"it is back; it ended {ended}")


def merged(incident: Incident, into: int, now: datetime) -> Step:
    """Return an incident that turned out to be part of another."""
    over = incident.changed(state="resolved", resolved_at=now, resolved_by=MONITORING, merged_into=into)
    return Step(over).note(now, "merged", f"it is part of incident {into}")


def acknowledged(incident: Incident, actor: str, reason: str, now: datetime) -> Step:
    """Return an incident that somebody took charge of.

    Raises:
        IncidentError: It is over.
    """
    _must_go_on(incident)
    taken = incident.changed(state="acknowledged", acknowledged_at=now)
    return Step(taken).note(now, "acknowledged", reason, actor)


def resolved(incident: Incident, actor: str, reason: str, now: datetime) -> Step:
    """Return an incident that somebody ended.

    Raises:
        IncidentError: It is over already.
    """
    _must_go_on(incident)
    return _ended(Step(incident), now, actor, reason)


def silenced(incident: Incident, until: datetime, actor: str, reason: str, now: datetime) -> Step:
    """Return an incident of which nobody is told for a time, unless it gets worse.

    Raises:
        IncidentError: It is over, or the time is past.
    """
    _must_go_on(incident)
    if until <= now:
        raise IncidentError(f"{until:%Y-%m-%d %H:%M} UTC is past; name a later time")
    step = Step(incident.changed(silenced_until=until))
    return step.note(now, "silenced", f"until {until:%Y-%m-%d %H:%M} UTC: {reason}", actor)


def _ended(step: Step, now: datetime, actor: str, reason: str) -> Step:
    step.incident = step.incident.changed(
        state="resolved", resolved_at=now, resolved_by=actor, silenced_until=None
    )
    return step.note(now, "resolved", reason, actor)


def _seen(cause: Cause, alarms: Sequence[Alarm], lineage: Lineage) -> dict[str, Any]:
    """Return what alarms say of their incident."""
    suspect = cause.suspect
    signs = [alarm for alarm in alarms if suspect.shows_in(alarm, lineage, known=True)] or alarms
    telling = max(signs, key=lambda a: (SEVERITIES.index(severity_of(suspect, [a])), a.kind))
    told = [alarm for alarm in alarms if alarm.effect]
    worst_told = max(told, key=lambda a: (_HARMS.index(a.harm), -(a.effect_size or 0.0)), default=None)
    by_owner: dict[str, list[Alarm]] = {}
    for alarm in alarms:
        by_owner.setdefault(alarm.owner, []).append(alarm)
    # What is the platform's is mended by its people; others are woken by harm of their own only.
    shared = suspect.kind in ("gateway", "monitoring")
    of_each = Suspect(kind="model") if shared else suspect
    owners = {owner: severity_of(of_each, of_owner) for owner, of_owner in by_owner.items()}
    severity = severity_of(suspect, alarms)
    return {
        "kind": telling.kind,
        "severity": severity,
        "owners": {PLATFORM_OWNER: severity, **owners} if shared else owners,
        "harm": max((alarm.harm for alarm in alarms), key=_HARMS.index),
        "effect": worst_told.effect if worst_told else "",
        "last_alarm_at": max(alarm.end for alarm in alarms),
    }


def _reset(came: Sequence[Alarm], lineage: Lineage) -> dict[str, Quiet]:
    """Return that models showed it just now.

    A window whose labels come late may be long over; what counts is what is judged from here on.
    """
    found: dict[str, Quiet] = {}
    for alarm in came:
        watched = lineage.models.get(alarm.model)
        judged = watched.judged_until if watched else None
        until = max(alarm.end, judged or alarm.end)
        if alarm.model in found:
            until = max(until, found[alarm.model].until)
        found[alarm.model] = Quiet(until=until)
    return found


def _must_go_on(incident: Incident) -> None:
    if incident.state == "resolved":
        where = f"; it is part of incident {incident.merged_into}" if incident.merged_into else ""
        raise IncidentError(f"incident {incident.id} is over already{where}")
