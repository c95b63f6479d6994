"""What turned out to be true, as clients send it: by prediction id, or by entity and time."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import LABEL, RATING
from mlops_assets.serving.bodies import Sent
from mlops_assets.serving.discretion import as_logged, entity_named
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import quoted_value, require_at_most
from mlops_assets.serving.table import Table
from mlops_assets.specs.durations import parse_time, utc_now
from mlops_assets.training.manifest import Manifest

NDJSON = "application/x-ndjson"
_ERRORS_TOLD = 20
_WRITTEN_AT_ONCE = 5_000
_KPI = re.compile(r"kpi:[a-z][a-z0-9_]{0,62}")
_FORM = "the body must be {'labels': [{'prediction_id': …, 'label': …}]}"


@dataclass(frozen=True)
class Said:
    """One value.

    Attributes:
        kind: Kind of feedback.
        about: Prediction id; where there is a time, an entity.
        time: The time that an entity's value is about, microseconds since 1970.
        value: The value.
        observed_at: When it was known, microseconds since 1970.
    """

    kind: str
    about: str
    time: int | None
    value: Any
    observed_at: int


def take_feedback(recorder: Recorder, table: Table, model: str, sent: Sent) -> dict[str, Any]:
    """Take a feedback request; return what to answer.

    A request in JSON is taken as a whole or not at all. One of lines may be long; of it each line that is
    right is taken, and the first of the others are named.

    Args:
        recorder: Writes the prediction log, and knows whose ids were given out.
        table: What serves now.
        model: The model's name; it need not serve any more, if only a value is of an answer of its.
        sent: What the client sent.

    Raises:
        Refusal: 404 for a model that neither serves nor ever gave one of these answers, whatever else is
            wrong with the request; 400 naming the value.
        StorageError: The log cannot be written.
    """
    route = table.routes.get(model)
    champion = route.loaded[route.champion] if route and route.champion else None
    manifest = champion.package.manifest if champion else None
    in_lines = any(name in sent.called.lower() for name in ("ndjson", "jsonl"))
    try:
        found = [*(_lines(sent.content, manifest) if in_lines else _items(sent.json(), manifest))]
    except Refusal:
        table.route(model)
        raise
    refused = [(number, str(each)) for number, each in found if isinstance(each, Refusal)]
    said = [(number, each) for number, each in found if isinstance(each, Said)]
    known = [(n, each) for n, each in said if _may_be_taken(each, recorder, model, manifest)]
    if not known:
        table.route(model)
    _write(recorder, model, [each for _, each in known], manifest)
    taken = {number for number, _ in known}
    unknown = [(number, each) for number, each in said if number not in taken]
    if not in_lines:
        return {"model": model, "accepted": len(known), "unknown": [each.about for _, each in unknown]}
    refused += [(number, _why_unknown(each, model)) for number, each in unknown]
    return {
        "model": model,
        "accepted": len(known),
        "refused": len(refused),
        "errors": [{"line": line, "error": error} for line, error in sorted(refused)[:_ERRORS_TOLD]],
    }


def _may_be_taken(said: Said, recorder: Recorder, model: str, manifest: Manifest | None) -> bool:
    if said.time is not None:
        return manifest is not None  # of a model that does not serve nothing tells whether it ever did
    return recorder.ids.given_out(said.about, model)


def _why_unknown(said: Said, model: str) -> str:
    if said.time is not None:
        return f"{model} does not serve, so that its entities are not known; name predictions by their ids"
    return f"no prediction of {model} has the id {said.about[:64]!r}"


def _items(body: dict[str, Any], manifest: Manifest | None) -> Iterator[tuple[int, Said]]:
    """Yield the values of a request in JSON.

    Raises:
        Refusal: 400 naming the value that is wrong, 413 for too many.
    """
    name = "feedback" if "feedback" in body else "labels"
    given = body.get(name)
    if not isinstance(given, list) or not given or ("feedback" in body and "labels" in body):
        raise Refusal(400, _FORM)
    require_at_most(len(given), name)
    for index, item in enumerate(given):
        yield index, _said(item, f"{name}[{index}]: ", manifest)


def _lines(content: bytes, manifest: Manifest | None) -> Iterator[tuple[int, Said | Refusal]]:
    """Yield each line's value, or what is wrong with it.

    Raises:
        Refusal: 400: there is none.
    """
    if not content.strip():
        raise Refusal(400, "the body must be lines, each like {'prediction_id': …, 'label': …}")
    for number, line in enumerate(content.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, _said(orjson.loads(line), "", manifest)
        except orjson.JSONDecodeError as error:
            yield number, Refusal(400, f"not JSON: {error}")
        except Refusal as refusal:
            yield number, refusal


def _said(item: Any, where: str, manifest: Manifest | None) -> Said:
    by_entity = isinstance(item, dict) and "entity" in item and "prediction_id" not in item
    if not by_entity and not (isinstance(item, dict) and isinstance(item.get("prediction_id"), str)):
        raise Refusal(400, f"{where}'prediction_id' must be text")
    if "entity" in item and not by_entity:
        raise Refusal(400, f"{where}give 'prediction_id', or 'entity' and 'event_time', not both")
    kind = item.get("kind", LABEL)
    if not isinstance(kind, str) or (kind not in (LABEL, RATING) and not _KPI.fullmatch(kind)):
        expected = "'label', 'rating' or 'kpi:' and a name in small letters"
        raise Refusal(400, f"{where}'kind' must be {expected}, not {quoted_value(kind)}")
    name = "value" if "value" in item else "label"
    value = item.get(name)
    if "label" in item and (name == "value" or kind != LABEL):
        raise Refusal(400, f"{where}a 'label' stands alone; what is of another 'kind' has a 'value'")
    if kind == LABEL:
        _require_label(value, f"{where}{name!r}", manifest)
    elif not isinstance(value, int | float) or isinstance(value, bool):
        raise Refusal(400, f"{where}'value' must be a number")
    observed = (
        microseconds(utc_now()) if item.get("observed_at") is None else _time(item, "observed_at", where)
    )
    if not by_entity:
        return Said(kind, item["prediction_id"], None, value, observed)
    return Said(kind, entity_named(item["entity"], where), _time(item, "event_time", where), value, observed)


def _require_label(value: Any, where: str, manifest: Manifest | None) -> None:
    if not isinstance(value, str | int | float):
        raise Refusal(400, f"{where} must be one value")
    if manifest is not None:
        text = any(isinstance(known, str) for known in manifest.classes)
        truth = isinstance(value, bool) and not manifest.classes
        if text != isinstance(value, str) or truth:
            expected = f"one of the classes {manifest.classes}" if manifest.classes else "a number"
            raise Refusal(400, f"{where} must be {expected}, not {str(value)[:80]!r}")


def _time(item: dict[str, Any], name: str, where: str) -> int:
    text = item.get(name)
    if not isinstance(text, str):
        raise Refusal(400, f"{where}{name!r} must be text")
    try:
        return microseconds(parse_time(text))
    except ValueError as error:
        raise Refusal(400, f"{where}{name!r}: {error}") from error


def _write(recorder: Recorder, model: str, said: Sequence[Said], manifest: Manifest | None) -> None:
    """Write values by kind, in pieces; what is sent again because a later piece failed, counts once."""
    by_id: defaultdict[str, list[tuple[str, Any, int]]] = defaultdict(list)
    by_entity: defaultdict[str, list[tuple[str, int, Any, int]]] = defaultdict(list)
    for each in said:
        if each.time is None:
            by_id[each.kind].append((each.about, each.value, each.observed_at))
        else:
            assert manifest is not None
            (entity,) = as_logged([each.about], manifest, recorder.pseudonyms)
            assert entity is not None
            by_entity[each.kind].append((entity, each.time, each.value, each.observed_at))
    for kind, items in by_id.items():
        for start in range(0, len(items), _WRITTEN_AT_ONCE):
            recorder.feedback(model, items[start : start + _WRITTEN_AT_ONCE], kind)
    for kind, about in by_entity.items():
        for start in range(0, len(about), _WRITTEN_AT_ONCE):
            recorder.entity_feedback(model, about[start : start + _WRITTEN_AT_ONCE], kind)
