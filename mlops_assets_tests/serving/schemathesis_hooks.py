"""What makes schemathesis' requests deep: its hooks, which it loads in a process of its own.

The gateway's description tells of no model's columns, so that requests which only keep to it are all refused
for their columns. Here most become requests that a model answers, or that differ from one in a detail.
``$FUZZED_MODELS`` names a JSON file of right rows by model, and of the models that the caller may not know;
``$FUZZED_ANSWERS`` the file that is told each answer's status.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import strategies as st

from mlops_assets.serving.binary_tensors import HEADER, as_bytes

_MODELS = json.loads(Path(os.environ["FUZZED_MODELS"]).read_text())
ROWS: dict[str, list[dict[str, Any]]] = _MODELS["rows"]
HIDDEN = frozenset(_MODELS["hidden"])
_KNOWN = {column for model in ROWS.keys() - HIDDEN for column in ROWS[model][0]}
_COLUMNS = {column for model in HIDDEN for column in ROWS[model][0]} - _KNOWN
# Shorter ones may be a part of any word.
_SECRET = [name for name in (*HIDDEN, *_COLUMNS) if len(name) > 3]
_ANSWERS = open(os.environ["FUZZED_ANSWERS"], "a", buffering=1)  # noqa: SIM115, it is open as long as this process

_DATATYPES = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}
_BYTES = "application/octet-stream"
_VALUES = st.sampled_from([None, True, 0, -1, 1.5, 2**63, 1e308, "", "x", "2024-01-01", [], [1], {}, {"": 0}])
_ALTERED = st.sampled_from(["not", "not at all", "besides", "within"])


@schemathesis.hook
def before_load_schema(_: Any, raw_schema: dict[str, Any]) -> None:
    """Have what is not drawn name a model that there is."""
    operations = [part for item in raw_schema["paths"].values() for part in (item, *item.values())]
    for operation in operations:
        for parameter in operation.get("parameters", ()) if isinstance(operation, dict) else ():
            if parameter["in"] == "path":
                parameter["example"] = "1" if "version" in parameter["name"] else min(ROWS.keys() - HIDDEN)


@schemathesis.hook
def flatmap_case(_: Any, case: Any) -> st.SearchStrategy[Any]:
    """Have a generated request stay as it is, become right, or nearly so."""
    if case.media_type not in ("application/json", _BYTES):
        return st.just(case)
    return st.builds(_altered, st.just(case), _ALTERED, st.sampled_from(sorted(ROWS)), st.data())


@schemathesis.check
def right_requests_are_answered(_: Any, response: Any, case: Any) -> None:
    """Check that a request which nothing is wrong with gets an answer, from a model that may be known."""
    _ANSWERS.write(f"{response.status_code}\n")
    model = _model(case)
    if case.meta.generation.mode.is_negative or model in HIDDEN:
        return
    if any(_is(case, body, length) for body, length in _right(case, model)):
        assert response.status_code == 200, f"{response.status_code} for a right request: {response.text}"


@schemathesis.check
def what_is_hidden_stays_hidden(_: Any, response: Any, case: Any) -> None:
    """Check that no answer tells of a model out of the caller's scope, but what the request says itself."""
    if _model(case) in HIDDEN and not case.path.endswith("/version"):  # of MLflow, the same for all
        assert response.status_code >= 400, response.text
    asked = f"{response.request.url} {response.request.body!r}"
    for word in _SECRET:
        assert word not in response.text or word in asked, f"{word!r} is told: {response.text}"


def _altered(case: Any, how: str, model: str, data: Any) -> Any:
    generated, draw = case.body, data.draw
    kinds = bytes if case.media_type == _BYTES else dict | list | str | int | float | None
    if how == "not" or not isinstance(generated, kinds):  # there is no body, or none that is JSON
        return case
    if any(part.mode.is_negative for place, part in case.meta.components.items() if place != "body"):
        return case  # what is wrong with it stays as it is
    for name in case.path_parameters:
        case.path_parameters[name] = model if name.startswith("model") and "version" not in name else "1"
    body, length = draw(st.sampled_from(_right(case, model)))
    case.headers.pop(HEADER, None)
    if length is not None:
        case.headers[HEADER] = str(length)
        case.body = body if how == "not at all" else _spoilt(body, draw)
        return case
    if how == "besides" and isinstance(generated, dict):
        body = {**generated, **body}
    elif how == "within":
        _put(body, generated, draw)
    case.body = body
    return case


