"""The fleet's state beside the registry: assessments, decisions and trainings.

One small database for all models, so that the sensor of a thousand models asks one question a tick.
"""

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from mlops_assets.database import Database
from mlops_assets.monitoring.assessment.history import History, Lasting, Recent
from mlops_assets.monitoring.assessment.record import Assessment
from mlops_assets.monitoring.fleet_overview import ModelOverview, overview
from mlops_assets.monitoring.retraining import Decision
from mlops_assets.monitoring.retraining.gain import Outcome

if TYPE_CHECKING:
    import sqlalchemy as sa


_Listed = TypeVar("_Listed", "WindowGlance", "FiledDecision")
_ASSESSMENTS, _DECISIONS, _HISTORY = "assessed_windows", "decisions_to_retrain", "window_history"
_CANDIDATES, _OUTCOMES = "trained_candidates", "retraining_outcomes"
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


@dataclass(frozen=True)
class Learned:
    """What a candidate learned from.

    Attributes:
        candidate: Digest of its package.
        rows: How many rows.
        seconds: Processor time of its training.
    """

    candidate: str
    rows: int
    seconds: float


@dataclass(frozen=True)
class WindowGlance:
    """A window that was looked at, at a glance.

    Attributes:
        model: Model name.
        owner: Who answers for it.
        risk: Its risk.
        metric: Its primary metric.
        start: When the window starts.
        end: When it ends, exclusive.
        served: Rows answered.
        measured: The metric on labels; None if it was not measured.
        estimated: The metric before labels; None if it was not estimated.
        drifted: How many columns drifted.
        alarms: How many alarms there were.
        harm: Whether the model did harm.
        cost: Of 1,000 predictions; None if not known.
    """

    model: str
    owner: str
    risk: str
    metric: str
    start: datetime
    end: datetime
    served: int
    measured: float | None
    estimated: float | None
    drifted: int
    alarms: int
    harm: bool
    cost: float | None


@dataclass(frozen=True)
class FiledDecision:
    """What was decided about a retraining.

    Attributes:
        model: Model name.
        as_of: When.
        trigger: What called for it; None if nothing did.
        retrain: Whether it started.
        reason: Why.
    """

    model: str
    as_of: datetime
    trigger: str | None
    retrain: bool
    reason: str


