"""Who answers requests, one version or by a split, and what is done for the comparison of two.

A request is answered by one version, whole. It belongs to the entity it is about, so that a person who has
seen the challenger goes on seeing it; a request about nobody in particular, or about several, is sent by
chance. Where the challenger fails the champion answers, and the failure counts against the challenger.
"""

import time
from collections.abc import Sequence
from typing import TypeAlias

from msgspec.structs import replace

from mlops_assets.errors import StorageError
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import CHALLENGER, CHAMPION, FALLBACK, SHADOW
from mlops_assets.serving.batches import Asked, Batch, ReadAgain
from mlops_assets.serving.discretion import only
from mlops_assets.serving.inference import Answer, answer_each, log_failure
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.shadow import Shadow, Unseen
from mlops_assets.serving.table import LiveRollout, Resident
from mlops_assets.serving.usual_requests import Decoded, Layout

Outcome: TypeAlias = tuple[Resident, Answer | Refusal | StorageError]
"""The version that had to answer a request, and its answer or why there is none."""


class Arms:
    """Answers requests.

    Args:
        recorder: Writes the prediction log.
        meters: Counts what the shadow drops.

    Attributes:
        shadow: Asks the arm that does not answer.
    """

    def __init__(self, recorder: Recorder, meters: Meters) -> None:
        self._recorder = recorder
        self.shadow = Shadow(self._ask_unseen, meters)

    def answer_decoded(
        self,
        champion: Resident,
        rollout: LiveRollout | None,
        layout: Layout,
        requests: Sequence[tuple[Decoded, Asked]],
    ) -> list[Outcome | None]:
        """Return the outcome of requests of which hardly a value has been looked at.

        Args:
            champion: The version that serves by right, or was asked for.
            rollout: How its traffic is split; None if it is not. Both arms take the same requests.
            layout: How the columns lie in the rows of all of them.
            requests: The requests.

        Returns:
            Of each request the outcome; None if its rows do not fit, and have to be read another way to tell
            why.
        """
        values = champion.reader.values(layout, [row for rows, _ in requests for row in rows.rows])
        if values is not None:
            return [*self.answer(champion, rollout, Batch(values, requests))]
        if len(requests) == 1:
            return [None]
        middle = len(requests) // 2
        halves = requests[:middle], requests[middle:]
        return [each for half in halves for each in self.answer_decoded(champion, rollout, layout, half)]

    def answer(
        self,
        champion: Resident,
        rollout: LiveRollout | None,
        batch: Batch,
        read: ReadAgain | None = None,
    ) -> list[Outcome]:
        """Return the outcome of each request.

        Args:
            champion: The version that serves by right, or was asked for.
            rollout: How its traffic is split; None if it is not.
            batch: The requests, as the champion takes them.
            read: Reads the request, which has to be the only one then, as another version takes it; None
                if the challenger takes the same.
        """
        if rollout is None:
            return [(champion, answer) for answer in answer_each(self._recorder, champion, batch)]
        batch = batch.asked(lambda asked: self._assigned(champion, rollout, asked))
        outcomes: dict[int, Outcome] = {}
        began = time.perf_counter()
        for arm, answers in ((CHAMPION, self._champions), (CHALLENGER, self._challengers)):
            places = [place for place, (_, asked) in enumerate(batch.requests) if asked.arm == arm]
            if not places:
                continue
            part = batch.part(places)
            if outcomes:  # the time for which one arm has to wait for the other is not its own
                part = part.later(time.perf_counter() - began)
            outcomes.update(zip(places, answers(champion, rollout, part, read), strict=True))
        return [outcomes[place] for place in range(len(outcomes))]

    def _assigned(self, champion: Resident, rollout: LiveRollout, asked: Asked) -> Asked:
        base = self._recorder.ids.new(champion.model)
        tried = rollout.is_challengers(only(asked.entities) or base)
        return replace(asked, base=base, arm=CHALLENGER if tried else CHAMPION, traffic=rollout.serial)

    def _champions(
        self, champion: Resident, rollout: LiveRollout, batch: Batch, read: ReadAgain | None
    ) -> list[Outcome]:
        answers = self._answers(champion, batch)
        if rollout.paired:
            self.shadow.offer(Unseen(rollout.challenger, batch, read))
        return [(champion, answer) for answer in answers]

    def _challengers(
        self, champion: Resident, rollout: LiveRollout, batch: Batch, read: ReadAgain | None
    ) -> list[Outcome]:
        challenger = rollout.challenger
        answers = self._answers(challenger, batch, read)
        outcomes: list[Outcome] = [(challenger, answer) for answer in answers]
        if failed := [place for place, answer in enumerate(answers) if isinstance(answer, Refusal)]:
            instead = answer_each(self._recorder, champion, batch.part(failed).on(FALLBACK))
            for place, answer in zip(failed, instead, strict=True):
                outcomes[place] = champion, answer
        if rollout.paired:
            self.shadow.offer(Unseen(champion, batch))
        return outcomes

    def _ask_unseen(self, unseen: Unseen) -> None:
        now = time.perf_counter()
        batch = unseen.batch.asked(lambda asked: replace(asked, started=now, arm=SHADOW))
        self._answers(unseen.resident, batch, unseen.read)

    def _answers(
        self, version: Resident, batch: Batch, read: ReadAgain | None = None
    ) -> Sequence[Answer | Refusal | StorageError]:
        """Have one arm answer, and log where it fails; not to take what the champion takes is to fail."""
        try:
            if read is not None:
                ((_, asked),) = batch.requests
                batch = Batch.of(read(version), asked)
            answers = answer_each(self._recorder, version, batch)
        except Refusal as refusal:
            answers = [refusal]
        return [
            log_failure(self._recorder, version, answer, asked) if isinstance(answer, Refusal) else answer
            for answer, (_, asked) in zip(answers, batch.requests, strict=True)
        ]
