"""From rows to answers: predict, log, and only then answer."""

import logging
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError
from mlops_assets.monitoring.prediction_log import Prediction, PredictionLog
from mlops_assets.serving.matrices import Matrix
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import Rows
from mlops_assets.serving.table import Resident
from mlops_assets.specs.durations import utc_now

if TYPE_CHECKING:
    import numpy as np

log = logging.getLogger("mlops_assets.gateway")


@dataclass(frozen=True)
class Answer:
    """A logged prediction for each row of a request."""

    predicted: "np.ndarray[Any, Any]"
    prediction_ids: list[str]


def answer_rows(
    predictions: PredictionLog, resident: Resident, rows: Rows | Matrix, *, started: float, probe: bool
) -> Answer:
    """Predict, log and return; what is returned is on disk.

    Args:
        predictions: The prediction log.
        resident: The version that answers.
        rows: The request's rows.
        started: ``time.perf_counter()`` when the whole request was there.
        probe: Whether the platform itself asked.

    Raises:
        Refusal: 422 if the model has no answer for these rows.
        StorageError: The log cannot be written; nothing is answered.
    """
    predicted = _predict(resident, rows)
    now = utc_now()
    sent = rows.sent
    ids = [_new_id() for _ in sent]
    times = _event_times(rows, resident.package.manifest.time_column, now)
    latency = (time.perf_counter() - started) * 1000
    predictions.append(
        [
            Prediction(id_, resident.model, resident.version, at, now, inputs, output, latency, probe)
            for id_, at, inputs, output in zip(ids, times, sent, predicted.tolist(), strict=True)
        ]
    )
    return Answer(predicted, ids)


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


def _event_times(rows: Rows | Matrix, time_column: str, now: datetime) -> Sequence[datetime]:
    if isinstance(rows, Matrix):
        return rows.times or [now] * len(rows.rows)
    import pandas as pd

    if time_column not in rows.frame:
        return [now] * len(rows.sent)
    return [now if pd.isna(t) else t.to_pydatetime() for t in rows.frame[time_column]]


def _new_id() -> str:
    """Return an id that sorts by time and cannot be guessed."""
    return f"{time.time_ns() // 1000:014x}{secrets.token_hex(9)}"
