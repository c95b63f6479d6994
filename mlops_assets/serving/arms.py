"""Who answers a request while a rollout runs, and what is done for the comparison.

A request is answered by one version, whole. It belongs to the entity it is about, so that a person who has
seen the challenger goes on seeing it; a request about nobody in particular, or about several, is sent by
chance. Where the challenger fails the champion answers, and the failure counts against the challenger.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from mlops_assets.errors import StorageError
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import (
    CHALLENGER,
    CHAMPION,
    FALLBACK,
    MODEL_FAILED,
    SHADOW,
    Failure,
)
from mlops_assets.serving.discretion import Entities, as_logged, message_logged
from mlops_assets.serving.inference import Answer, Asked, answer_rows
from mlops_assets.serving.matrices import Matrix
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import Rows
from mlops_assets.serving.shadow import Shadow
from mlops_assets.serving.table import LiveRollout, Resident

ReadAgain: TypeAlias = Callable[[Resident], Rows | Matrix]
"""Reads a request as another version takes it."""


@dataclass(frozen=True)
class Arms:
    """Answers requests to models that are in a rollout.

    Args:
        recorder: Writes the prediction log.
        shadow: Asks the unseen arm.
    """

    recorder: Recorder
    shadow: Shadow

    def answer(
        self,
        champion: Resident,
        rollout: LiveRollout,
        rows: Rows | Matrix,
        read: ReadAgain,
        asked: Asked,
    ) -> tuple[Resident, Answer]:
        """Return which version answered, and what.

        Args:
            champion: The version that serves by right.
            rollout: How its traffic is split.
            rows: The request, as the champion takes it.
            read: Reads it as another version takes it.
            asked: What else is known of the request.

        Raises:
            Refusal: The champion has no answer for these rows.
            StorageError: The log cannot be written; nothing is answered.
        """
        base = self.recorder.ids.new(champion.model)
        entity = _only(asked.entities)
        tried = rollout.is_challengers(entity or base)
        arm, other = (CHALLENGER, champion) if tried else (CHAMPION, rollout.challenger)
        asked = asked.of(base, arm, rollout.serial)
        try:
            if not tried:
                return champion, answer_rows(self.recorder, champion, rows, asked)
            return rollout.challenger, self._challengers(champion, rollout, rows, read, asked)
        except Refusal as refusal:
            self._failed(champion if not tried else rollout.challenger, refusal, asked)
            if not tried:
                refusal.is_logged = True
                raise
            return champion, answer_rows(
                self.recorder, champion, rows, asked.of(base, FALLBACK, rollout.serial)
            )
        finally:
            if rollout.paired:
                self._ask_unseen(other, champion, rows, read, asked.of(base, SHADOW, rollout.serial))

    def _challengers(
        self, champion: Resident, rollout: LiveRollout, rows: Rows | Matrix, read: ReadAgain, asked: Asked
    ) -> Answer:
        challenger = rollout.challenger
        return answer_rows(self.recorder, challenger, _as_taken_by(challenger, champion, rows, read), asked)

    def _ask_unseen(
        self, unseen: Resident, champion: Resident, rows: Rows | Matrix, read: ReadAgain, asked: Asked
    ) -> None:
        def ask() -> None:
            later = asked.from_now()
            try:
                answer_rows(self.recorder, unseen, _as_taken_by(unseen, champion, rows, read), later)
            except Refusal as refusal:
                self._failed(unseen, refusal, later)
            except StorageError:
                pass  # whoever answers callers tells of it

        self.shadow.offer(unseen.model, ask)

    def _failed(self, version: Resident, refusal: Refusal, asked: Asked) -> None:
        """Log that an arm has no answer; not to take what the champion takes is to have none."""
        about = _only(asked.entities)
        manifest, pseudonyms = version.package.manifest, self.recorder.pseudonyms
        status = refusal.status if refusal.status in MODEL_FAILED else 422
        failure = Failure(
            version.model,
            time.time_ns() // 1000,
            status,
            message_logged(str(refusal), version.treatments),
            caller=asked.caller,
            base=asked.base,
            version=version.version,
            arm=asked.arm,
            traffic=asked.traffic,
            entity=as_logged([about], manifest, pseudonyms)[0],
        )
        try:
            self.recorder.failure(failure)
        except StorageError:
            if self.recorder.unlogged is None:
                raise


def _only(entities: Entities | None) -> str | None:
    """Return the entity that all rows are about, if they are about one."""
    return entities[0] if entities and len({*entities}) == 1 else None


def _as_taken_by(
    version: Resident, champion: Resident, rows: Rows | Matrix, read: ReadAgain
) -> Rows | Matrix:
    return rows if version.takes == champion.takes else read(version)
