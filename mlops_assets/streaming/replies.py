"""What is said to messages: the champion's answer, which is logged before it leaves, or what is wrong."""

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlops_assets.errors import StorageError
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import STREAM, Failure
from mlops_assets.serving.arms import Arms
from mlops_assets.serving.batches import Asked, Batch
from mlops_assets.serving.bodies import Sent, read_json
from mlops_assets.serving.discretion import entities_of, message_logged
from mlops_assets.serving.inference import Answer
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.protocols import Invocations
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import Rows
from mlops_assets.serving.table import Resident
from mlops_assets.serving.usual_requests import Decoded, Layout
from mlops_assets.streaming.logged_offsets import LoggedOffsets
from mlops_assets.streaming.stream import Message

_FORM = Invocations()
# The greatest time that an id can hold, microseconds since 1970.
_LAST = 16**14 - 1


@dataclass(frozen=True)
class Reply:
    """What is said to a message.

    Attributes:
        message: The message.
        body: What is said.
        is_refused: Whether that is no answer, but what is wrong with the message.
    """

    message: Message
    body: Mapping[str, Any]
    is_refused: bool = False


class Responder:
    """Replies to messages, each of which is one row of inputs as JSON.

    Args:
        model: Model name.
        champion: Tells who serves by right; asked once for all messages that are replied to together.
        recorder: Writes the prediction log.
        log: Reads it.
        offsets: Tells which messages may be in it.
    """

    def __init__(
        self,
        model: str,
        champion: Callable[[], Resident],
        recorder: Recorder,
        log: PredictionLog,
        offsets: LoggedOffsets,
    ) -> None:
        self._model, self._champion = model, champion
        self._recorder, self._log, self._offsets = recorder, log, offsets
        self._arms = Arms(recorder, Meters())

    def replies(self, messages: Sequence[Message]) -> list[Reply]:
        """Return the reply to each message; all answers are in the prediction log then, once each.

        A message that was answered before has the answer that it had, by whichever version.

        Raises:
            RegistryError: Nobody serves by right.
            StorageError: The log cannot be written; some answers may be in it, and no reply may leave.
        """
        started, resident = time.perf_counter(), self._champion()
        asked = {self._prediction_id(message): message for message in messages}
        with self._offsets.claimed(messages) as maybe_logged:
            known = self._log.answers(self._model, [self._prediction_id(each) for each in maybe_logged])
            new = {base: message for base, message in asked.items() if base not in known}
            outcomes = self._answered(new, resident, started)
        replies = []
        for base, message in asked.items():
            if base in known:
                version, prediction = known[base]
            elif isinstance(outcome := outcomes[base], Refusal):
                replies.append(self._refused(message, outcome, resident))
                continue
            else:
                version, prediction = resident.version, outcome.predicted.tolist()[0]
            body = {
                "prediction": prediction,
                "model": self._model,
                "version": version,
                "prediction_id": base,
            }
            replies.append(Reply(message, body))
        return replies

    def _prediction_id(self, message: Message) -> str:
        """Return the id that a message's prediction has, however often and by whomever it is read."""
        at = min(max(0, message.timestamp * 1000), _LAST)
        return self._recorder.ids.derived(self._model, at, f"stream/{message[:3]}")

    def _answered(
        self, messages: Mapping[str, Message], resident: Resident, started: float
    ) -> dict[str, Answer | Refusal]:
        """Return what becomes of messages that are not in the log, by prediction id.

        Raises:
            StorageError: The log cannot be written.
        """

        def asked(base: str, rows: Rows | Decoded) -> Asked:
            entities = entities_of(rows, resident.package.manifest)
            caller = f"topic {messages[base].topic}"
            return Asked(started, entities=entities, base=base, arm=STREAM, caller=caller)

        outcomes: dict[str, Answer | Refusal | StorageError] = {}
        alike: defaultdict[Layout, list[tuple[Decoded, Asked]]] = defaultdict(list)
        unusual: list[str] = []
        for base, message in messages.items():
            try:
                rows = _FORM.decode_usual(_sent(message).content, resident.reader)
                if rows is None:
                    unusual.append(base)
                else:
                    request = rows, asked(base, rows)
                    alike[rows.layout].append(request)
            except Refusal as refusal:
                outcomes[base] = refusal
        for layout, requests in alike.items():
            found = self._arms.answer_decoded(resident, None, layout, requests)
            for (_, answered), outcome in zip(requests, found, strict=True):
                if outcome is None:
                    unusual.append(answered.base)
                else:
                    _, outcomes[answered.base] = outcome
        for base in unusual:
            try:
                read, _ = _FORM.read(_sent(messages[base]), resident)
                ((_, outcomes[base]),) = self._arms.answer(resident, None, Batch.of(read, asked(base, read)))
            except Refusal as refusal:
                outcomes[base] = refusal
        return {base: _possible(outcome) for base, outcome in outcomes.items()}

    def _refused(self, message: Message, refusal: Refusal, resident: Resident) -> Reply:
        """Return what is said to a message that is wrong, after logging it for monitoring."""
        self._recorder.failure(
            Failure(
                self._model,
                time.time_ns() // 1000,
                refusal.status,
                message_logged(str(refusal), resident.treatments),
                caller=f"topic {message.topic}",
            )
        )
        body = {
            "error": str(refusal),
            "model": self._model,
            "topic": message.topic,
            "partition": message.partition,
            "offset": message.offset,
        }
        return Reply(message, body, is_refused=True)


def _sent(message: Message) -> Sent:
    """Return a message as a request of one row.

    Raises:
        Refusal: 400: it is no JSON object.
    """
    content = message.value or b""
    read_json(content)  # so that it is one object, which nothing can follow
    return Sent(b'{"dataframe_records":[' + content + b"]}", "application/json")


def _possible(outcome: Answer | Refusal | StorageError) -> Answer | Refusal:
    if isinstance(outcome, StorageError):
        raise outcome
    return outcome
