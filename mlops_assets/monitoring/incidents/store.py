"""Where incidents are kept: in the database of the fleet's state, each with its timeline."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime

from mlops_assets.database import Database
from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.incidents.assumptions import Assumptions
from mlops_assets.monitoring.incidents.filing import Filing, Stream
from mlops_assets.monitoring.incidents.incident import Event, Incident, State
from mlops_assets.monitoring.incidents.intake import Intake, Taken
from mlops_assets.monitoring.incidents.life import Step
from mlops_assets.monitoring.incidents.notices import due
from mlops_assets.monitoring.incidents.outbox import Outbox
from mlops_assets.monitoring.incidents.tables import EVENTS, HIT, INCIDENTS, declare
from mlops_assets.monitoring.incidents.upstream import Lineage, WatchedModel
from mlops_assets.specs.alert_rules import SEVERITIES, Alerts

GOING_ON: tuple[State, ...] = ("open", "acknowledged")


class IncidentStore:
    """Incidents in any database SQLAlchemy reaches.

    Args:
        url: SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, "incidents", declare)
        self.outbox = Outbox(self._database)

    def take_in(
        self,
        alarms: Sequence[Alarm],
        models: Iterable[WatchedModel],
        rules: Alerts,
        now: datetime,
        given: Assumptions | None = None,
    ) -> Taken:
        """Make incidents of a pass's alarms, end those that showed nothing, and queue word of them.

        All of it counts, or nothing does; the same pass again changes nothing. Not for passes over the past
        that only try other settings: their alarms would be told as if they were new.

        Args:
            alarms: All that the pass raised, those that go on from earlier windows as well.
            models: Every model of the fleet, also those that the pass did not judge.
            rules: The policy's ``alerts``.
            now: When the pass runs; naive UTC.
            given: What is assumed of faults; the platform's own figures if None.
        """
        with self._database.begin_alone() as connection:
            filing = Filing(connection, self._database.tables)
            intake = Intake(filing, Lineage(models), rules, given or Assumptions(), now)
            return intake.take(alarms)

    def has_to_tell(self, rules: Alerts, now: datetime) -> bool:
        """Return whether time alone calls for word of an incident: a reminder, or an escalation."""
        return any(due(incident, rules, now)[1] for incident in self.incidents())

    def change(self, number: int, change: Callable[[Incident], Step]) -> Incident:
        """Change an incident as a person asks, and return it.

        Args:
            number: Its number.
            change: What is done to it, such as :func:`mlops_assets.monitoring.incidents.life.resolved`.

        Raises:
            IncidentError: There is none of that number, or it cannot be changed so.
        """
        with self._database.begin_alone() as connection:
            filing = Filing(connection, self._database.tables)
            return filing.file(change(filing.incident(number)))

    def incident(self, number: int) -> Incident:
        """Return an incident.

        Raises:
            IncidentError: There is none of that number.
        """
        with self._database.begin() as connection:
            return Filing(connection, self._database.tables).incident(number)

    def incidents(
        self,
        *,
        states: Collection[State] = GOING_ON,
        owner: str | None = None,
        model: str | None = None,
        since: datetime | None = None,
    ) -> list[Incident]:
        """Return incidents, the worst first, of those the one that was seen last.

        Args:
            states: In these states.
            owner: That hit a model of this owner.
            model: That hit this model.
            since: That were seen since.
        """
        import sqlalchemy as sa

        table, hit = self._database.tables[INCIDENTS], self._database.tables[HIT]
        query = table.select().where(table.c.state.in_(list(states)))
        if since is not None:
            query = query.where(table.c.last_alarm_at >= since)
        for column, value in ((hit.c.owner, owner), (hit.c.model, model)):
            if value is not None:
                query = query.where(table.c.id.in_(sa.select(hit.c.incident).where(column == value)))
        with self._database.begin() as connection:
            rows = connection.execute(query).all()
        found = [Incident.model_validate_json(row.body).changed(id=int(row.id)) for row in rows]
        found.sort(
            key=lambda each: (SEVERITIES.index(each.severity), each.last_alarm_at, each.id), reverse=True
        )
        return found

    def by_model(self) -> dict[str, list[Incident]]:
        """Return the incidents that are not over by the models they hit, the worst of each first."""
        found: dict[str, list[Incident]] = {}
        for incident in self.incidents():
            for model in incident.models:
                found.setdefault(model, []).append(incident)
        return found

    def timeline(self, number: int) -> list[Event]:
        """Return what happened to an incident, in order."""
        table = self._database.tables[EVENTS]
        query = table.select().where(table.c.incident == number).order_by(table.c.id)
        with self._database.begin() as connection:
            return [Event.model_validate_json(row.body) for row in connection.execute(query)]

    def streams(self, number: int) -> list[Stream]:
        """Return what an incident has seen, in order of models."""
        with self._database.begin() as connection:
            found = Filing(connection, self._database.tables).streams([number]).get(number, {})
        return sorted(
            found.values(), key=lambda each: (each.newest.model, each.newest.kind, each.newest.subject)
        )