class FleetState:
    """Assessments, decisions and trainings in any database SQLAlchemy reaches.

    Args:
        url: SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        self._database = Database(url, "fleet state", _declare)

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
        table = self._database.tables[_ASSESSMENTS]
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

    def history(self, model: str, version: str, before: datetime, recent: int) -> History:
        """Return what is kept of a version's windows before a time.

        Args:
            model: Model name.
            version: The version.
            before: Start of the window that is looked at.
            recent: How many of the last ones are needed with all that the next windows need.
        """
        table = self._database.tables[_HISTORY]
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
        table = self._database.tables[_ASSESSMENTS]
        query = table.select().where(~table.c.told).order_by(table.c.id)
        with self._database.begin() as connection:
            read = [(int(row.id), _read(row.body)) for row in connection.execute(query)]
        return [(id_, assessment) for id_, assessment in read if assessment]

    def mark_told(self, ids: Iterable[int]) -> None:
        """Remember that the alarms of some assessments were taken in."""
        table = self._database.tables[_ASSESSMENTS]
        told = table.update().values(told=True)
        with self._database.begin() as connection:
            for id_ in ids:
                connection.execute(told.where(table.c.id == id_))

    def judged_until(self) -> dict[str, datetime]:
        """Return by model the end of its newest window that was looked at, in one query."""
        import sqlalchemy as sa

        table = self._database.tables[_ASSESSMENTS]
        query = sa.select(table.c.model, sa.func.max(table.c.end).label("end")).group_by(table.c.model)
        with self._database.begin() as connection:
            return {row.model: row.end for row in connection.execute(query)}

    def assessed(self, since: datetime) -> dict[str, dict[datetime, AssessedWindow]]:
        """Return by model the windows from ``since`` on that were looked at, by their starts."""
        table = self._database.tables[_ASSESSMENTS]
        query = table.select().with_only_columns(
            table.c.model, table.c.start, table.c.end, table.c.as_of, table.c.served
        )
        found: dict[str, dict[datetime, AssessedWindow]] = {}
        with self._database.begin() as connection:
            for row in connection.execute(query.where(table.c.start >= since)):
                looked = AssessedWindow(row.start, row.end, row.as_of, row.served)
                found.setdefault(row.model, {})[row.start] = looked
        return found

    def glances(self, since: datetime, until: datetime) -> list[WindowGlance]:
        """Return all windows that end between two times, oldest first, without reading what was found."""
        table = self._database.tables[_ASSESSMENTS]
        within = (table.c.end > since) & (table.c.end <= until)
        return self._listed(WindowGlance, _ASSESSMENTS, within, "start")

    def decisions(self, since: datetime, until: datetime) -> list[FiledDecision]:
        """Return what was decided about retraining between two times, oldest first."""
        table = self._database.tables[_DECISIONS]
        within = (table.c.as_of > since) & (table.c.as_of <= until)
        return self._listed(FiledDecision, _DECISIONS, within, "as_of")

    def _listed(
        self, kind: type[_Listed], name: str, which: "sa.ColumnElement[bool]", order: str
    ) -> list[_Listed]:
        """Return rows of a table as records that have columns of it for fields."""
        table = self._database.tables[name]
        columns = [table.c[field.name] for field in fields(kind)]
        query = table.select().with_only_columns(*columns).where(which).order_by(table.c[order])
        with self._database.begin() as connection:
            return [kind(*row) for row in connection.execute(query)]

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

    def assessments(self, model: str, last: int | None = None) -> list[Assessment]:
        """Return a model's assessments, oldest window first.

        Args:
            model: Model name.
            last: At most so many, the newest.
        """
        table = self._database.tables[_ASSESSMENTS]
        query = table.select().where(table.c.model == model).order_by(table.c.start.desc()).limit(last)
        with self._database.begin() as connection:
            read = [_read(row.body) for row in connection.execute(query)][::-1]
        return [assessment for assessment in read if assessment]

    def latest(self, model: str, before: datetime) -> Assessment | None:
        """Return the assessment of a model's newest window that starts before a time."""
        table = self._database.tables[_ASSESSMENTS]
        own = (table.c.model == model) & (table.c.start < before)
        with self._database.begin() as connection:
            row = connection.execute(table.select().where(own).order_by(table.c.start.desc())).first()
        return None if row is None else _read(row.body)

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

    def overview(
        self, since: datetime, windows: int = 30, model: str | None = None
    ) -> dict[str, ModelOverview]:
        """Return by model its newest window and the last ones at a glance, without reading a body.

        Args:
            since: Models whose newest window starts before are left out.
            windows: How many windows of each model, at most.
            model: Of this model only.
        """
        with self._database.begin() as connection:
            return overview(connection, self._database.tables[_ASSESSMENTS], since, windows, model)

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
                    record=msgspec.json.encode(decision.as_record(), enc_hook=str).decode(),
                )
            )

    def decision(self, assessment_id: int) -> Decision | None:
        """Return what was decided after an assessment, or None if nothing was yet."""
        table = self._database.tables[_DECISIONS]
        with self._database.begin() as connection:
            row = connection.execute(table.select().where(table.c.assessment_id == assessment_id)).first()
        return None if row is None else Decision(row.trigger, row.retrain, row.reason)

    def decisions_about(self, model: str, last: int) -> list[FiledDecision]:
        """Return what was decided about retraining a model, the newest first, at most so much."""
        table = self._database.tables[_DECISIONS]
        query = table.select().with_only_columns(*(table.c[field.name] for field in fields(FiledDecision)))
        query = query.where(table.c.model == model).order_by(table.c.as_of.desc()).limit(last)
        with self._database.begin() as connection:
            return [FiledDecision(*row) for row in connection.execute(query)]

    def retrainings(self, since: datetime) -> dict[str, list[datetime]]:
        """Return by model the as-of times, from ``since`` on, of assessments that started a retraining."""
        table = self._database.tables[_DECISIONS]
        started = table.select().where(table.c.retrain & (table.c.as_of >= since))
        found: dict[str, list[datetime]] = {}
        with self._database.begin() as connection:
            for row in connection.execute(started.order_by(table.c.as_of)):
                found.setdefault(row.model, []).append(row.as_of)
        return found

    def _keep(
        self, connection: "sa.Connection", assessment: Assessment, recent: bytes, lasting: bytes
    ) -> None:
        table = self._database.tables[_HISTORY]
        key = {"model": assessment.model, "version": assessment.version, "start": assessment.start}
        same = (
            (table.c.model == assessment.model)
            & (table.c.version == assessment.version)
            & (table.c.start == assessment.start)
        )
        connection.execute(table.delete().where(same))
        connection.execute(table.insert().values(**key, recent=recent, lasting=lasting))

    def record_training(self, model: str, as_of: datetime) -> None:
        """Remember that a model was trained as of a time."""
        with self._database.begin() as connection:
            connection.execute(self._database.tables["trainings"].insert().values(model=model, as_of=as_of))

    def record_candidate(self, model: str, candidate: str, rows: int, seconds: float) -> None:
        """Remember what a candidate learned from, and what its training took.

        Args:
            model: Model name.
            candidate: Digest of its package.
            rows: How many rows it learned from.
            seconds: Processor time.
        """
        values = {"model": model, "rows": rows, "seconds": seconds}
        self._replace(_CANDIDATES, {"candidate": candidate}, values)

    def candidates(self) -> dict[str, list[Learned]]:
        """Return by model what its candidates learned from, oldest first."""
        table = self._database.tables[_CANDIDATES]
        found: dict[str, list[Learned]] = {}
        with self._database.begin() as connection:
            for row in connection.execute(table.select().order_by(table.c.id)):
                found.setdefault(row.model, []).append(Learned(row.candidate, row.rows, row.seconds))
        return found

    def record_outcome(self, model: str, candidate: str, against: str, outcome: Outcome) -> None:
        """Remember what a retraining gained over what served.

        Args:
            model: Model name.
            candidate: Digest of the package of the one.
            against: The other's.
            outcome: What it gained.
        """
        self._replace(
            _OUTCOMES, {"candidate": candidate, "against": against}, {"model": model, **asdict(outcome)}
        )

    def outcomes(self, without: Collection[str] = ()) -> dict[str, list[Outcome]]:
        """Return by model what its retrainings gained, oldest first.

        Args:
            without: Candidates that are left out, by digest.
        """
        table = self._database.tables[_OUTCOMES]
        query = table.select().where(table.c.candidate.not_in(without)).order_by(table.c.id)
        found: dict[str, list[Outcome]] = {}
        with self._database.begin() as connection:
            for row in connection.execute(query):
                told = Outcome(row.growth, row.excess, row.gain, row.error)
                found.setdefault(row.model, []).append(told)
        return found

    def _replace(self, name: str, key: dict[str, Any], values: dict[str, Any]) -> None:
        table = self._database.tables[name]
        with self._database.begin() as connection:
            query = table.delete()
            for column, value in key.items():
                query = query.where(table.c[column] == value)
            connection.execute(query)
            connection.execute(table.insert().values(**key, **values))

    def last_trainings(self) -> dict[str, datetime]:
        """Return the as-of time of each model's newest training."""
        import sqlalchemy as sa

        table = self._database.tables["trainings"]
        query = sa.select(table.c.model, sa.func.max(table.c.as_of).label("as_of")).group_by(table.c.model)
        with self._database.begin() as connection:
            return {r.model: r.as_of for r in connection.execute(query)}


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


