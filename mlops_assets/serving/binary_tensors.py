"""The binary tensor extension of the Open Inference Protocol: tensors as bytes after the JSON.

The JSON of such a request or answer is as long as its header ``Inference-Header-Content-Length`` says, and
the tensors that carry the parameter ``binary_data_size`` follow it in their order: little endian numbers, a
byte for a truth value, and for text four bytes of its length before each.
"""

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import quoted_value

if TYPE_CHECKING:
    import numpy as np

HEADER = "inference-header-content-length"
EXTENSION = "binary_tensor_data"
_SIZE = "binary_data_size"
_LONGEST = 12  # digits
_LENGTH = struct.Struct("<I")
_NUMBERS = {
    "BOOL": "?",
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}


def parted(content: bytes, length: str) -> tuple[bytes, bytes]:
    """Return a body's JSON and the tensors after it.

    Args:
        content: The body.
        length: The header's value.

    Raises:
        Refusal: 400: the header is no length, or longer than the body.
    """
    known = length.isascii() and length.isdigit() and len(length) <= _LONGEST
    if not known or int(length) > len(content):
        raise Refusal(400, f"{HEADER} is {length[:20]!r}, and the body has {len(content):,} bytes")
    return content[: int(length)], content[int(length) :]


def filled_in(body: dict[str, Any], tail: bytes) -> dict[str, Any]:
    """Return a body in which every tensor has its data, be it from the bytes after the JSON.

    Raises:
        Refusal: 400 naming the tensor whose bytes are not what is said of them.
    """
    at, inputs = 0, body.get("inputs")
    filled = []
    for tensor in inputs if isinstance(inputs, list) else ():
        parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
        size = parameters.get(_SIZE) if isinstance(parameters, dict) else None
        if size is None:
            filled.append(tensor)
            continue
        where = f"input {str(tensor.get('name'))[:64]!r}"
        if type(size) is not int or not 0 <= size <= len(tail) - at:
            left = len(tail) - at
            raise Refusal(400, f"{where}: {_SIZE} is {quoted_value(size)}, and {left:,} bytes are left")
        filled.append({**tensor, "data": _values(tail[at : at + size], tensor.get("datatype"), where)})
        at += size
    if at != len(tail):
        raise Refusal(400, f"{len(tail) - at:,} bytes after the last tensor belong to none")
    return {**body, "inputs": filled} if filled else body


def _values(content: bytes, datatype: Any, where: str) -> list[Any]:
    import numpy as np

    if datatype == "BYTES":
        return _texts(content, where)
    if datatype not in _NUMBERS:
        raise Refusal(400, f"{where}: {quoted_value(datatype)} is no datatype that can be sent as bytes")
    kind = np.dtype(_NUMBERS[datatype])
    if len(content) % kind.itemsize:
        raise Refusal(400, f"{where}: {len(content):,} bytes are no whole number of {datatype}")
    values = np.frombuffer(content, kind)
    listed: list[Any] = values.tolist()
    # Bytes know no null: what is missing is sent as NaN.
    if kind.kind == "f" and np.isnan(values).any():
        return [None if value != value else value for value in listed]
    return listed


def _texts(content: bytes, where: str) -> list[str]:
    texts: list[str] = []
    at = 0
    while at < len(content):
        start = at + _LENGTH.size
        if start > len(content):
            raise Refusal(400, f"{where}: the length of text {len(texts)} is cut off")
        (length,) = _LENGTH.unpack(content[at:start])
        at = start + length
        if at > len(content):
            raise Refusal(400, f"{where}: text {len(texts)} is cut off")
        try:
            texts.append(content[start:at].decode())
        except UnicodeDecodeError:
            raise Refusal(400, f"{where}: text {len(texts)} is not UTF-8") from None
    return texts


def as_bytes(data: "Sequence[Any] | np.ndarray[Any, Any]", datatype: str) -> bytes:
    """Return a tensor's data as bytes."""
    import numpy as np

    if datatype == "BYTES":
        encoded = [str(value).encode() for value in data]
        return b"".join(_LENGTH.pack(len(text)) + text for text in encoded)
    return np.asarray(data).astype(_NUMBERS[datatype]).tobytes()
