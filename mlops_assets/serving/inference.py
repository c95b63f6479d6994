"""From rows to answers: predict, log, and only then answer."""

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from mlops_assets.errors import DataError, StorageError
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.prediction_ids import row_ids
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import MODEL_FAILED, SHADOW, Answers, Failure
from mlops_assets.serving.batches import Asked, Batch, Request
from mlops_assets.serving.discretion import as_logged, message_logged, only
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import Rows
from mlops_assets.serving.table import Resident
from mlops_assets.serving.usual_requests import Decoded, Values

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger("mlops_assets.gateway")


class Answer(Struct, frozen=True, gc=False):
    """A logged prediction for each row of a request.

    Attributes:
        predicted: The predictions.
        base: Id of the first; see :func:`~mlops_assets.prediction_log.prediction_ids.row_ids` for the others.
    """

    predicted: "np.ndarray[Any, Any]"
    base: str

    @property
    def prediction_ids(self) -> list[str]:
        """The id of each prediction."""
        return row_ids(self.base, len(self.predicted))


def answer_each(
    recorder: Recorder, resident: Resident, batch: Batch
) -> Sequence[Answer | Refusal | StorageError]:
    """Answer requests together; where one of them spoils that, it alone goes without an answer.

    Args:
        recorder: Writes the prediction log.
        resident: The version that answers.
        batch: The requests.

    Returns:
        Of each request the answer or why there is none: the model cannot take its rows, or the log cannot be
        written.
    """
    try:
        return answer_together(recorder, resident, batch)
    except StorageError as error:
        return [error] * len(batch.requests)
    except Refusal as refusal:
        if len(batch.requests) == 1:
            return [refusal]
    places, middle = range(len(batch.requests)), len(batch.requests) // 2
    halves = [batch.part(places[:middle]), batch.part(places[middle:])]
    return [answer for half in halves for answer in answer_each(recorder, resident, half)]


def answer_together(recorder: Recorder, resident: Resident, batch: Batch) -> list[Answer]:
    """Predict, log and return; what is returned survives this process, and soon a power cut.

    It takes one prediction and one write, so that all requests are answered or none. Only if answers may
    leave unlogged (see :attr:`Recorder.unlogged`) does one leave without being in the log.

    Args:
        recorder: Writes the prediction log.
        resident: The version that answers.
        batch: The requests.

    Raises:
        Refusal: 422 if the model has no answer for one of the rows.
        StorageError: The log cannot be written; nothing is answered.
    """
    recorder.require_usable()
    answers = _logged(recorder, resident, batch.requests, _predict(resident, batch.values))
    _, asked = batch.requests[0]
    if not asked.probe and asked.arm != SHADOW:
        resident.plausibility.look(batch.values)
    return answers


def log_failure(
    recorder: Recorder, version: Resident, refusal: Refusal, asked: Asked
) -> Refusal | StorageError:
    """Log that one side of a traffic split has no answer to a request.

    Returns:
        What the caller is told: the refusal; or that nothing can be written, where no answer may leave then.
    """
    manifest = version.package.manifest
    failure = Failure(
        version.model,
        time.time_ns() // 1000,
        refusal.status if refusal.status in MODEL_FAILED else 422,
        message_logged(str(refusal), version.treatments),
        caller=asked.caller,
        base=asked.base,
        version=version.version,
        arm=asked.arm,
        traffic=asked.traffic,
        entity=as_logged([only(asked.entities)], manifest, recorder.pseudonyms)[0],
    )
    try:
        recorder.failure(failure)
    except StorageError as error:
        if recorder.unlogged is None:
            return error
    refusal.is_logged = True
    return refusal


def _logged(
    recorder: Recorder,
    resident: Resident,
    requests: Sequence[Request],
    predicted: "np.ndarray[Any, Any]",
) -> list[Answer]:
    """Log what was predicted for all rows of some requests; return it request by request."""
    now, done, outputs = time.time_ns() // 1000, time.perf_counter(), predicted.tolist()
    records, answers = [], []
    manifest = resident.package.manifest
    columns: tuple[str, ...] = ()
    start = 0
    for rows, asked in requests:
        entities = asked.entities
        columns, values = rows.logged
        end = start + len(rows)
        base = asked.base or recorder.ids.new(resident.model)
        record = Answers(
            base=base,
            served_at=now,
            arm=asked.arm,
            caller=asked.caller,
            latency_us=round((done - asked.started) * 1e6),
            probe=asked.probe,
            event_times=_event_times(rows, manifest.time_column, now),
            inputs=values,
            outputs=outputs[start:end],
            entities=None if entities is None else as_logged(entities, manifest, recorder.pseudonyms),
            traffic=asked.traffic,
        )
        records.append(record)
        answers.append(Answer(predicted[start:end], base))
        start = end
    _log(recorder, resident, columns, records)
    return answers


def _log(
    recorder: Recorder, resident: Resident, columns: tuple[str, ...], records: Sequence[Answers]
) -> None:
    """Write answers, or count them where they may leave unlogged."""
    try:
        if recorder.unlogged is not None:
            recorder.require_writable()  # where the disk hangs, no answer waits for it
        form = recorder.form(resident.model, resident.version, columns, resident.treatments)
        recorder.answers(form, *records)
    except StorageError:
        if recorder.unlogged is None or any(record.arm == SHADOW for record in records):
            raise
        recorder.unlogged(resident.model, sum(len(record.outputs) for record in records))


def _predict(resident: Resident, values: Values) -> "np.ndarray[Any, Any]":
    import numpy as np

    resident.package.used_at = time.monotonic()
    try:
        if isinstance(values, np.ndarray):
            predicted = resident.package.predict_values(values)
        else:
            predicted = resident.package.predict(values)
    except DataError as error:
        raise Refusal(422, str(error)) from error
    except Exception as error:
        # It predicted real rows when it was loaded, so these rows are what it cannot take.
        log.warning("%s version %s failed on a request", resident.model, resident.version, exc_info=True)
        raise Refusal(422, f"the model cannot take these rows: {type(error).__name__}: {error}") from error
    finite = np.isfinite(predicted)
    if np.count_nonzero(finite) < predicted.size:  # it takes less than finite.all()
        row = int(finite.reshape(len(predicted), -1).all(axis=1).argmin())
        raise Refusal(422, f"row {row}: the model has no finite prediction ({predicted[row]})")
    return predicted


def _event_times(rows: Rows | Decoded, time_column: str, now: int) -> list[int] | None:
    """Return when each row's event happened, as far as the client said."""
    if isinstance(rows, Decoded):
        return None if rows.times is None else [microseconds(time) for time in rows.times]
    import pandas as pd

    if time_column not in rows.frame:
        return None
    return [now if pd.isna(t) else microseconds(t.to_pydatetime()) for t in rows.frame[time_column]]
