"""The fleet's state beside the registry: assessments, decisions, trainings, and what changed production.

One small database for all models, so that the sensor of a thousand models asks one question a tick.
"""

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import StorageError
from mlops_assets.home import storage_errors, storage_failure_in
from mlops_assets.monitoring.assessment import Assessment
from mlops_assets.monitoring.retraining import Decision
from mlops_assets.specs.durations import utc_now

if TYPE_CHECKING:
    import sqlalchemy as sa


class FleetState:
    """Assessments, decisions, trainings and the audit log in any database SQLAlchemy reaches.

    Args:
        url: SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    @cached_property
    def _tables(self) -> dict[str, "sa.Table"]:
        import sqlalchemy as sa

        metadata = sa.MetaData()
        number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
        tables = (
            sa.Table(
                "assessments",
                metadata,
                sa.Column("id", number, primary_key=True, autoincrement=True),
                sa.Column("model", sa.String(64), index=True, nullable=False),
                sa.Column("as_of", sa.DateTime, nullable=False),
                sa.Column("harm", sa.Boolean, nullable=False),
                sa.Column("body", sa.Text, nullable=False),
                sqlite_autoincrement=True,
            ),
            sa.Table(
                "decisions",
                metadata,
                sa.Column("assessment_id", number, primary_key=True, autoincrement=False),
                sa.Column("model", sa.String(64), index=True, nullable=False),
                sa.Column("trigger", sa.String(16)),
                sa.Column("retrain", sa.Boolean, nullable=False),
                sa.Column("reason", sa.Text, nullable=False),
            ),
            sa.Table(
                "trainings",
                metadata,
                sa.Column("id", number, primary_key=True, autoincrement=True),
                sa.Column("model", sa.String(64), index=True, nullable=False),
                sa.Column("as_of", sa.DateTime, nullable=False),
            ),
            sa.Table(
                "audit",
                metadata,
                sa.Column("id", number, primary_key=True, autoincrement=True),
                sa.Column("at", sa.DateTime, nullable=False),
                sa.Column("actor", sa.String(128), nullable=False),
                sa.Column("action", sa.String(32), nullable=False),
                sa.Column("model", sa.String(64), index=True, nullable=False),
                sa.Column("detail", sa.JSON, nullable=False),
            ),
        )
        return {table.name: table for table in tables}

    @cached_property
    def _engine(self) -> "sa.Engine":
        import sqlalchemy as sa

        try:
            engine = sa.create_engine(self._url)
        except (sa.exc.ArgumentError, ImportError) as error:
            raise StorageError(f"fleet state: MLOPS_STATE_URL is not usable: {error}") from error
        if engine.dialect.name == "sqlite" and engine.url.database:
            folder = Path(engine.url.database).parent
            with storage_errors(folder):
                folder.mkdir(parents=True, exist_ok=True)
        try:
            self._make_tables(engine)
        except sa.exc.DBAPIError:
            # Another process may have made a table between our look and our making it; look again.
            self._make_tables(engine)
        return engine

    def _make_tables(self, engine: "sa.Engine") -> None:
        """Make all tables and indexes or, if killed on the way, none: an index is never looked for again."""
        import sqlalchemy as sa

        if self._tables.keys() <= set(sa.inspect(engine).get_table_names()):
            return
        with engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                # Python's sqlite3 begins no transaction by itself for what defines tables; and of two that
                # begin by reading, neither could write.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            self._tables["audit"].metadata.create_all(connection)

    def record_assessment(self, assessment: Assessment) -> int:
        """File an assessment and return its id; an equal one of the same time is not filed twice."""
        table = self._tables["assessments"]
        body = assessment.model_dump_json()
        same = (table.c.model == assessment.model) & (table.c.as_of == assessment.as_of)
        with self._begin() as connection:
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
        table = self._tables["assessments"]
        query = table.select().where(table.c.id > cursor).order_by(table.c.id).limit(limit)
        with self._begin() as connection:
            return [(int(r.id), _read(r.body)) for r in connection.execute(query)]

    def assessment(self, id_: int) -> Assessment:
        """Return the assessment of an id that :meth:`record_assessment` gave."""
        table = self._tables["assessments"]
        with self._begin() as connection:
            row = connection.execute(table.select().where(table.c.id == id_)).one()
        return Assessment.model_validate_json(row.body)

    def assessments(self, model: str) -> list[Assessment]:
        """Return a model's assessments, oldest window first."""
        table = self._tables["assessments"]
        query = table.select().where(table.c.model == model).order_by(table.c.as_of)
        with self._begin() as connection:
            read = [_read(row.body) for row in connection.execute(query)]
        return [assessment for assessment in read if assessment]

    def latest_assessments(self) -> dict[str, Assessment]:
        """Return each model's newest assessment, in one query."""
        import sqlalchemy as sa

        table = self._tables["assessments"]
        newest = sa.select(table.c.model, sa.func.max(table.c.as_of).label("as_of")).group_by(table.c.model)
        latest = newest.subquery()
        query = sa.select(table).join(
            latest, (table.c.model == latest.c.model) & (table.c.as_of == latest.c.as_of)
        )
        with self._begin() as connection:
            read = {row.model: _read(row.body) for row in connection.execute(query)}
        return {model: assessment for model, assessment in read.items() if assessment}

    def record_decision(self, assessment_id: int, model: str, decision: Decision) -> None:
        """File what was decided after an assessment; a second decision takes the first's place."""
        table = self._tables["decisions"]
        with self._begin() as connection:
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
        table = self._tables["decisions"]
        with self._begin() as connection:
            row = connection.execute(table.select().where(table.c.assessment_id == assessment_id)).first()
        return None if row is None else Decision(row.trigger, row.retrain, row.reason)

    def record_training(self, model: str, as_of: datetime) -> None:
        """Remember that a model was trained as of a time."""
        with self._begin() as connection:
            connection.execute(self._tables["trainings"].insert().values(model=model, as_of=as_of))

    def last_trainings(self) -> dict[str, datetime]:
        """Return the as-of time of each model's newest training."""
        import sqlalchemy as sa

        table = self._tables["trainings"]
        query = sa.select(table.c.model, sa.func.max(table.c.as_of).label("as_of")).group_by(table.c.model)
        with self._begin() as connection:
            return {r.model: r.as_of for r in connection.execute(query)}

    def record_change(self, action: str, model: str, actor: str | None = None, **detail: Any) -> None:
        """Add an audit entry: who changed what about production, and why."""
        with self._begin() as connection:
            connection.execute(
                self._tables["audit"]
                .insert()
                .values(
                    at=utc_now(),
                    actor=actor or _user(),
                    action=action,
                    model=model,
                    detail=detail,
                )
            )

    def recorded_champion(self, model: str) -> str | None:
        """Return the version that the newest promotion or rollback on record made the champion."""
        moves = [c for c in self.changes(model) if c["action"] in ("promote", "rollback")]
        return str(moves[-1]["detail"]["version"]) if moves else None

    def changes(self, model: str) -> list[dict[str, Any]]:
        """Return a model's audit entries, oldest first."""
        table = self._tables["audit"]
        query = table.select().where(table.c.model == model).order_by(table.c.id)
        with self._begin() as connection:
            return [dict(r._mapping) for r in connection.execute(query)]

    @contextmanager
    def _begin(self) -> Iterator["sa.Connection"]:
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            said = str(getattr(error, "orig", None) or error)
            reason = storage_failure_in(said) or f"{said}; check MLOPS_HOME or MLOPS_STATE_URL"
            raise StorageError(f"fleet state: {reason}") from error


def _user() -> str:
    """Return who runs this process; a container's user often has a number and no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _read(body: str) -> Assessment | None:
    """Return a filed assessment, or None if it is of a version of the platform that wrote another form.

    One that cannot be read must not keep the whole fleet from being watched.
    """
    try:
        return Assessment.model_validate_json(body)
    except ValueError:
        return None
