"""From rows to answers: predict, log, and only then answer."""

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.prediction_ids import row_id
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import Answers
from mlops_assets.serving.matrices import Matrix
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import Rows
from mlops_assets.serving.table import Resident

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger("mlops_assets.gateway")


@dataclass(frozen=True)
class Answer:
    """A logged prediction for each row of a request."""

    predicted: "np.ndarray[Any, Any]"
    prediction_ids: list[str]


def answer_rows(
    recorder: Recorder, resident: Resident, rows: Rows | Matrix, *, started: float, probe: bool
) -> Answer:
    """Predict, log and return; what is returned survives this process, and soon a power cut.

    Args:
        recorder: Writes the prediction log.
        resident: The version that answers.
        rows: The request's rows.
        started: ``time.perf_counter()`` when the whole request was there.
        probe: Whether the platform itself asked.

    Raises:
        Refusal: 422 if the model has no answer for these rows.
        StorageError: The log cannot be written; nothing is answered.
    """
    recorder.require_usable()
    predicted = _predict(resident, rows)
    # In one order: clients that send columns in ever another one do not make ever more forms.
    sent = dict(sorted(rows.sent.items()))
    base, now = recorder.ids.new(resident.model), time.time_ns() // 1000
    answers = Answers(
        base=base,
        served_at=now,
        arm="",
        caller="",
        latency_us=round((time.perf_counter() - started) * 1e6),
        probe=probe,
        event_times=_event_times(rows, resident.package.manifest.time_column, now),
        inputs=[*sent.values()],
        outputs=predicted.tolist(),
    )
    recorder.answers(recorder.form(resident.model, resident.version, [*sent]), answers)
    return Answer(predicted, [row_id(base, row) for row in range(len(predicted))])


def _predict(resident: Resident, rows: Rows | Matrix) -> "np.ndarray[Any, Any]":
    import numpy as np

    try:
        if isinstance(rows, Matrix):
            predicted = resident.package.predict_values(rows.values)
        else:
            predicted = resident.package.predict(rows.frame)
    except DataError as error:
        raise Refusal(422, str(error)) from error
    except Exception as error:
        # It predicted real rows when it was loaded, so these rows are what it cannot take.
        log.warning("%s version %s failed on a request", resident.model, resident.version, exc_info=True)
        raise Refusal(422, f"the model cannot take these rows: {type(error).__name__}: {error}") from error
    finite = np.isfinite(predicted).reshape(len(predicted), -1).all(axis=1)
    if not finite.all():
        row = int(finite.argmin())
        raise Refusal(422, f"row {row}: the model has no finite prediction ({predicted[row]})")
    return predicted


def _event_times(rows: Rows | Matrix, time_column: str, now: int) -> list[int] | None:
    """Return when each row's event happened, as far as the client said."""
    if isinstance(rows, Matrix):
        return None if rows.times is None else [microseconds(time) for time in rows.times]
    import pandas as pd

    if time_column not in rows.frame:
        return None
    return [now if pd.isna(t) else microseconds(t.to_pydatetime()) for t in rows.frame[time_column]]
