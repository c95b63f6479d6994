"""Open Inference Protocol v2: tensors in, one per column, and tensors out."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import did_you_mean
from mlops_assets.serving.answer_form import AnswerForm, answer_form
from mlops_assets.serving.binary_tensors import HEADER, as_bytes, filled_in, parted
from mlops_assets.serving.bodies import Answered, Sent, dumped, read_json
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import Rows, member, quoted_value, require_at_most, rows_of
from mlops_assets.serving.usual_requests import Checked, Reader
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np

Asked = tuple[Rows | Checked, AnswerForm]
"""A request's rows, and what is asked of the answer."""

_DECLARED = {
    "number": "FP64",
    "integer": "INT64",
    "boolean": "BOOL",
    "string": "BYTES",
    "datetime": "BYTES",
}
_MOST_DIMENSIONS = 8  # that are quoted; more than two are never right


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole_between(low: int, high: int) -> Callable[[Any], bool]:
    # JSON knows one kind of number, so 3.0 is as whole as 3.
    return lambda value: _is_number(value) and value % 1 == 0 and low <= value <= high


# What may stand in the data of a tensor that says it is of a datatype; null, a missing value, may in all.
_FITS: dict[str, Callable[[Any], bool]] = {
    "BOOL": lambda value: value in (0, 1),  # True and False are among these
    **{f"INT{bits}": _whole_between(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": _whole_between(0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    **dict.fromkeys(("FP16", "FP32", "FP64"), _is_number),
    "BYTES": lambda value: isinstance(value, str),
}
TENSOR_TYPES = tuple(_FITS)


def read_request(sent: Sent, reader: Reader, manifest: Manifest) -> Asked:
    """Read a request, of whose tensors some may follow the JSON as bytes.

    Args:
        sent: What the client sent.
        reader: Reads usual requests.
        manifest: Declares inputs and outputs.

    Raises:
        Refusal: 400 naming what is wrong, or 413 for too many rows.
    """
    body: dict[str, Any] | None = None
    if sent.json_length is not None:
        head, tail = parted(sent.content, sent.json_length)
        body = filled_in(read_json(head), tail)
    if found := reader.read_oip(sent.content if body is None else body):
        rows, form = found, found.form
        return rows, _of_known_outputs(form, manifest)
    body = sent.json() if body is None else body
    form = answer_form(body.get("id"), body.get("outputs"), body.get("parameters"))
    return read_oip(body, manifest), _of_known_outputs(form, manifest)


def read_oip(body: dict[str, Any], manifest: Manifest) -> Rows:
    """Read a request: one tensor per column, of shape [rows] or [rows, 1].

    Raises:
        Refusal: 400 naming the tensor or column.
    """
    columns: dict[str, list[Any]] = {}
    for index, tensor in enumerate(member(body, "inputs", list)):
        name = member(tensor, "name", str, f"inputs[{index}]")
        where = f"input {name[:64]!r}"
        if name in columns:
            raise Refusal(400, f"{where} stands twice")
        columns[name] = _values(tensor, where)
    return rows_of(columns, manifest)


def _values(tensor: dict[str, Any], where: str) -> list[Any]:
    """Return a tensor's data, which must be what its shape and datatype say."""
    data: list[Any] = member(tensor, "data", list, where)
    shape = member(tensor, "shape", list, where)
    datatype = member(tensor, "datatype", str, where)
    if not isinstance(tensor.get("parameters"), dict | None):
        raise Refusal(400, f"{where}: 'parameters' must be an object")
    if datatype not in _FITS:
        raise Refusal(400, f"{where}: no datatype is called {datatype[:64]!r}{_meant(datatype)}")
    if len(shape) > _MOST_DIMENSIONS or not all(type(size) is int for size in shape):
        raise Refusal(400, f"{where}: 'shape' must be [rows] or [rows, 1]")
    if shape not in ([len(data)], [len(data), 1]):
        raise Refusal(400, f"{where}: shape {shape} does not fit {len(data)} values")
    require_at_most(len(data), "rows")
    # The protocol lets the data of [n, 1] be written flat or nested as the shape says.
    if len(shape) == 2 and all(isinstance(row, list) and len(row) == 1 for row in data):
        data = [value for (value,) in data]
    fits = _FITS[datatype]
    for row, value in enumerate(data):
        if isinstance(value, list | dict):
            raise Refusal(400, f"{where}, row {row}: one value expected, not several; its shape is {shape}")
        if value is not None and not fits(value):
            raise Refusal(400, f"{where}, row {row}: {quoted_value(value)} is not of datatype {datatype}")
    return data


def _meant(datatype: str) -> str:
    return did_you_mean(datatype[:64].upper(), TENSOR_TYPES)


def describe_inputs(manifest: Manifest) -> list[dict[str, Any]]:
    """Return the tensors a request must carry."""
    return [{"name": c.name, "datatype": _DECLARED[c.type], "shape": [-1]} for c in manifest.inputs]


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


def answered(
    named: dict[str, Any], predicted: "np.ndarray[Any, Any]", manifest: Manifest, form: AnswerForm
) -> Answered:
    """Return predictions as the protocol has them.

    Args:
        named: What the answer says besides its outputs.
        predicted: As the package predicts.
        manifest: Tells what was predicted.
        form: What is asked of the answer.
    """
    tensors = output_tensors(predicted, manifest)
    if form.outputs is not None:
        tensors = [tensor for tensor in tensors if tensor["name"] in form.outputs]
    tail = []
    for tensor in tensors:
        if form.is_binary(tensor["name"]):
            content = as_bytes(tensor.pop("data"), tensor["datatype"])
            tensor["parameters"] = {"binary_data_size": len(content)}
            tail.append(content)
    head = dumped({**named, "outputs": tensors})
    if not tail:
        return Answered(head)
    return Answered(b"".join([head, *tail]), {HEADER: str(len(head))}, "application/octet-stream")


def _of_known_outputs(form: AnswerForm, manifest: Manifest) -> AnswerForm:
    for name in form.outputs or ():
        known = [tensor["name"] for tensor in describe_outputs(manifest)]
        if name not in known:
            raise Refusal(400, f"the model has no output {name[:64]!r}; it has {', '.join(known)}")
    return form


def output_tensors(predicted: "np.ndarray[Any, Any]", manifest: Manifest) -> list[dict[str, Any]]:
    """Return predictions as output tensors."""
    tensors = describe_outputs(manifest)
    tensors[0] |= {"shape": list(predicted.shape), "data": predicted.ravel().tolist()}
    if manifest.task == "multiclass_classification":
        labels = [str(manifest.classes[i]) for i in predicted.argmax(axis=1)]
        tensors[1] |= {"shape": [len(labels)], "data": labels}
    return tensors
