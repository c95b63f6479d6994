"""What a gateway's worker writes its answers, feedback and failures with."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlops_assets.errors import StorageError
from mlops_assets.home import Home
from mlops_assets.prediction_log.prediction_ids import PredictionIds
from mlops_assets.prediction_log.records import (
    LABEL,
    Answers,
    EntityFeedback,
    Failure,
    Feedback,
    Schema,
    encode,
)
from mlops_assets.prediction_log.secret import secret_for
from mlops_assets.prediction_log.segment_writer import SegmentWriter
from mlops_assets.prediction_log.sensitive import ColumnTreatment, Pseudonyms, Treatment


class WrittenForm:
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

    Attributes:
        ids: Gives out prediction ids, and knows them again.
        pseudonyms: What sensitive values are replaced by.
        unlogged: Told model and rows of answers that leave though the log fails; if None, as it is at
            first, none may leave.
    """

    def __init__(self, writer: SegmentWriter, secret: bytes) -> None:
        self.writer = writer
        self.ids = PredictionIds(secret)
        self.pseudonyms = Pseudonyms(secret)
        self.unlogged: Callable[[str, int], None] | None = None
        self._lock = threading.Lock()
        self._forms: dict[tuple[Any, ...], WrittenForm] = {}
        self._received = 0

    @classmethod
    def for_home(cls, home: Home, worker: str) -> "Recorder":
        """Return a recorder for the log of a home.

        Args:
            home: The home.
            worker: Who writes.

        Raises:
            StorageError: The log cannot be written to.
        """
        return cls(SegmentWriter(home.prediction_log, worker), secret_for(home.root))

    def require_usable(self) -> None:
        """Find out whether there may be answers, before there is one to write.

        Raises:
            StorageError: The log fails, and no answer may leave unlogged.
        """
        if self.unlogged is None:
            self.require_writable()

    def require_writable(self) -> None:
        """Find out whether writing is likely to succeed; tells at once, whatever the disk does.

        Raises:
            StorageError: It failed, or the disk does not answer, and nothing is better since.
        """
        if (problem := self.writer.problem) is not None:
            raise StorageError(problem)

    def close(self) -> None:
        """End what is written and wait for the disk; the recorder must not be used afterwards."""
        self.writer.close()

    def form(
        self,
        model: str,
        version: str,
        columns: Sequence[str],
        treatments: Mapping[str, Treatment] | None = None,
    ) -> WrittenForm:
        """Return the form of a version's answers; it is written when it is asked for first.

        Forms are kept for good and open each segment, so whoever asks bounds how many there are.

        Args:
            model: Model name.
            version: Version that answers.
            columns: Columns of the requests, in the order in which answers hold their values.
            treatments: What becomes of the columns that are not written as they are.

        Raises:
            StorageError: It cannot be written.
        """
        treatments = treatments or {}
        # A tuple whose names were hashed before is found in no time.
        key = (model, version, tuple(columns), *sorted(treatments.items()))
        if (known := self._forms.get(key)) is not None:
            return known
        with self._lock:
            if key not in self._forms:
                treatment = ColumnTreatment(tuple(columns), treatments, self.pseudonyms)
                number = len(self._forms)
                self.writer.open_with(encode(Schema(number, model, version, treatment.columns)))
                self._forms[key] = WrittenForm(number, treatment)
            return self._forms[key]

    def answers(self, form: WrittenForm, *answered: Answers) -> None:
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
