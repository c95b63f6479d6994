"""One pass's alarms become incidents: they go on, join, begin, return, turn out to be one, or end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mlops_assets.monitoring.incidents import life
from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.incidents.assumptions import Assumptions
from mlops_assets.monitoring.incidents.cause import cause_of
from mlops_assets.monitoring.incidents.filing import Filing, Stream
from mlops_assets.monitoring.incidents.grouping import Group, Standing, group
from mlops_assets.monitoring.incidents.incident import Incident
from mlops_assets.monitoring.incidents.life import Step
from mlops_assets.monitoring.incidents.notices import due, without_route
from mlops_assets.monitoring.incidents.suspects import Suspect
from mlops_assets.monitoring.incidents.upstream import Lineage
from mlops_assets.specs.alert_rules import Alerts


@dataclass(frozen=True)
class Taken:
    """What a pass did, by the numbers of incidents.

    Attributes:
        opened: New ones.
        reopened: Those that are back.
        ended: Those that showed nothing for long enough.
        merged: Those that turned out to be part of others.
        notices: How many words are to go out.
    """

    opened: tuple[int, ...]
    reopened: tuple[int, ...]
    ended: tuple[int, ...]
    merged: tuple[int, ...]
    notices: int


@dataclass
class _Matter:
    """An incident while a pass is at work on it: as it was filed, and what came."""

    incident: Incident
    suspect: Suspect
    streams: dict[str, Stream] = field(default_factory=dict)
    came: dict[str, Alarm] = field(default_factory=dict)
    new: dict[str, Alarm] = field(default_factory=dict)
    step: Step | None = None

    def take(self, alarms: Iterable[Alarm]) -> None:
        """Add alarms, those of one stream in order of time."""
        for alarm in alarms:
            known = self.streams.get(alarm.stream)
            if known is None:
                self.new.setdefault(alarm.stream, alarm)
            self.streams[alarm.stream] = known.after(alarm) if known else Stream(alarm, alarm, 1)
            self.came[alarm.stream] = alarm


class Intake:
    """What one pass does with its alarms, within a transaction.

    Args:
        filing: The incidents.
        lineage: The fleet, each model with the window up to which it was judged.
        rules: The policy's.
        given: What is assumed of faults.
        now: When the pass runs.
    """

    def __init__(
        self, filing: Filing, lineage: Lineage, rules: Alerts, given: Assumptions, now: datetime
    ) -> None:
        self._filing, self._lineage, self._rules = filing, lineage, rules
        self._given, self._now = given, now
        going_on = filing.going_on()
        streams = filing.streams(going_on)
        self._matters = {
            number: _Matter(incident, incident.cause.suspect, streams.get(number, {}))
            for number, incident in going_on.items()
        }
        self._merged: list[int] = []

    def take(self, alarms: Sequence[Alarm]) -> Taken:
        """Take in the alarms of a pass; those that are known change nothing."""
        opened: list[_Matter] = []
        reopened: list[int] = []
        new = self._beyond_what_goes_on(alarms)
        for found in group([each[0] for each in new.values()], self._standing(), self._lineage, self._given):
            its_own = [alarm for each in found.alarms for alarm in new[each.stream]]
            if found.joins is not None:
                self._matters[found.joins].take(its_own)
            elif found.absorbs:
                self._absorb(found, its_own)
            elif (back := self._ended_like(found)) is not None:
                reopened.append(back.id)
                self._reopen(back, its_own)
            else:
                opened.append(self._opened(found, its_own))
        done = [self._brought_up_to_date(matter) for matter in (*self._matters.values(), *opened)]
        return Taken(
            opened=tuple(incident.id for incident, _ in done[len(self._matters) :]),
            reopened=tuple(reopened),
            ended=tuple(incident.id for incident, _ in done if incident.state == "resolved"),
            merged=tuple(self._merged),
            notices=sum(notices for _, notices in done),
        )

    def _beyond_what_goes_on(self, alarms: Sequence[Alarm]) -> dict[str, list[Alarm]]:
        """Lay what goes on at its incident's door, and return the rest by stream, in order of time."""
        seen = self._filing.seen({alarm.stream for alarm in alarms})
        found: dict[str, list[Alarm]] = {}
        for alarm in sorted(alarms, key=lambda each: (each.end, each.stream)):
            known = seen.get(alarm.stream, [])
            newer = all(alarm.end > end for _, end in known)
            matter = next((self._matters[number] for number, _ in known if number in self._matters), None)
            if matter is None:
                if newer:
                    found.setdefault(alarm.stream, []).append(alarm)
                continue
            newest = matter.streams[alarm.stream].newest
            judged_anew = alarm.end == newest.end and alarm != newest
            if newer or judged_anew:
                matter.take([alarm])
        return found

    def _standing(self) -> list[Standing]:
        return [
            Standing(
                number,
                matter.suspect,
                matter.incident.cause.since,
                tuple(stream.first for stream in matter.streams.values()),
                settled=matter.incident.state == "acknowledged" or matter.incident.is_silenced(self._now),
            )
            for number, matter in self._matters.items()
        ]

    def _opened(self, found: Group, alarms: Sequence[Alarm]) -> _Matter:
        cause = cause_of(found.suspect, found.alarms, self._lineage, self._given)
        newest = list({alarm.stream: alarm for alarm in alarms}.values())
        step = life.opened(cause, newest, self._lineage, self._now)
        matter = _Matter(step.incident, found.suspect, step=step)
        matter.take(alarms)
        return matter

    def _reopen(self, back: Incident, alarms: Sequence[Alarm]) -> None:
        streams = self._filing.streams([back.id]).get(back.id, {})
        matter = self._matters[back.id] = _Matter(back, back.cause.suspect, streams)
        matter.take(alarms)

    def _absorb(self, found: Group, alarms: Sequence[Alarm]) -> None:
        """Make known faults part of one that explains them all: the first of them lives on as that one."""
        survivor, *others = sorted(found.absorbs)
        matter = self._matters[survivor]
        matter.suspect = found.suspect
        step = matter.step or Step(matter.incident)
        for number in others:
            other = self._matters.pop(number)
            matter.streams = {**other.streams, **matter.streams}
            matter.came |= {name: stream.newest for name, stream in other.streams.items()}
            told = {**other.incident.told, **step.incident.told}
            step.incident = step.incident.changed(told=told)
            step.note(self._now, "absorbed", f"incident {number}: {other.incident.title}")
            self._filing.file(life.merged(other.incident, survivor, self._now))
            self._merged.append(number)
        matter.step = step
        matter.take(alarms)

    def _ended_like(self, found: Group) -> Incident | None:
        """Return the incident that ended not long ago and was about the same, or has seen all of it."""
        seen = self._filing.seen(alarm.stream for alarm in found.alarms)
        by_all = set.intersection(*({n for n, _ in seen.get(alarm.stream, [])} for alarm in found.alarms))
        return self._filing.ended_since(self._now - self._rules.reopen_within, found.suspect, by_all)

    def _brought_up_to_date(self, matter: _Matter) -> tuple[Incident, int]:
        """Write down what became of an incident, and return it with how many words have to go out."""
        step = matter.step or Step(matter.incident)
        if step.incident.state == "resolved":
            step = step.then(life.returned(step.incident, self._now))
        if matter.came and step.incident.id:
            step = step.then(self._went_on(step.incident, matter))
        step = step.then(life.went_quiet(step.incident, self._lineage, self._rules, self._now))
        told, notices = due(step.incident, self._rules, self._now)
        step = step.then(told)
        self._note_without_route(step, matter.incident)
        incident = step.incident
        if step.events or incident != matter.incident or not incident.id:
            incident = self._filing.file(step)
        self._filing.keep(incident, {name: matter.streams[name] for name in matter.came})
        self._filing.queue(incident.id, notices, self._now)
        return incident, len(notices)

    def _went_on(self, incident: Incident, matter: _Matter) -> Step:
        since = incident.cause.since if matter.suspect == incident.cause.suspect else None
        first = [stream.first for stream in matter.streams.values()]
        newest = [stream.newest for stream in matter.streams.values()]
        cause = cause_of(matter.suspect, first, self._lineage, self._given, since)
        came, new = list(matter.came.values()), list(matter.new.values())
        return life.went_on(incident, cause, newest, came, new, self._lineage, self._now)

    def _note_without_route(self, step: Step, before: Incident) -> None:
        """Note whom nobody can tell, when it begins to matter."""
        known = without_route(before, self._rules) if before.id else []
        for owner in without_route(step.incident, self._rules):
            if owner not in known:
                severity = step.incident.owners[owner]
                step.note(self._now, "not_told", f"no route of the policy takes a {severity} of {owner}")
