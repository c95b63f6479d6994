"""What clients may send, read into columns, and what they get back.

Three request forms become one: a frame of raw input columns in their declared types. Everything a client
can get wrong is a :class:`BadRequest` that names the field.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.data.columns import convert
from mlops_assets.errors import did_you_mean
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


class BadRequest(Exception):
    """What is wrong with a request, in words for whoever sent it.

    Args:
        message: What is wrong, naming the field.
        status: HTTP status, 4xx.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Rows:
    """A request's rows.

    Attributes:
        frame: Raw input columns in their declared types, and the time column if it was sent.
        sent: The same rows as they were sent, for the log.
    """

    frame: "pd.DataFrame"
    sent: list[dict[str, Any]]


def read_oip(body: Any, manifest: Manifest) -> Rows:
    """Read an Open Inference Protocol v2 request: one tensor per column."""
    tensors = _member(body, "inputs", list)
    columns: dict[str, list[Any]] = {}
    for index, tensor in enumerate(tensors):
        name = _member(tensor, "name", str, f"inputs[{index}]")
        data = _member(tensor, "data", list, f"input {name!r}")
        shape = _member(tensor, "shape", list, f"input {name!r}")
        if shape not in ([len(data)], [len(data), 1]):
            raise BadRequest(f"input {name!r}: shape {shape} does not fit {len(data)} values")
        if name in columns:
            raise BadRequest(f"input {name!r} stands twice")
        columns[name] = [v[0] if isinstance(v, list) and len(v) == 1 else v for v in data]
    return _rows(columns, manifest)


def read_mlflow(body: Any, manifest: Manifest) -> Rows:
    """Read one of MLflow's four request forms."""
    if not isinstance(body, dict):
        raise BadRequest("the body must be a JSON object")
    forms = [f for f in ("dataframe_split", "dataframe_records", "inputs", "instances") if f in body]
    if len(forms) != 1:
        raise BadRequest("give exactly one of dataframe_split, dataframe_records, inputs, instances")
    value = body[forms[0]]
    if forms[0] == "dataframe_split":
        return _rows(_split(value), manifest)
    if isinstance(value, dict):
        return _rows({str(k): v if isinstance(v, list) else [v] for k, v in value.items()}, manifest)
    return _rows(_records(value, forms[0]), manifest)


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


def _rows(columns: dict[str, list[Any]], manifest: Manifest) -> Rows:
    import pandas as pd

    declared = {c.name: c for c in manifest.inputs}
    if manifest.time_column not in declared and manifest.time_column in columns:
        declared[manifest.time_column] = Column(name=manifest.time_column, type="datetime")
    _require_known(columns, declared, manifest)
    lengths = {name: len(values) for name, values in columns.items()}
    count = next(iter(lengths.values()), 0)
    if count == 0:
        raise BadRequest("the request has no rows")
    for name, length in lengths.items():
        if length != count:
            raise BadRequest(f"column {name!r} has {length} values, others have {count}")
    if count > MAX_ROWS:
        raise BadRequest(f"{count:,} rows, more than the {MAX_ROWS:,} one request may carry", 413)
    converted = {name: _column(columns[name], column) for name, column in declared.items()}
    sent = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Rows(pd.DataFrame(converted), sent)


def _require_known(columns: dict[str, list[Any]], declared: dict[str, Column], manifest: Manifest) -> None:
    missing = [c.name for c in manifest.inputs if c.name not in columns]
    if missing:
        raise BadRequest(f"missing columns: {', '.join(missing)}")
    unknown = [f"{name!r}{did_you_mean(name, declared)}" for name in columns if name not in declared]
    if unknown:
        raise BadRequest(f"unknown columns: {', '.join(unknown)}")


def _column(values: list[Any], column: Column) -> "pd.Series[Any]":
    import pandas as pd

    series = pd.Series(values, dtype="object")
    nested = series.map(lambda v: isinstance(v, list | dict))
    if nested.any():
        raise BadRequest(f"column {column.name!r}, row {_first(nested)}: one value expected, not several")
    try:
        converted, bad = convert(series, column.type)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadRequest(f"column {column.name!r}: {error}") from error
    if bad.any():
        row = _first(bad)
        raise BadRequest(f"column {column.name!r}, row {row}: {values[row]!r} is not a {column.type}")
    if not column.nullable and (missing := converted.isna()).any():
        raise BadRequest(f"column {column.name!r}, row {_first(missing)}: a value is required")
    return converted


def _split(value: Any) -> dict[str, list[Any]]:
    names = _member(value, "columns", list, "dataframe_split")
    data = _member(value, "data", list, "dataframe_split")
    if len(set(map(str, names))) != len(names):
        raise BadRequest("dataframe_split: a column stands twice")
    for index, row in enumerate(data):
        if not isinstance(row, list) or len(row) != len(names):
            raise BadRequest(f"dataframe_split: row {index} does not have {len(names)} values")
    return {str(name): [row[i] for row in data] for i, name in enumerate(names)}


def _records(value: Any, form: str) -> dict[str, list[Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise BadRequest(f"{form} must be a list of objects, one per row")
    names = list(dict.fromkeys(str(name) for row in value for name in row))
    return {name: [row.get(name) for row in value] for name in names}


def _first(mask: "pd.Series[bool]") -> int:
    """Return the number of the first row that is marked."""
    return int(mask.to_numpy().argmax())


def _member(value: Any, name: str, kind: type[Any], where: str = "the body") -> Any:
    if not isinstance(value, dict):
        raise BadRequest(f"{where} must be a JSON object")
    if not isinstance(value.get(name), kind):
        expected = "a list" if kind is list else "text"
        raise BadRequest(f"{where}: {name!r} must be {expected}")
    return value[name]
