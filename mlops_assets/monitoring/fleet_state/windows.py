"""Windows that were looked at: what was found, and what the windows after them need of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.assessment.history import History, Lasting, Recent
from mlops_assets.monitoring.assessment.record import Assessment
from mlops_assets.monitoring.fleet_state.glances import ModelOverview, WindowGlance, glances, overview
from mlops_assets.monitoring.fleet_state.tables import ASSESSMENTS, HISTORY, StateDatabase

if TYPE_CHECKING:
    import sqlalchemy as sa

# Of what lasts, the newest so many windows: three years of days.
_MOST_WINDOWS = 1_000
_NOTHING = (Recent(), Lasting())


@dataclass(frozen=True)
class AssessedWindow:
    """A window that was looked at.

    Attributes:
        start: When it starts.
        end: When it ends, exclusive.
        as_of: As of when it was looked at last.
        served: How many rows it had then.
    """

    start: datetime
    end: datetime
    as_of: datetime
    served: int


class AssessedWindows(StateDatabase):
    """Assessments, each in the place of earlier ones of its window."""

    def record_assessment(
        self, assessment: Assessment, kept: tuple[Recent, Lasting] = _NOTHING, *, told: bool = True
    ) -> int:
        """File an assessment and return its id; it takes the place of an earlier one of its window.

        One that is equal to it is not filed twice.

        Args:
            assessment: What was found.
            kept: What the windows after it need.
            told: Whether nobody has to be told of its alarms any more; see :meth:`untold`.
        """
        recent, lasting = (each.to_bytes() for each in kept)
        table = self._database.tables[ASSESSMENTS]
        body = assessment.model_dump_json()
        same = (table.c.model == assessment.model) & (table.c.start == assessment.start)
        with self._database.begin() as connection:
            known = connection.execute(table.select().where(same)).first()
            if known is not None and known.body == body:
                return int(known.id)
            connection.execute(table.delete().where(same))
            self._keep(connection, assessment, recent, lasting)
            made = connection.execute(
                table.insert().values(
                    model=assessment.model,
                    start=assessment.start,
                    as_of=assessment.as_of,
                    end=assessment.end,
                    harm=assessment.harm,
                    told=told,
                    **_at_a_glance(assessment),
                    body=body,
                )
            )
            key = made.inserted_primary_key
            assert key is not None
            return int(key[0])

    def _keep(
        self, connection: "sa.Connection", assessment: Assessment, recent: bytes, lasting: bytes
    ) -> None:
        table = self._database.tables[HISTORY]
        key = {"model": assessment.model, "version": assessment.version, "start": assessment.start}
        same = (
            (table.c.model == assessment.model)
            & (table.c.version == assessment.version)
            & (table.c.start == assessment.start)
        )
        connection.execute(table.delete().where(same))
        connection.execute(table.insert().values(**key, recent=recent, lasting=lasting))

    def history(self, model: str, version: str, before: datetime, recent: int) -> History:
        """Return what is kept of a version's windows before a time.

        Args:
            model: Model name.
            version: The version.
            before: Start of the window that is looked at.
            recent: How many of the last ones are needed with all that the next windows need.
        """
        table = self._database.tables[HISTORY]
        own = (table.c.model == model) & (table.c.version == version) & (table.c.start < before)
        newest = table.select().where(own).order_by(table.c.start.desc())
        with self._database.begin() as connection:
            near = connection.execute(newest.with_only_columns(table.c.recent).limit(recent)).all()
            far = connection.execute(newest.with_only_columns(table.c.lasting).limit(_MOST_WINDOWS)).all()
        return History(
            [Recent.from_bytes(row.recent) for row in reversed(near)],
            [Lasting.from_bytes(row.lasting) for row in reversed(far)],
        )

    def untold(self) -> list[tuple[int, Assessment]]:
        """Return the assessments whose alarms nobody was told of yet, with their ids, oldest first."""
        table = self._database.tables[ASSESSMENTS]
        query = table.select().where(~table.c.told).order_by(table.c.id)
        with self._database.begin() as connection:
            read = [(int(row.id), _read(row.body)) for row in connection.execute(query)]
        return [(id_, assessment) for id_, assessment in read if assessment]

    def has_untold(self) -> bool:
        """Return whether there are alarms that nobody was told of yet."""
        table = self._database.tables[ASSESSMENTS]
        query = table.select().with_only_columns(table.c.id).where(~table.c.told).limit(1)
        with self._database.begin() as connection:
            return connection.execute(query).first() is not None

    def mark_told(self, ids: Iterable[int]) -> None:
        """Remember that the alarms of some assessments were taken in."""
        table = self._database.tables[ASSESSMENTS]
        told = table.update().values(told=True)
        with self._database.begin() as connection:
            for id_ in ids:
                connection.execute(told.where(table.c.id == id_))

    def judged_until(self) -> dict[str, datetime]:
        """Return by model the end of its newest window that was looked at, in one query."""
        import sqlalchemy as sa

        table = self._database.tables[ASSESSMENTS]
        query = sa.select(table.c.model, sa.func.max(table.c.end).label("end")).group_by(table.c.model)
        with self._database.begin() as connection:
            return {row.model: row.end for row in connection.execute(query)}

    def assessed(self, since: datetime) -> dict[str, dict[datetime, AssessedWindow]]:
        """Return by model the windows from ``since`` on that were looked at, by their starts."""
        table = self._database.tables[ASSESSMENTS]
        query = table.select().with_only_columns(
            table.c.model, table.c.start, table.c.end, table.c.as_of, table.c.served
        )
        found: dict[str, dict[datetime, AssessedWindow]] = {}
        with self._database.begin() as connection:
            for row in connection.execute(query.where(table.c.start >= since)):
                looked = AssessedWindow(row.start, row.end, row.as_of, row.served)
                found.setdefault(row.model, {})[row.start] = looked
        return found

    def assessments_after(self, cursor: int, limit: int = 500) -> list[tuple[int, Assessment | None]]:
        """Return assessments filed after ``cursor``, oldest first, with their ids; None if unreadable."""
        table = self._database.tables[ASSESSMENTS]
        query = table.select().where(table.c.id > cursor).order_by(table.c.id).limit(limit)
        with self._database.begin() as connection:
            return [(int(r.id), _read(r.body)) for r in connection.execute(query)]

    def assessment(self, id_: int) -> Assessment:
        """Return the assessment of an id that :meth:`record_assessment` gave."""
        table = self._database.tables[ASSESSMENTS]
        with self._database.begin() as connection:
            row = connection.execute(table.select().where(table.c.id == id_)).one()
        return Assessment.model_validate_json(row.body)

    def assessments(self, model: str, last: int | None = None) -> list[Assessment]:
        """Return a model's assessments, oldest window first.

        Args:
            model: Model name.
            last: At most so many, the newest.
        """
        table = self._database.tables[ASSESSMENTS]
        query = table.select().where(table.c.model == model).order_by(table.c.start.desc()).limit(last)
        with self._database.begin() as connection:
            read = [_read(row.body) for row in connection.execute(query)][::-1]
        return [assessment for assessment in read if assessment]

    def latest(self, model: str, before: datetime) -> Assessment | None:
        """Return the assessment of a model's newest window that starts before a time."""
        table = self._database.tables[ASSESSMENTS]
        own = (table.c.model == model) & (table.c.start < before)
        with self._database.begin() as connection:
            row = connection.execute(table.select().where(own).order_by(table.c.start.desc())).first()
        return None if row is None else _read(row.body)

    def latest_assessments(self) -> dict[str, Assessment]:
        """Return the assessment of each model's newest window, in one query."""
        import sqlalchemy as sa

        table = self._database.tables[ASSESSMENTS]
        newest = sa.select(table.c.model, sa.func.max(table.c.start).label("start")).group_by(table.c.model)
        latest = newest.subquery()
        query = sa.select(table).join(
            latest, (table.c.model == latest.c.model) & (table.c.start == latest.c.start)
        )
        with self._database.begin() as connection:
            read = {row.model: _read(row.body) for row in connection.execute(query)}
        return {model: assessment for model, assessment in read.items() if assessment}

    def glances(self, since: datetime, until: datetime) -> list[WindowGlance]:
        """Return all windows that end between two times, oldest first, without reading what was found."""
        table = self._database.tables[ASSESSMENTS]
        with self._database.begin() as connection:
            return glances(connection, table, (table.c.end > since) & (table.c.end <= until))

    def overview(
        self, look_back: timedelta, windows: int = 30, model: str | None = None
    ) -> dict[str, ModelOverview]:
        """Return by model its newest window and the last ones at a glance, without reading a body.

        Args:
            look_back: Models whose newest window starts so much before the newest of all are left out.
            windows: How many windows of each model, at most.
            model: Of this model only.
        """
        with self._database.begin() as connection:
            return overview(connection, self._database.tables[ASSESSMENTS], look_back, windows, model)


def _at_a_glance(found: Assessment) -> dict[str, Any]:
    measured, estimated = found.metrics.get(found.metric), found.estimated.get(found.metric)
    return {
        "owner": found.owner,
        "risk": found.risk,
        "metric": found.metric,
        "served": found.served,
        "measured": measured and measured[0],
        "estimated": estimated and estimated.value,
        "drifted": len(found.drifted),
        "alarms": len(found.alarms),
        "cost": found.cost,
    }


def _read(body: str) -> Assessment | None:
    """Return a filed assessment, or None if it is of a version of the platform that wrote another form.

    One that cannot be read must not keep the whole fleet from being watched.
    """
    try:
        return Assessment.model_validate_json(body)
    except ValueError:
        return None
