"""The fleet's state beside the registry: assessments, decisions and trainings.

One small database for all models, so that the sensor of a thousand models asks one question a tick.
"""

from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.database import Database
from mlops_assets.monitoring.assessment import Assessment
from mlops_assets.monitoring.retraining import Decision

if TYPE_CHECKING:
    import sqlalchemy as sa


class FleetState:
    """Assessments, decisions and trainings in any database SQLAlchemy reaches.

    Args:
        url: SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, "fleet state", _declare)

    def record_assessment(self, assessment: Assessment) -> int:
        """File an assessment and return its id; an equal one of the same time is not filed twice."""
        table = self._database.tables["assessments"]
        body = assessment.model_dump_json()
        same = (table.c.model == assessment.model) & (table.c.as_of == assessment.as_of)
        with self._database.begin() as connection:
            known = connection.execute(table.select().where(same)).first()
            if known is not None and known.body == body:
                return int(known.id)
            connection.execute(table.delete().where(same))
            made = connection.execute(
                table.insert().values(
                    model=assessment.model, as_of=assessment.as_of, harm=assessment.harm, body=body
                )
            )
            key = made.inserted_primary_key
            assert key is not None
            return int(key[0])

    def assessments_after(self, cursor: int, limit: int = 500) -> list[tuple[int, Assessment | None]]:
        """Return assessments filed after ``cursor``, oldest first, with their ids; None if unreadable."""
        table = self._database.tables["assessments"]
        query = table.select().where(table.c.id > cursor).order_by(table.c.id).limit(limit)
        with self._database.begin() as connection:
            return [(int(r.id), _read(r.body)) for r in connection.execute(query)]

    def assessment(self, id_: int) -> Assessment:
        """Return the assessment of an id that :meth:`record_assessment` gave."""
        table = self._database.tables["assessments"]
        with self._database.begin() as connection:
            row = connection.execute(table.select().where(table.c.id == id_)).one()
        return Assessment.model_validate_json(row.body)

    def assessments(self, model: str) -> list[Assessment]:
        """Return a model's assessments, oldest window first."""
        table = self._database.tables["assessments"]
        query = table.select().where(table.c.model == model).order_by(table.c.as_of)
        with self._database.begin() as connection:
            read = [_read(row.body) for row in connection.execute(query)]
        return [assessment for assessment in read if assessment]

    def latest_assessments(self) -> dict[str, Assessment]:
        """Return each model's newest assessment, in one query."""
        import sqlalchemy as sa

        table = self._database.tables["assessments"]
        newest = sa.select(table.c.model, sa.func.max(table.c.as_of).label("as_of")).group_by(table.c.model)
        latest = newest.subquery()
        query = sa.select(table).join(
            latest, (table.c.model == latest.c.model) & (table.c.as_of == latest.c.as_of)
        )
        with self._database.begin() as connection:
            read = {row.model: _read(row.body) for row in connection.execute(query)}
        return {model: assessment for model, assessment in read.items() if assessment}

    def record_decision(self, assessment_id: int, model: str, decision: Decision) -> None:
        """File what was decided after an assessment; a second decision takes the first's place."""
        table = self._database.tables["decisions"]
        with self._database.begin() as connection:
            connection.execute(table.delete().where(table.c.assessment_id == assessment_id))
            connection.execute(
                table.insert().values(
                    assessment_id=assessment_id,
                    model=model,
                    trigger=decision.trigger,
                    retrain=decision.retrain,
                    reason=decision.reason,
                )
            )

    def decision(self, assessment_id: int) -> Decision | None:
        """Return what was decided after an assessment, or None if nothing was yet."""
        table = self._database.tables["decisions"]
        with self._database.begin() as connection:
            row = connection.execute(table.select().where(table.c.assessment_id == assessment_id)).first()
        return None if row is None else Decision(row.trigger, row.retrain, row.reason)

    def retrainings(self, since: datetime) -> dict[str, list[datetime]]:
        """Return by model the as-of times, from ``since`` on, of assessments that started a retraining."""
        import sqlalchemy as sa

        decisions, assessments = (self._database.tables[name] for name in ("decisions", "assessments"))
        started = decisions.c.retrain & (assessments.c.as_of >= since)
        query = sa.select(decisions.c.model, assessments.c.as_of).where(started)
        joined = query.select_from(decisions.join(assessments, decisions.c.assessment_id == assessments.c.id))
        found: dict[str, list[datetime]] = {}
        with self._database.begin() as connection:
            for row in connection.execute(joined):
                found.setdefault(row.model, []).append(row.as_of)
        return found

    def record_training(self, model: str, as_of: datetime) -> None:
        """Remember that a model was trained as of a time."""
        with self._database.begin() as connection:
            connection.execute(self._database.tables["trainings"].insert().values(model=model, as_of=as_of))

    def last_trainings(self) -> dict[str, datetime]:
        """Return the as-of time of each model's newest training."""
        import sqlalchemy as sa

        table = self._database.tables["trainings"]
        query = sa.select(table.c.model, sa.func.max(table.c.as_of).label("as_of")).group_by(table.c.model)
        with self._database.begin() as connection:
            return {r.model: r.as_of for r in connection.execute(query)}


def _declare(metadata: "sa.MetaData") -> None:
    import sqlalchemy as sa

    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    sa.Table(
        "assessments",
        metadata,
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("model", sa.String(64), index=True, nullable=False),
        sa.Column("as_of", sa.DateTime, nullable=False),
        sa.Column("harm", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sqlite_autoincrement=True,
    )
    sa.Table(
        "decisions",
        metadata,
        sa.Column("assessment_id", number, primary_key=True, autoincrement=False),
        sa.Column("model", sa.String(64), index=True, nullable=False),
        sa.Column("trigger", sa.String(16)),
        sa.Column("retrain", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    sa.Table(
        "trainings",
        metadata,
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("model", sa.String(64), index=True, nullable=False),
        sa.Column("as_of", sa.DateTime, nullable=False),
    )


def _read(body: str) -> Assessment | None:
    """Return a filed assessment, or None if it is of a version of the platform that wrote another form.

    One that cannot be read must not keep the whole fleet from being watched.
    """
    try:
        return Assessment.model_validate_json(body)
    except ValueError:
        return None
