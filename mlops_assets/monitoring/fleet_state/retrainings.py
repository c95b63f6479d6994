"""Retrainings: what was decided, what was trained of what, and what it gained."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.monitoring.assessment.record import Assessment
from mlops_assets.monitoring.fleet_state.tables import (
    CANDIDATES,
    DECISIONS,
    OUTCOMES,
    TRAININGS,
    StateDatabase,
)
from mlops_assets.monitoring.retraining import Decision
from mlops_assets.monitoring.retraining.gain import Outcome

if TYPE_CHECKING:
    import sqlalchemy as sa


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


class Retrainings(StateDatabase):
    """Decisions, trainings, candidates and what they gained."""

    def record_decision(self, assessment_id: int, assessment: Assessment, decision: Decision) -> None:
        """File what was decided after an assessment; a second decision takes the first's place."""
        table = self._database.tables[DECISIONS]
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
        table = self._database.tables[DECISIONS]
        with self._database.begin() as connection:
            row = connection.execute(table.select().where(table.c.assessment_id == assessment_id)).first()
        return None if row is None else Decision(row.trigger, row.retrain, row.reason)

    def decisions(self, since: datetime, until: datetime) -> list[FiledDecision]:
        """Return what was decided about retraining between two times, oldest first."""
        table = self._database.tables[DECISIONS]
        within = (table.c.as_of > since) & (table.c.as_of <= until)
        return self._filed(table.select().where(within).order_by(table.c.as_of))

    def decisions_about(self, model: str, last: int) -> list[FiledDecision]:
        """Return what was decided about retraining a model, the newest first, at most so much."""
        table = self._database.tables[DECISIONS]
        own = table.select().where(table.c.model == model)
        return self._filed(own.order_by(table.c.as_of.desc()).limit(last))

    def _filed(self, query: "sa.Select[Any]") -> list[FiledDecision]:
        """Return decisions that a query selects, without reading what they rest on."""
        table = self._database.tables[DECISIONS]
        query = query.with_only_columns(*(table.c[field.name] for field in fields(FiledDecision)))
        with self._database.begin() as connection:
            return [FiledDecision(*row) for row in connection.execute(query)]

    def retrainings(self, since: datetime) -> dict[str, list[datetime]]:
        """Return by model the as-of times, from ``since`` on, of assessments that started a retraining."""
        table = self._database.tables[DECISIONS]
        started = table.select().where(table.c.retrain & (table.c.as_of >= since))
        found: dict[str, list[datetime]] = {}
        with self._database.begin() as connection:
            for row in connection.execute(started.order_by(table.c.as_of)):
                found.setdefault(row.model, []).append(row.as_of)
        return found

    def record_training(self, model: str, as_of: datetime) -> None:
        """Remember that a model was trained as of a time."""
        with self._database.begin() as connection:
            connection.execute(self._database.tables[TRAININGS].insert().values(model=model, as_of=as_of))

    def last_trainings(self) -> dict[str, datetime]:
        """Return the as-of time of each model's newest training."""
        import sqlalchemy as sa

        table = self._database.tables[TRAININGS]
        query = sa.select(table.c.model, sa.func.max(table.c.as_of).label("as_of")).group_by(table.c.model)
        with self._database.begin() as connection:
            return {r.model: r.as_of for r in connection.execute(query)}

    def record_candidate(self, model: str, candidate: str, rows: int, seconds: float) -> None:
        """Remember what a candidate learned from, and what its training took.

        Args:
            model: Model name.
            candidate: Digest of its package.
            rows: How many rows it learned from.
            seconds: Processor time.
        """
        values = {"model": model, "rows": rows, "seconds": seconds}
        self._replace(CANDIDATES, {"candidate": candidate}, values)

    def candidates(self) -> dict[str, list[Learned]]:
        """Return by model what its candidates learned from, oldest first."""
        table = self._database.tables[CANDIDATES]
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
            OUTCOMES, {"candidate": candidate, "against": against}, {"model": model, **asdict(outcome)}
        )

    def outcomes(self, without: Collection[str] = ()) -> dict[str, list[Outcome]]:
        """Return by model what its retrainings gained, oldest first.

        Args:
            without: Candidates that are left out, by digest.
        """
        table = self._database.tables[OUTCOMES]
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