def _right(case: Any, model: str) -> list[tuple[Any, int | None]]:
    """Return right bodies, and how much of one is JSON if tensors follow it."""
    if model not in ROWS or case.media_type not in ("application/json", _BYTES):
        return []
    if case.media_type == _BYTES:
        return [_in_bytes(_inference(model))]
    ending = case.path.rpartition("/")[2]
    return [(form(model), None) for form in _FORMS.get(ending, _INVOCATIONS)]


def _is(case: Any, body: Any, length: int | None) -> bool:
    said = None if length is None else str(length)
    # Not by value: to Python True is 1, to a model it is not.
    return repr(case.body) == repr(body) and case.headers.get(HEADER) == said


def _model(case: Any) -> str:
    named: dict[str, str] = case.path_parameters
    return named.get("model") or named.get("model_name") or ""


def _inference(model: str) -> dict[str, Any]:
    columns = _columns(model)["inputs"]
    return {"inputs": [_tensor(name, values) for name, values in columns.items()]}


def _tensor(name: str, values: list[Any]) -> dict[str, Any]:
    kind = next(type(value) for value in values if value is not None)
    return {"name": name, "datatype": _DATATYPES[kind], "shape": [len(values)], "data": values}


def _in_bytes(body: dict[str, Any]) -> tuple[bytes, int]:
    tail = []
    for tensor in body["inputs"]:
        content = as_bytes(tensor.pop("data"), tensor["datatype"])
        tensor["parameters"] = {"binary_data_size": len(content)}
        tail.append(content)
    head = json.dumps(body).encode()
    return head + b"".join(tail), len(head)


def _split(model: str) -> dict[str, Any]:
    rows = ROWS[model]
    return {"dataframe_split": {"columns": [*rows[0]], "data": [[*row.values()] for row in rows]}}


def _columns(model: str) -> dict[str, Any]:
    return {"inputs": {name: [row[name] for row in ROWS[model]] for name in ROWS[model][0]}}


def _feedback(model: str) -> dict[str, Any]:
    about = {"prediction_id": "nobody's"}
    return {"feedback": [{**about, **_label(model)}, {**about, "kind": "rating", "value": 4.5}]}


def _by_entity(model: str) -> dict[str, Any]:
    return {"labels": [{"entity": 7, "event_time": "2024-03-01T12:00:00Z", **_label(model)}]}


def _label(model: str) -> dict[str, Any]:
    return {"label": "setosa" if model == "iris" else 1}


_FORMS: dict[str, list[Callable[[str], dict[str, Any]]]] = {
    "infer": [_inference],
    "feedback": [_feedback, _by_entity],
}
_INVOCATIONS: list[Callable[[str], dict[str, Any]]] = [
    _split,
    _columns,
    lambda model: {"dataframe_records": [*ROWS[model]]},
    lambda model: {"instances": [*ROWS[model]]},
]


def _put(body: Any, generated: Any, draw: Any) -> None:
    """Put something generated somewhere into a body."""
    while True:
        place = draw(st.sampled_from([*body] if isinstance(body, dict) else range(len(body))))
        inner = body[place]
        if not isinstance(inner, dict | list) or not inner or draw(st.integers(0, 3)) == 0:
            body[place] = draw(st.sampled_from([generated, *_parts(generated)]) | _VALUES)
            return
        body[place] = body = inner.copy()


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        value = [*value.values()]
    return [*value] if isinstance(value, list) else []


def _spoilt(content: bytes, draw: Any) -> bytes:
    at = draw(st.integers(0, len(content)))
    return content[:at] + draw(st.binary(max_size=8)) + content[at + draw(st.integers(0, 8)) :]
