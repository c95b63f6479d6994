"""From rows to answers: route, predict, log, and only then answer."""

import secrets
import time
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError, did_you_mean
from mlops_assets.monitoring.prediction_log import Prediction, PredictionLog
from mlops_assets.serving.protocol import BadRequest, Rows
from mlops_assets.serving.routing import Route, Table
from mlops_assets.specs.durations import utc_now
from mlops_assets.training.package import PackagedModel

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Answer:
    """A logged prediction for each row of a request."""

    predicted: "np.ndarray[Any, Any]"
    prediction_ids: list[str]


def route_of(table: Table, model: str) -> Route:
    """Return a model's routes.

    Raises:
        BadRequest: 404, with the nearest name.
    """
    route = table.routes.get(model)
    if route is None:
        raise BadRequest(f"no model {model!r}{did_you_mean(model, table.routes)}", 404)
    return route


def version_of(table: Table, model: str, version: str | None) -> tuple[str, PackagedModel]:
    """Return the version that answers and its package; the champion if none is named.

    Raises:
        BadRequest: 404 if the version is not loaded, 503 if no champion was loaded yet.
    """
    route = route_of(table, model)
    if version is None:
        version = route.champion
        if version is None:
            raise BadRequest(f"{model} has no champion loaded yet", 503)
    package = route.loaded.get(version)
    if package is None:
        loaded = ", ".join(sorted(route.loaded, key=int)) or "none"
        raise BadRequest(f"{model} version {version} is not loaded; loaded: {loaded}", 404)
    return version, package


def answer_rows(
    log: PredictionLog,
    model: str,
    version: str,
    package: PackagedModel,
    rows: Rows,
    *,
    started: float,
    probe: bool,
) -> Answer:
    """Predict, log and return; what is returned is on disk.

    Args:
        log: The prediction log.
        model: Model name.
        version: The version that answers.
        package: Its package.
        rows: The request's rows.
        started: ``time.perf_counter()`` when the request came in.
        probe: Whether the platform itself asked.

    Raises:
        BadRequest: 422 if the feature function refuses the rows.
        StorageError: The log cannot be written; nothing is answered.
    """
    try:
        predicted = package.predict(rows.frame)
    except DataError as error:
        raise BadRequest(str(error), 422) from error
    now = utc_now()
    ids = [_new_id() for _ in rows.sent]
    times = _event_times(rows, package.manifest.time_column, now)
    latency = (time.perf_counter() - started) * 1000
    log.append(
        [
            Prediction(id_, model, version, at, now, inputs, output, latency, probe)
            for id_, at, inputs, output in zip(ids, times, rows.sent, predicted.tolist(), strict=True)
        ]
    )
    return Answer(predicted, ids)


def _event_times(rows: Rows, time_column: str, now: datetime) -> list[datetime]:
    import pandas as pd

    if time_column not in rows.frame:
        return [now] * len(rows.sent)
    return [now if pd.isna(t) else t.to_pydatetime() for t in rows.frame[time_column]]


def _new_id() -> str:
    """Return an id that sorts by time and cannot be guessed."""
    return f"{time.time_ns() // 1000:014x}{secrets.token_hex(9)}"