def _declare(metadata: "sa.MetaData") -> None:
    import sqlalchemy as sa

    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    sa.Table(
        _ASSESSMENTS,
        metadata,
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("start", sa.DateTime, nullable=False, index=True),
        sa.Column("end", sa.DateTime, nullable=False),
        sa.Column("as_of", sa.DateTime, nullable=False),
        sa.Column("harm", sa.Boolean, nullable=False),
        # At a glance, so that a page of a thousand models reads no bodies.
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("risk", sa.String(16), nullable=False),
        sa.Column("metric", sa.String(32), nullable=False),
        sa.Column("served", sa.BigInteger, nullable=False),
        sa.Column("measured", sa.Float),
        sa.Column("estimated", sa.Float),
        sa.Column("drifted", sa.Integer, nullable=False),
        sa.Column("alarms", sa.Integer, nullable=False),
        sa.Column("cost", sa.Float),
        sa.Column("told", sa.Boolean, nullable=False, index=True),
        sa.Column("body", sa.Text, nullable=False),
        sa.UniqueConstraint("model", "start"),
        sqlite_autoincrement=True,
    )
    # Apart from what is shown: blobs that only the next pass reads.
    sa.Table(
        _HISTORY,
        metadata,
        sa.Column("model", sa.String(64), primary_key=True),
        sa.Column("version", sa.String(32), primary_key=True),
        sa.Column("start", sa.DateTime, primary_key=True),
        sa.Column("recent", sa.LargeBinary, nullable=False),
        sa.Column("lasting", sa.LargeBinary, nullable=False),
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
        sa.Column("record", sa.Text, nullable=False),
    )
    sa.Table(
        _CANDIDATES,
        metadata,
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("candidate", sa.String(64), unique=True, nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    sa.Table(
        _OUTCOMES,
        metadata,
        sa.Column("id", number, primary_key=True, autoincrement=True),
        sa.Column("candidate", sa.String(64), nullable=False),
        sa.Column("against", sa.String(64), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        *(sa.Column(field.name, sa.Float, nullable=False) for field in fields(Outcome)),
        sa.UniqueConstraint("candidate", "against"),
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
