"""What clients may send, read into columns, and what they get back.

Three request forms become one: a frame of raw input columns in their declared types. Everything a client
can get wrong is a :class:`~mlops_assets.serving.refusal.Refusal` that names the field.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from mlops_assets.data.columns import convert
from mlops_assets.errors import did_you_mean
from mlops_assets.serving.refusal import Refusal
from mlops_assets.specs.model_spec import Column
from mlops_assets.training.package import Manifest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MAX_ROWS = 10_000
OIP_TYPES = {
    "number": "FP64",
    "integer": "INT64",
    "boolean": "BOOL",
    "string": "BYTES",
    "datetime": "BYTES",
}
_NUMERIC_TYPES = [f"{kind}{bits}" for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)]
TENSOR_TYPES = ("BOOL", *_NUMERIC_TYPES, "FP16", "FP32", "FP64", "BYTES")
MLFLOW_FORMS = ("dataframe_split", "dataframe_records", "inputs", "instances")
# Features are float32: a larger number would reach the model as an infinity.
_LARGEST = 3.4028234e38
_NAMED_AT_MOST = 5


@dataclass(frozen=True)
class Rows:
    """A request's rows.

    Attributes:
        frame: Raw input columns in their declared types, and the time column if it was sent.
        sent: The same rows as they were sent, for the log.
    """

    frame: "pd.DataFrame"
    sent: list[dict[str, Any]]


def read_json(content: bytes) -> dict[str, Any]:
    """Read a request's body; a key that stands twice has its last value, as everywhere in JSON."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise Refusal(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refusal(400, "the body must be a JSON object")
    return body


def read_oip(body: dict[str, Any], manifest: Manifest) -> Rows:
    """Read an Open Inference Protocol v2 request: one tensor per column."""
    if not isinstance(body.get("id"), str | None):
        raise Refusal(400, "the body: 'id' must be text")
    columns: dict[str, list[Any]] = {}
    for index, tensor in enumerate(_member(body, "inputs", list)):
        name = _member(tensor, "name", str, f"inputs[{index}]")
        where = f"input {name!r}"
        data = _member(tensor, "data", list, where)
        shape = _member(tensor, "shape", list, where)
        datatype = _member(tensor, "datatype", str, where)
        if datatype not in TENSOR_TYPES:
            known = did_you_mean(datatype, TENSOR_TYPES)
            raise Refusal(400, f"{where}: no datatype is called {datatype!r}{known}")
        if shape not in ([len(data)], [len(data), 1]):
            raise Refusal(400, f"{where}: shape {shape} does not fit {len(data)} values")
        if name in columns:
            raise Refusal(400, f"{where} stands twice")
        columns[name] = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in data]
    return _rows(columns, manifest)


def read_mlflow(body: dict[str, Any], manifest: Manifest) -> Rows:
    """Read one of MLflow's four request forms."""
    forms = [form for form in MLFLOW_FORMS if form in body]
    if len(forms) != 1:
        raise Refusal(400, f"give exactly one of {', '.join(MLFLOW_FORMS)}")
    form, value = forms[0], body[forms[0]]
    if form == "dataframe_split":
        return _rows(_split(value), manifest)
    if isinstance(value, dict) and form != "dataframe_records":
        return _rows({name: v if isinstance(v, list) else [v] for name, v in value.items()}, manifest)
    return _rows(_records(value, form), manifest)


def describe_inputs(manifest: Manifest) -> list[dict[str, Any]]:
    """Return the tensors a request must carry, as the Open Inference Protocol describes them."""
    return [{"name": c.name, "datatype": OIP_TYPES[c.type], "shape": [-1]} for c in manifest.inputs]


def describe_outputs(manifest: Manifest) -> list[dict[str, Any]]:
    """Return the tensors an answer carries."""
    match manifest.task:
        case "binary_classification":
            return [{"name": "probability", "datatype": "FP64", "shape": [-1]}]
        case "multiclass_classification":
            return [
                {"name": "probabilities", "datatype": "FP64", "shape": [-1, len(manifest.classes)]},
                {"name": "label", "datatype": "BYTES", "shape": [-1]},
            ]
        case "regression":
            return [{"name": "value", "datatype": "FP64", "shape": [-1]}]


def output_tensors(predicted: "np.ndarray[Any, Any]", manifest: Manifest) -> list[dict[str, Any]]:
    """Return predictions as output tensors."""
    tensors = describe_outputs(manifest)
    tensors[0] |= {"shape": list(predicted.shape), "data": predicted.ravel().tolist()}
    if manifest.task == "multiclass_classification":
        labels = [str(manifest.classes[i]) for i in predicted.argmax(axis=1)]
        tensors[1] |= {"shape": [len(labels)], "data": labels}
    return tensors


