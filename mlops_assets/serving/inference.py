"""From rows to answers: predict, log, and only then answer."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError, StorageError
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.prediction_ids import row_id
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import SHADOW, Answers
from mlops_assets.serving.discretion import Entities, as_logged, entities_of
from mlops_assets.serving.matrices import Decoded, Matrix
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import Rows
from mlops_assets.serving.table import Resident

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger("mlops_assets.gateway")


@dataclass(frozen=True, slots=True)
class Answer:
    """A logged prediction for each row of a request."""

    predicted: "np.ndarray[Any, Any]"
    prediction_ids: list[str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a request besides its rows.

    Attributes:
        started: ``time.perf_counter()`` when the whole request was there.
        probe: Whether the platform itself asked.
        entities: Whom or what each row is about; None if nobody said.
        base: Id of its predictions; a new one if empty.
        arm: Which side of a traffic split answers it.
        traffic: Serial of the traffic record by which that was chosen; 0 if the traffic is not split.
        caller: Who asked.
    """

    started: float
    probe: bool = False
    entities: Entities | None = None
    base: str = ""
    arm: str = ""
    traffic: int = 0
    caller: str = ""

    def of(self, base: str, arm: str, traffic: int) -> "Asked":
        """Return it as one side of a traffic split is asked."""
        return replace(self, base=base, arm=arm, traffic=traffic)

    def from_now(self) -> "Asked":
        """Return it as if it had come now."""
        return replace(self, started=time.perf_counter())


def answer_rows(recorder: Recorder, resident: Resident, rows: Rows | Matrix, asked: Asked) -> Answer:
    """Predict, log and return; what is returned survives this process, and soon a power cut.

    Only if answers may leave unlogged (see :attr:`Recorder.unlogged`) does one leave without.

    Args:
        recorder: Writes the prediction log.
        resident: The version that answers.
        rows: The request's rows.
        asked: What else is known of the request. Entities are as clients call them; if they are None, what
            the rows themselves say.

    Raises:
        Refusal: 422 if the model has no answer for these rows; 400 for an entity that is none.
        StorageError: The log cannot be written; nothing is answered.
    """
    recorder.require_usable()
    predicted = _predict(resident, rows.values if isinstance(rows, Matrix) else rows)
    (answer,) = _logged(recorder, resident, [(rows, asked)], predicted)
    if not asked.probe and asked.arm != SHADOW:
        if isinstance(rows, Matrix):
            resident.plausibility.look(rows.values)
        else:
            resident.plausibility.look_at_frame(rows.frame)
    return answer


def answer_together(
    recorder: Recorder,
    resident: Resident,
    values: "np.ndarray[Any, Any]",
    requests: Sequence[tuple[Decoded, Asked]],
) -> list[Answer]:
    """Answer requests as :func:`answer_rows` does one: with one prediction and one write, all or none.

    Args:
        recorder: Writes the prediction log.
        resident: The version that answers.
        values: The rows of all requests, one after the other; see :attr:`Matrix.values`.
        requests: The rows of each, of which all have the same columns, and what else is known of it.

    Raises:
        Refusal: 422 if the model has no answer for one of these rows.
        StorageError: The log cannot be written; nothing is answered.
    """
    recorder.require_usable()
    answers = _logged(recorder, resident, requests, _predict(resident, values))
    resident.plausibility.look(values)
    return answers


def _logged(
    recorder: Recorder,
    resident: Resident,
    requests: Sequence[tuple[Rows | Decoded, Asked]],
    predicted: "np.ndarray[Any, Any]",
) -> list[Answer]:
    """Log what was predicted for all rows of some requests; return it request by request."""
    now, done, outputs = time.time_ns() // 1000, time.perf_counter(), predicted.tolist()
    records, answers = [], []
    manifest = resident.package.manifest
    columns: tuple[str, ...] = ()
    start = 0
    for rows, asked in requests:
        entities = entities_of(rows, manifest) if asked.entities is None else asked.entities
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
        answers.append(Answer(predicted[start:end], [row_id(base, row) for row in range(end - start)]))
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


def _predict(resident: Resident, rows: "Rows | np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    import numpy as np

    resident.package.used_at = time.monotonic()
    try:
        if isinstance(rows, Rows):
            predicted = resident.package.predict(rows.frame)
        else:
            predicted = resident.package.predict_values(rows)
    except DataError as error:
        raise Refusal(422, str(error)) from error
    except Exception as error:
        # It predicted real rows when it was loaded, so these rows are what it cannot take.
        log.warning("%s version %s failed on a request", resident.model, resident.version, exc_info=True)
        raise Refusal(422, f"the model cannot take these rows: {type(error).__name__}: {error}") from error
    if not (finite := np.isfinite(predicted)).all():
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
