"""Predictions for requests that the front leaves alone: each, be it large, wrong or rare, in a thread."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mlops_assets.serving.arms import Arms
from mlops_assets.serving.batches import Asked, Batch
from mlops_assets.serving.bodies import Answered, Sent
from mlops_assets.serving.discretion import entities_of
from mlops_assets.serving.inference import Answer
from mlops_assets.serving.protocols import Protocol
from mlops_assets.serving.table import LiveRollout, Resident

if TYPE_CHECKING:
    from mlops_assets.serving.rows import Rows
    from mlops_assets.serving.usual_requests import Checked


@dataclass(frozen=True)
class Question:
    """A request for predictions.

    Attributes:
        protocol: In which form it is asked.
        sent: What the client sent.
        champion: The version that serves by right, or was asked for.
        rollout: How its traffic is split; None if it is not.
        started: ``time.perf_counter()`` when all of it was there.
        probe: Whether the platform itself asks.
        caller: Who asks.
        entity: Whom or what all rows are about, if a header tells.
    """

    protocol: Protocol
    sent: Sent
    champion: Resident
    rollout: LiveRollout | None
    started: float
    probe: bool
    caller: str
    entity: str | None

    def asked(self, rows: "Rows | Checked") -> Asked:
        """Return what is known besides the rows.

        Raises:
            Refusal: 400: an entity is none.
        """
        entities = entities_of(rows, self.champion.package.manifest, self.entity)
        return Asked(self.started, self.probe, entities, caller=self.caller)

    def read(self, version: Resident) -> "Rows | Checked":
        """Return the rows as a version takes them.

        Raises:
            Refusal: It does not take them.
        """
        rows, _ = self.protocol.read(self.sent, version)
        return rows


@dataclass(frozen=True)
class Predicted:
    """An answered request.

    Attributes:
        resident: The version that answered.
        rows: How many rows it had.
        answered: What the client is told.
    """

    resident: Resident
    rows: int
    answered: Answered


class Predictions:
    """Answers requests; for one event loop.

    Args:
        arms: Answers them.
        threads: Limits how many are worked on at the same time.
    """

    def __init__(self, arms: Arms, threads: anyio.CapacityLimiter) -> None:
        self._arms, self._threads = arms, threads

    async def answer(self, question: Question) -> Predicted:
        """Return the answer.

        Raises:
            Refusal: It is wrong, or the model has no answer.
            StorageError: The log cannot be written; nothing is answered.
        """
        return await anyio.to_thread.run_sync(self._answered, question, limiter=self._threads)

    def _answered(self, question: Question) -> Predicted:
        champion, rollout = question.champion, question.rollout
        rows, form = question.protocol.read(question.sent, champion)
        batch = Batch.of(rows, question.asked(rows))
        alike = rollout is None or rollout.takes_same_as(champion)
        ((resident, answer),) = self._arms.answer(champion, rollout, batch, None if alike else question.read)
        if not isinstance(answer, Answer):
            raise answer
        return Predicted(resident, len(rows), question.protocol.answered(form, resident, answer))
