"""What a gateway's worker writes its answers, feedback and failures with."""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from mlops_assets.prediction_log.records import (
    LABEL,
    Answers,
    EntityFeedback,
    Failure,
    Feedback,
    Schema,
    encode,
)
from mlops_assets.prediction_log.segment_writer import SegmentWriter
from mlops_assets.prediction_log.sensitive import ColumnTreatment, Pseudonyms, Treatment


class AnswerForm:
    """What the answers of one version to requests with the same columns have in common.

    Attributes:
        number: Of the schema, for :class:`~mlops_assets.prediction_log.records.Answers`.
        treatment: How the columns are written.
    """

    def __init__(self, number: int, treatment: ColumnTreatment) -> None:
        self.number, self.treatment = number, treatment


class Recorder:
    """Writes records of all kinds; safe to share between threads.

    Args:
        writer: Takes them.
        secret: The log's secret.
    """

    def __init__(self, writer: SegmentWriter, secret: bytes) -> None:
        self.writer = writer
        self.pseudonyms = Pseudonyms(secret)
        self._lock = threading.Lock()
        self._forms: dict[tuple[Any, ...], AnswerForm] = {}
        self._received = 0

    def form(
        self,
        model: str,
        version: str,
        columns: Sequence[str],
        treatments: Mapping[str, Treatment] | None = None,
    ) -> AnswerForm:
        """Return the form of a version's answers; it is written when it is asked for first.

        Args:
            model: Model name.
            version: Version that answers.
            columns: Columns of the requests, in the order in which answers hold their values.
            treatments: What becomes of the columns that are not written as they are.

        Raises:
            StorageError: It cannot be written.
        """
        treatments = treatments or {}
        key = (model, version, *columns, *sorted(treatments.items()))
        if (known := self._forms.get(key)) is not None:
            return known
        with self._lock:
            if key not in self._forms:
                treatment = ColumnTreatment(tuple(columns), treatments, self.pseudonyms)
                number = len(self._forms)
                self.writer.open_with(encode(Schema(number, model, version, treatment.columns)))
                self._forms[key] = AnswerForm(number, treatment)
            return self._forms[key]

    def answers(self, form: AnswerForm, *answered: Answers) -> None:
        """Write answers of one form, together; they survive this process when this returns.

        Raises:
            StorageError: They cannot be written.
        """
        for each in answered:
            each.schema = form.number
            each.inputs = form.treatment.applied(each.inputs)
        self.writer.append([encode(each) for each in answered])

    def feedback(self, model: str, items: Sequence[tuple[str, Any, int]], kind: str = LABEL) -> None:
        """Write what turned out to be true for predictions; see :class:`Feedback` for the items.

        Raises:
            StorageError: It cannot be written.
        """
        self.writer.append([encode(Feedback(model, kind, self._receive(len(items)), list(items)))])

    def entity_feedback(
        self, model: str, items: Sequence[tuple[str, int, Any, int]], kind: str = LABEL
    ) -> None:
        """Write what turned out to be true for entities; see :class:`EntityFeedback` for the items.

        Raises:
            StorageError: It cannot be written.
        """
        self.writer.append([encode(EntityFeedback(model, kind, self._receive(len(items)), list(items)))])

    def failure(self, failure: Failure) -> None:
        """Write that a request was refused, or that the model failed on it.

        Raises:
            StorageError: It cannot be written.
        """
        self.writer.append([encode(failure)])

    def _receive(self, items: int) -> int:
        """Return the time at which items come; each counts a microsecond, so that no two come at once."""
        with self._lock:
            received = max(time.time_ns() // 1000, self._received)
            self._received = received + items
        return received
