"""Predictions for requests that the front leaves alone.

Where the model takes its time, small requests are answered together (:mod:`~mlops_assets.serving.lines`). All
others, be they large, wrong or rare, are each read and answered in a thread.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from mlops_assets.serving.answer_form import AnswerForm
from mlops_assets.serving.arms import Arms, Outcome
from mlops_assets.serving.batches import Asked, Batch
from mlops_assets.serving.bodies import Answered, Sent
from mlops_assets.serving.discretion import entities_of
from mlops_assets.serving.inference import Answer
from mlops_assets.serving.lines import Lines
from mlops_assets.serving.protocols import Protocol, usual_rows
from mlops_assets.serving.table import LiveRollout, Resident, are_quick

if TYPE_CHECKING:
    from mlops_assets.serving.rows import Rows
    from mlops_assets.serving.usual_requests import Checked, Decoded

# To decode more takes longer than the event loop may be held up.
_MOST_BYTES_IN_LINE = 2**16


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

    def asked(self, rows: "Rows | Decoded") -> Asked:
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
        self._lines = Lines(arms, threads)

    async def answer(self, question: Question) -> Predicted:
        """Return the answer.

        Raises:
            Refusal: It is wrong, or the model has no answer.
            StorageError: The log cannot be written; nothing is answered.
        """
        predicted = await self._in_line(question)
        if predicted is None:
            predicted = await anyio.to_thread.run_sync(self._alone, question, limiter=self._threads)
        return predicted

    async def _in_line(self, question: Question) -> Predicted | None:
        """Return the answer to a usual request to a model that takes its time, None to any other."""
        champion, rollout, content = question.champion, question.rollout, question.sent.content
        if question.probe or question.sent.json_length is not None or len(content) > _MOST_BYTES_IN_LINE:
            return None
        if are_quick(champion, rollout):  # then it has been found to be unusual
            return None
        if (rows := usual_rows(question.protocol, content, champion, rollout)) is None:
            return None
        outcome = await self._lines.answer(champion, rollout, rows, question.asked(rows))
        return None if outcome is None else _predicted(question, rows.form, len(rows), outcome)

    def _alone(self, question: Question) -> Predicted:
        champion, rollout = question.champion, question.rollout
        rows, form = question.protocol.read(question.sent, champion)
        batch = Batch.of(rows, question.asked(rows))
        alike = rollout is None or rollout.takes_same_as(champion)
        (outcome,) = self._arms.answer(champion, rollout, batch, None if alike else question.read)
        return _predicted(question, form, len(rows), outcome)


def _predicted(question: Question, form: AnswerForm, rows: int, outcome: Outcome) -> Predicted:
    """Return what an outcome is for the client.

    Raises:
        Refusal: There is no answer.
        StorageError: Likewise.
    """
    resident, answer = outcome
    if not isinstance(answer, Answer):
        raise answer
    return Predicted(resident, rows, question.protocol.answered(form, resident, answer))
