"""Tensors as bytes after the JSON: what is sent is what is read, and what is wrong is named."""

from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.serving.binary_tensors import HEADER, as_bytes, filled_in, parted
from mlops_assets.serving.oip import TENSOR_TYPES
from mlops_assets.serving.refusal import Refusal
from mlops_assets_tests.serving.visits_requests import INFER, VISITS, oip

BITS = {name: int(name.strip("INTUFP")) for name in TENSOR_TYPES if name[-1].isdigit()}


def values(datatype: str) -> st.SearchStrategy[Any]:
    """Return what a tensor of a datatype may hold, as it is exactly."""
    if datatype == "BYTES":
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=9)
    if datatype == "BOOL":
        return st.booleans()
    if datatype.startswith("FP"):
        return st.floats(width=BITS[datatype], allow_nan=False, allow_infinity=False)  # type: ignore[arg-type]
    low = 0 if datatype.startswith("U") else -(2 ** (BITS[datatype] - 1))
    return st.integers(low, low + 2 ** BITS[datatype] - 1)


tensors = st.sampled_from(TENSOR_TYPES).flatmap(
    lambda datatype: st.tuples(st.just(datatype), st.lists(values(datatype), max_size=5))
)


def packed(tensors: list[tuple[str, list[Any]]]) -> tuple[dict[str, Any], bytes]:
    contents = [as_bytes(data, datatype) for datatype, data in tensors]
    inputs = [
        {
            "name": str(place),
            "datatype": datatype,
            "shape": [len(data)],
            "parameters": {"binary_data_size": len(content)},
        }
        for place, ((datatype, data), content) in enumerate(zip(tensors, contents, strict=True))
    ]
    return {"inputs": inputs}, b"".join(contents)


@given(st.lists(tensors, max_size=4))
def test_what_is_sent_is_what_is_read(sent: list[tuple[str, list[Any]]]) -> None:
    body, tail = packed(sent)

    assert [tensor["data"] for tensor in filled_in(body, tail)["inputs"]] == [data for _, data in sent]


@given(st.lists(tensors, min_size=1, max_size=4), st.binary(min_size=1, max_size=3))
def test_bytes_that_belong_to_no_tensor_are_refused(sent: list[tuple[str, list[Any]]], more: bytes) -> None:
    body, tail = packed(sent)

    with pytest.raises(Refusal, match="bytes after the last tensor belong to none"):
        filled_in(body, tail + more)


@given(st.sampled_from(TENSOR_TYPES), st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(datatype: str, content: bytes) -> None:
    size = {"binary_data_size": len(content)}
    body = {"inputs": [{"name": "x", "datatype": datatype, "parameters": size}]}
    read, said = None, ""
    try:
        read = filled_in(body, content)["inputs"][0]["data"]
    except Refusal as refusal:
        said = str(refusal)

    assert isinstance(read, list) or said.startswith("input 'x': ")


def test_what_is_missing_is_sent_as_nan() -> None:
    body, tail = packed([("FP32", [1.5, float("nan")])])

    assert filled_in(body, tail)["inputs"][0]["data"] == [1.5, None]


@pytest.mark.parametrize(
    ("size", "said"),
    [
        (9, "binary_data_size is 9, and 8 bytes are left"),
        (-1, "binary_data_size is -1, and 8 bytes are left"),
        (True, "binary_data_size is True, and 8 bytes are left"),
        ("8", "binary_data_size is '8', and 8 bytes are left"),
        (7, "7 bytes are no whole number of FP64"),
    ],
)
def test_a_size_that_is_wrong_is_named(size: Any, said: str) -> None:
    body, tail = packed([("FP64", [1.5])])
    body["inputs"][0]["parameters"]["binary_data_size"] = size

    with pytest.raises(Refusal, match=said):
        filled_in(body, tail)


@pytest.mark.parametrize("length", ["", "-1", "x", "4.0", "11", "9" * 5_000, "0" * 12 + "9" * 5_000, "٣"])
def test_a_length_that_is_wrong_is_told(length: str) -> None:
    with pytest.raises(Refusal, match=HEADER):
        parted(b"0123456789", length)


def test_a_part_in_json_and_a_part_in_bytes(served: Any) -> None:
    body = oip(VISITS)
    expected = served.http.post(INFER, json=body).json()["outputs"][0]["data"]
    pages = next(tensor for tensor in body["inputs"] if tensor["name"] == "pages")
    tail = np.array(pages.pop("data"), dtype="<i8").tobytes()
    pages["parameters"] = {"binary_data_size": len(tail)}
    head = orjson.dumps({**body, "parameters": {"binary_data_output": True}})

    answer = served.http.post(INFER, content=head + tail, headers={HEADER: str(len(head))})

    length = int(answer.headers[HEADER])
    (output,) = orjson.loads(answer.content[:length])["outputs"]
    assert output["parameters"] == {"binary_data_size": 8 * len(VISITS)}
    assert np.frombuffer(answer.content[length:], "<f8").tolist() == expected


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"outputs": {}}, "'outputs' must be a list"),
        ({"outputs": [{}]}, "outputs[0]: 'name' must be text"),
        (
            {"outputs": [{"name": "probability", "parameters": []}]},
            "output 'probability': 'parameters' must be",
        ),
        ({"parameters": {"binary_data_output": 1}}, "parameter 'binary_data_output' must be true or false"),
        ({"outputs": [{"name": "label"}]}, "the model has no output 'label'; it has probability"),
    ],
)
def test_what_cannot_be_answered_is_told_before_anything_is_logged(
    served: Any, asked: dict[str, Any], said: str
) -> None:
    answer = served.http.post(INFER, json={**oip(VISITS), **asked})

    assert answer.status_code == 400
    assert said in answer.json()["error"]
