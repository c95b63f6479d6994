"""Incidents within one transaction: what a pass reads and writes counts as a whole, or not at all."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import IncidentError
from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.incidents.incident import Event, Incident
from mlops_assets.monitoring.incidents.life import Step
from mlops_assets.monitoring.incidents.notices import Notice
from mlops_assets.monitoring.incidents.suspects import Suspect
from mlops_assets.monitoring.incidents.tables import EVENTS, HIT, INCIDENTS, NOTICES, STREAMS
from mlops_assets.specs.alert_rules import PLATFORM_OWNER

if TYPE_CHECKING:
    import sqlalchemy as sa

# SQLite takes some 32,000 values in a statement, and older ones 999.
_AT_ONCE = 500


@dataclass(frozen=True)
class Stream:
    """What an incident has seen of one thing that alarms are about.

    Attributes:
        first: Its first alarm.
        newest: Its newest.
        windows: How many windows showed it.
    """

    first: Alarm
    newest: Alarm
    windows: int

    def after(self, alarm: Alarm) -> "Stream":
        """Return it after one more alarm, which may be of a window that was judged anew."""
        return Stream(self.first, alarm, self.windows + (alarm.end > self.newest.end))


class Filing:
    """Incidents as one transaction sees and leaves them.

    Args:
        connection: Of the transaction.
        tables: By name.
    """

    def __init__(self, connection: "sa.Connection", tables: Mapping[str, "sa.Table"]) -> None:
        self._connection, self._tables = connection, tables

    def incident(self, number: int) -> Incident:
        """Return an incident.

        Raises:
            IncidentError: There is none of that number.
        """
        table = self._tables[INCIDENTS]
        row = self._connection.execute(table.select().where(table.c.id == number)).first()
        if row is None:
            raise IncidentError(f"there is no incident {number}; see mlops-assets incidents list --state all")
        return _incident(row)

    def going_on(self) -> dict[int, Incident]:
        """Return the incidents that are not over, by number."""
        table = self._tables[INCIDENTS]
        query = table.select().where(table.c.state != "resolved").order_by(table.c.id)
        return {row.id: _incident(row) for row in self._connection.execute(query)}

    def ended_since(self, time: datetime, suspect: Suspect, among: Iterable[int]) -> Incident | None:
        """Return the incident that ended last, since a time, and was of a suspect or is one of some.

        One that turned out to be part of another is not meant.
        """
        table = self._tables[INCIDENTS]
        since = (table.c.state == "resolved") & (table.c.resolved_at >= time)
        of_it = (table.c.suspect == suspect.key) | table.c.id.in_(list(among))
        newest = table.select().where(since & of_it).order_by(table.c.resolved_at.desc(), table.c.id.desc())
        found = (_incident(row) for row in self._connection.execute(newest))
        return next((incident for incident in found if incident.merged_into is None), None)

    def streams(self, incidents: Iterable[int]) -> dict[int, dict[str, Stream]]:
        """Return the streams of incidents, by number and name."""
        table = self._tables[STREAMS]
        found: dict[int, dict[str, Stream]] = {}
        for some in _pieces(list(incidents)):
            for row in self._connection.execute(table.select().where(table.c.incident.in_(some))):
                first, newest = (Alarm.model_validate_json(text) for text in (row.first, row.newest))
                found.setdefault(row.incident, {})[row.stream] = Stream(first, newest, row.windows)
        return found

    def seen(self, streams: Iterable[str]) -> dict[str, list[tuple[int, datetime]]]:
        """Return the incidents that have seen a stream, and up to which window's end."""
        table = self._tables[STREAMS]
        found: dict[str, list[tuple[int, datetime]]] = {}
        for some in _pieces(list(streams)):
            query = table.select().with_only_columns(table.c.stream, table.c.incident, table.c.last_end)
            for row in self._connection.execute(query.where(table.c.stream.in_(some))):
                found.setdefault(row.stream, []).append((row.incident, row.last_end))
        return found

    def file(self, step: Step) -> Incident:
        """Write an incident and what happened to it, and return it with its number."""
        incident, table = step.incident, self._tables[INCIDENTS]
        row = {
            "suspect": incident.cause.suspect.key,
            "state": incident.state,
            "resolved_at": incident.resolved_at,
            "last_alarm_at": incident.last_alarm_at,
            "body": incident.model_dump_json(exclude={"id"}),
        }
        if incident.id:
            self._connection.execute(table.update().where(table.c.id == incident.id).values(row))
        else:
            made = self._connection.execute(table.insert().values(row)).inserted_primary_key
            assert made is not None
            incident = incident.changed(id=int(made[0]))
        if step.events:
            self.note(incident.id, step.events)
        return incident

    def note(self, number: int, events: Iterable[Event]) -> None:
        """Write on an incident's timeline."""
        rows = [{"incident": number, "body": event.model_dump_json()} for event in events]
        self._connection.execute(self._tables[EVENTS].insert(), rows)

    def keep(self, incident: Incident, streams: Mapping[str, Stream]) -> None:
        """Write what an incident has seen of some streams, and whom it hit by that."""
        if not streams:
            return
        rows = [
            {
                "incident": incident.id,
                "stream": name,
                "last_end": each.newest.end,
                "windows": each.windows,
                "first": each.first.model_dump_json(),
                "newest": each.newest.model_dump_json(),
            }
            for name, each in streams.items()
        ]
        owners = {each.newest.model: each.newest.owner for each in streams.values()}
        if PLATFORM_OWNER in incident.owners:
            owners[""] = PLATFORM_OWNER  # whose it is, whichever models it hits
        hit = [{"incident": incident.id, "model": model, "owner": owner} for model, owner in owners.items()]
        self._replace(STREAMS, "stream", rows)
        self._replace(HIT, "model", hit)

    def queue(self, number: int, notices: Sequence[Notice], now: datetime) -> None:
        """Write down word that has to go out."""
        rows = [
            {
                "incident": number,
                "variable": notice.variable,
                "occasion": notice.occasion,
                "severity": notice.severity,
                "state": "waiting",
                "attempts": 0,
                "due_at": now,
            }
            for notice in notices
        ]
        if rows:
            self._connection.execute(self._tables[NOTICES].insert(), rows)

    def _replace(self, name: str, key: str, rows: list[dict[str, Any]]) -> None:
        """Write rows of one incident in the place of those with the same keys."""
        table, number = self._tables[name], rows[0]["incident"]
        for some in _pieces([row[key] for row in rows]):
            of_these = (table.c.incident == number) & table.c[key].in_(some)
            self._connection.execute(table.delete().where(of_these))
        self._connection.execute(table.insert(), rows)


def _incident(row: "sa.Row[Any]") -> Incident:
    return Incident.model_validate_json(row.body).changed(id=int(row.id))


def _pieces(values: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
