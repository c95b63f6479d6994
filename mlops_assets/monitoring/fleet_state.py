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


_ASSESSMENTS, _DECISIONS = "window_assessments", "retraining_decisions"


class FleetState:
    """Assessments, decisions and trainings in any database SQLAlchemy reaches.

    Args:
        url: SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, "fleet state", _declare)

    def record_assessment(self, assessment: Assessment) -> int:
        """File an assessment and return its id; it takes the place of an earlier one of its window.

        One that is equal to it is not filed twice.
        """
        table = self._database.tables[_ASSESSMENTS]
        body = assessment.model_dump_json()
        same = (table.c.model == assessment.model) & (table.c.start == assessment.start)
        with self._database.begin() as connection:
            known = connection.execute(table.select().where(same)).first()
            if known is not None and known.body == body:
                return int(known.id)
            connection.execute(table.delete().where(same))
            made = connection.execute(
                table.insert().values(
                    model=assessment.model,
                    start=assessment.start,
                    as_of=assessment.as_of,
                    harm=assessment.harm,
                    body=body,
                )
            )
            key = made.inserted_primary_key
            assert key is not None
            return int(key[0])

    def assessed(self, since: datetime) -> dict[tuple[str, datetime], datetime]:
        """Return by model and start of a window, from ``since`` on, as of when it was assessed last."""
        table = self._database.tables[_ASSESSMENTS]
        query = table.select().with_only_columns(table.c.model, table.c.start, table.c.as_of)
        with self._database.begin() as connection:
            rows = connection.execute(query.where(table.c.start >= since))
            return {(row.model, row.start): row.as_of for row in rows}

    def assessments_after(self, cursor: int, limit: int = 500) -> list[tuple[int, Assessment | None]]:
        """Return assessments filed after ``cursor``, oldest first, with their ids; None if unreadable."""
        table = self._database.tables[_ASSESSMENTS]
        query = table.select().where(table.c.id > cursor).order_by(table.c.id).limit(limit)
        with self._database.begin() as connection:
            return [(int(r.id), _read(r.body)) for r in connection.execute(query)]

    def assessment(self, id_: int) -> Assessment:
        """Return the assessment of an id that :meth:`record_assessment` gave."""
        table = self._database.tables[_ASSESSMENTS]
        with self._database.begin() as connection:
            row = connection.execute(table.select().where(table.c.id == id_)).one()
        return Assessment.model_validate_json(row.body)

    def assessments(self, model: str) -> list[Assessment]:
        """Return a model's assessments, oldest window first."""
        table = self._database.tables[_ASSESSMENTS]
        query = table.select().where(table.c.model == model).order_by(table.c.start)
        with self._database.begin() as connection:
            read = [_read(row.body) for row in connection.execute(query)]
        return [assessment for assessment in read if assessment]

    def latest_assessments(self) -> dict[str, Assessment]:
        """Return the assessment of each model's newest window, in one query."""
        import sqlalchemy as sa

        table = self._database.tables[_ASSESSMENTS]
        newest = sa.select(table.c.model, sa.func.max(table.c.start).label("start")).group_by(table.c.model)
        latest = newest.subquery()
        query = sa.select(table).join(
            latest, (table.c.model == latest.c.model) & (table.c.start == latest.c.start)
        )
        with self._database.begin() as connection:
            read = {row.model: _read(row.body) for row in connection.execute(query)}
        return {model: assessment for model, assessment in read.items() if assessment}

    def record_decision(self, assessment_id: int, assessment: Assessment, decision: Decision) -> None:
        """File what was decided after an assessment; a second decision takes the first's place."""
        table = self._database.tables[_DECISIONS]
        with self._database.begin() as connection:
            connection.execute(table.delete().where(table.c.assessment_id == assessment_id))
            connection.execute(
                table.insert().values(
                    assessment_id=assessment_id,
                    model=assessment.model,
                    as_of=assessment.as_of,
                    trigger=decision.trigger,
                    retrain=decision.retrain,
                    reason=decision.reason,
                )
            )

    def decision(self, assessment_id: int) -> Decision | None:
        """Return what was decided after an assessment, or None if nothing was yet."""
        table = self._database.tables[_DECISIONS]
        with self._database.begin() as connection:
            row = connection.execute(table.select().where(table.c.assessment_id == assessment_id)).first()
        return None if row is None else Decision(row.trigger, row.retrain, row.reason)

    def retrainings(self, since: datetime) -> dict[str, list[datetime]]:
        """Return by model the as-of times, from ``since`` on, of assessments that started a retraining."""
        table = self._database.tables[_DECISIONS]
        started = table.select().where(table.c.retrain & (table.c.as_of >= since))
        found: dict[str, list[datetime]] = {}
        with self._database.begin() as connection:
            for row in connection.execute(started.order_by(table.c.as_of)):
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
        _ASSESSMENTS,
        metadata,
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("start", sa.DateTime, nullable=False, index=True),
        sa.Column("as_of", sa.DateTime, nullable=False),
        sa.Column("harm", sa.Boolean, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("model", "start"),
        sqlite_autoincrement=True,
    )
    sa.Table(
        _DECISIONS,
        metadata,
        sa.Column("assessment_id", number, primary_key=True, autoincrement=False),
        sa.Column("model", sa.String(64), index=True, nullable=False),
        sa.Column("as_of", sa.DateTime, nullable=False),
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
