"""Labels as clients send them, by prediction id."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.prediction import Label
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import require_at_most
from mlops_assets.serving.table import Table
from mlops_assets.specs.durations import parse_time, utc_now
from mlops_assets.training.package import Manifest


def take_labels(
    recorder: Recorder, table: Table, model: str, read: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Take a feedback request; return what to answer.

    Args:
        recorder: Writes the prediction log, and knows whose ids were given out.
        table: What serves now.
        model: The model's name; it need not serve any more, if only a label is of an answer of its.
        read: Reads the request's JSON.

    Raises:
        Refusal: 404 for a model that neither serves nor ever gave one of these answers, whatever else is
            wrong with the request; 400 naming the label.
        StorageError: The log cannot be written.
    """
    route = table.routes.get(model)
    champion = route.loaded[route.champion] if route and route.champion else None
    try:
        labels = read_labels(read(), champion.package.manifest if champion else None)
    except Refusal:
        table.route(model)
        raise
    known = [x for x in labels if recorder.ids.given_out(x.prediction_id, model)]
    if known:
        recorder.feedback(model, [(x.prediction_id, x.label, microseconds(x.observed_at)) for x in known])
    else:
        table.route(model)
    ours = {x.prediction_id for x in known}
    unknown = [x.prediction_id for x in labels if x.prediction_id not in ours]
    return {"model": model, "accepted": len(known), "unknown": unknown}


def read_labels(body: dict[str, Any], manifest: Manifest | None) -> list[Label]:
    """Read a feedback request.

    Args:
        body: The request's JSON.
        manifest: The champion's, which tells whether labels are numbers or text; None if none is loaded.

    Raises:
        Refusal: 400 naming the label; none of the request is kept.
    """
    given = body.get("labels")
    if not isinstance(given, list) or not given:
        raise Refusal(400, "the body must be {'labels': [{'prediction_id': …, 'label': …}]}")
    require_at_most(len(given), "labels")
    return [_label(item, f"labels[{index}]", manifest) for index, item in enumerate(given)]


def _label(item: Any, where: str, manifest: Manifest | None) -> Label:
    if not isinstance(item, dict) or not isinstance(item.get("prediction_id"), str):
        raise Refusal(400, f"{where}: 'prediction_id' must be text")
    value = item.get("label")
    if not isinstance(value, str | int | float):
        raise Refusal(400, f"{where}: 'label' must be one value")
    if manifest is not None:
        text = any(isinstance(known, str) for known in manifest.classes)
        truth = isinstance(value, bool) and not manifest.classes
        if text != isinstance(value, str) or truth:
            expected = f"one of the classes {manifest.classes}" if manifest.classes else "a number"
            raise Refusal(400, f"{where}: 'label' must be {expected}, not {str(value)[:80]!r}")
    return Label(item["prediction_id"], value, _observed_at(item, where))


def _observed_at(item: dict[str, Any], where: str) -> datetime:
    text = item.get("observed_at")
    if text is None:
        return utc_now()
    if not isinstance(text, str):
        raise Refusal(400, f"{where}: 'observed_at' must be text")
    try:
        return parse_time(text)
    except ValueError as error:
        raise Refusal(400, f"{where}: 'observed_at': {error}") from error