def require_at_most(count: int, what: str) -> None:
    """Refuse more than one request may carry."""
    if count > MAX_ROWS:
        raise Refusal(413, f"{count:,} {what}, more than the {MAX_ROWS:,} one request may carry")


def _rows(columns: dict[str, list[Any]], manifest: Manifest) -> Rows:
    import pandas as pd

    declared = {c.name: c for c in manifest.inputs}
    if manifest.time_column not in declared and manifest.time_column in columns:
        declared[manifest.time_column] = Column(name=manifest.time_column, type="datetime")
    _require_known(columns, declared, manifest)
    lengths = {name: len(values) for name, values in columns.items()}
    count = next(iter(lengths.values()))
    for name, length in lengths.items():
        if length != count:
            raise Refusal(400, f"column {name!r} has {length} values, others have {count}")
    if count == 0:
        raise Refusal(400, "the request has no rows")
    require_at_most(count, "rows")
    converted = {name: _column(columns[name], column) for name, column in declared.items()}
    sent = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Rows(pd.DataFrame(converted), sent)


def _require_known(columns: dict[str, list[Any]], declared: dict[str, Column], manifest: Manifest) -> None:
    unknown = [name for name in columns if name not in declared]
    missing = [c.name for c in manifest.inputs if c.name not in columns]
    if missing:
        raise Refusal(400, f"missing columns: {', '.join(missing)}{_but_sent(unknown, missing)}")
    if unknown:
        raise Refusal(400, f"unknown columns: {_quoted(unknown, declared)}")


def _but_sent(unknown: list[str], missing: list[str]) -> str:
    return f"; unknown columns: {_quoted(unknown, dict.fromkeys(missing))}" if unknown else ""


def _quoted(names: list[str], known: dict[str, Any]) -> str:
    # Not more than a few: finding the nearest name of very many takes long.
    shown = [f"{name[:64]!r}{did_you_mean(name[:64], known)}" for name in names[:_NAMED_AT_MOST]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _column(values: list[Any], column: Column) -> "pd.Series[Any]":
    import pandas as pd

    series = pd.Series(values, dtype="object")
    nested = series.map(lambda v: isinstance(v, list | dict)).astype(bool)
    if nested.any():
        raise _wrong(column, nested, "one value expected, not several")
    converted, bad = convert(series, column.type)
    if bad.any():
        value = repr(values[_first(bad)])
        shown = value if len(value) <= 80 else f"{value[:80]}…"
        raise _wrong(column, bad, f"{shown} is not {'an' if column.type == 'integer' else 'a'} {column.type}")
    if column.type in ("number", "integer") and (large := converted.abs() > _LARGEST).any():
        raise _wrong(column, large, f"{values[_first(large)]!r} is larger than a model can take")
    if not column.nullable and (missing := converted.isna()).any():
        raise _wrong(column, missing, "a value is required")
    return converted


def _wrong(column: Column, rows: "pd.Series[bool]", problem: str) -> Refusal:
    return Refusal(400, f"column {column.name!r}, row {_first(rows)}: {problem}")


def _first(mask: "pd.Series[bool]") -> int:
    """Return the number of the first row that is marked."""
    return int(mask.to_numpy().argmax())


def _split(value: Any) -> dict[str, list[Any]]:
    names = _member(value, "columns", list, "dataframe_split")
    data = _member(value, "data", list, "dataframe_split")
    require_at_most(len(data), "rows")
    if not all(isinstance(name, str) for name in names):
        raise Refusal(400, "dataframe_split: the columns' names must be text")
    if len(set(names)) != len(names):
        raise Refusal(400, "dataframe_split: a column stands twice")
    for index, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            raise Refusal(400, f"dataframe_split: row {index} must be a list of {len(names)} values")
    return {name: [row[i] for row in data] for i, name in enumerate(names)}


def _records(value: Any, form: str) -> dict[str, list[Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise Refusal(400, f"{form} must be a list of objects, one per row")
    require_at_most(len(value), "rows")
    if not value:
        raise Refusal(400, "the request has no rows")
    names = dict.fromkeys(name for row in value for name in row)
    return {name: [row.get(name) for row in value] for name in names}


def _member(value: Any, name: str, kind: type[Any], where: str = "the body") -> Any:
    if not isinstance(value, dict):
        raise Refusal(400, f"{where} must be a JSON object")
    if not isinstance(value.get(name), kind):
        raise Refusal(400, f"{where}: {name!r} must be {'a list' if kind is list else 'text'}")
    return value[name]
