"""A tensor's data must be what its datatype and shape say."""

from typing import Any

import pytest

from mlops_assets_tests.serving.visits_requests import INFER

_GOOD: dict[str, tuple[str, list[Any]]] = {
    "device": ("BYTES", ["tv", "mobile"]),
    "visited_at": ("BYTES", ["2024-03-01T10:30:00", "2024-03-02"]),
    "member": ("BOOL", [True, False]),
    "pages": ("INT64", [12, 3]),
    "spent": ("FP64", [19.5, None]),
}


def _asked(served: Any, name: str = "spent", **changes: Any) -> Any:
    inputs = [{"name": n, "datatype": t, "shape": [2], "data": data} for n, (t, data) in _GOOD.items()]
    next(tensor for tensor in inputs if tensor["name"] == name).update(changes)
    return served.http.post(INFER, json={"inputs": inputs})


def _deep(levels: int) -> Any:
    return [] if levels == 0 else [_deep(levels - 1)]


FITTING: dict[str, tuple[str, dict[str, Any]]] = {
    "whole numbers as floats": ("spent", {"datatype": "FP32", "data": [19, None]}),
    "float as an integer": ("pages", {"datatype": "INT64", "data": [12.0, 3.0]}),
    "integers of few bits": ("pages", {"datatype": "UINT8", "data": [255, 0]}),
    "integers as floats": ("pages", {"datatype": "FP64", "data": [12.0, 3.0]}),
    "truth as 1 and 0": ("member", {"datatype": "BOOL", "data": [1, 0]}),
    "truth as numbers": ("member", {"datatype": "FP64", "data": [1.0, 0.0]}),
    "shape [n, 1], flat": ("pages", {"shape": [2, 1]}),
    "shape [n, 1], nested": ("pages", {"shape": [2, 1], "data": [[12], [3]]}),
    "shape [n, 1], nested gaps": ("spent", {"shape": [2, 1], "data": [[19.5], [None]]}),
    "only gaps": ("spent", {"datatype": "INT8", "data": [None, None]}),
}


@pytest.mark.parametrize("case", FITTING)
def test_what_fits_is_answered(served: Any, case: str) -> None:
    name, changes = FITTING[case]
    answer = _asked(served, name, **changes)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["outputs"][0]["data"]) == 2


@pytest.mark.parametrize(
    ("name", "nested"),
    [("pages", [[12], [3]]), ("device", [["tv"], ["mobile"]]), ("spent", [[19.5], [None]])],
)
def test_nested_data_means_what_flat_data_means(served: Any, name: str, nested: Any) -> None:
    flat = _asked(served).json()["outputs"]
    assert _asked(served, name, shape=[2, 1], data=nested).json()["outputs"] == flat


MISFITS: dict[str, tuple[str, dict[str, Any], str]] = {
    "numbers as text": ("device", {"data": ["tv", 5]}, "row 1: 5 is not of datatype BYTES"),
    "truth as text": ("device", {"data": [True, "tv"]}, "row 0: True is not of datatype BYTES"),
    "half an integer": ("pages", {"data": [1.5, 2]}, "row 0: 1.5 is not of datatype INT64"),
    "digits for an integer": ("pages", {"data": [1, "2"]}, "row 1: '2' is not of datatype INT64"),
    "truth for an integer": ("pages", {"data": [1, True]}, "row 1: True is not of datatype INT64"),
    "beyond 8 bits": ("pages", {"datatype": "INT8", "data": [1, 128]}, "row 1: 128 is not of datatype INT8"),
    "beyond 64 bits": ("pages", {"data": [1, 2**63]}, f"row 1: {2**63} is not of datatype INT64"),
    "below zero": ("pages", {"datatype": "UINT16", "data": [1, -1]}, "row 1: -1 is not of datatype UINT16"),
    "three for a truth": ("member", {"data": [True, 3]}, "row 1: 3 is not of datatype BOOL"),
    "text for a truth": ("member", {"data": ["true", True]}, "row 0: 'true' is not of datatype BOOL"),
    "text for a float": ("spent", {"datatype": "FP32", "data": ["1", 1]}, "row 0: '1' is not of datatype FP"),
    "truth for a float": ("spent", {"data": [1, False]}, "row 1: False is not of datatype FP64"),
    "long text": ("spent", {"data": ["x" * 9_999, 1]}, "row 0: 'xxx"),
    "fewer values than said": ("pages", {"shape": [3]}, "shape [3] does not fit 2 values"),
    "more dimensions": ("pages", {"shape": [1, 2]}, "shape [1, 2] does not fit 2 values"),
    "three dimensions": ("pages", {"shape": [2, 1, 1]}, "shape [2, 1, 1] does not fit 2 values"),
    "no dimension": ("pages", {"shape": []}, "shape [] does not fit 2 values"),
    "a shape of text": ("pages", {"shape": ["2"]}, "'shape' must be [rows] or [rows, 1]"),
    "a shape of truth": ("pages", {"shape": [2, True]}, "'shape' must be [rows] or [rows, 1]"),
    "a shape of shapes": ("pages", {"shape": _deep(900)}, "'shape' must be [rows] or [rows, 1]"),
    "a thousand dimensions": ("pages", {"shape": [1] * 1000}, "'shape' must be [rows] or [rows, 1]"),
    "nested, but not said": ("pages", {"data": [[12], [3]]}, "row 0: one value expected, not several"),
    "nested in part": ("pages", {"shape": [2, 1], "data": [[12], 3]}, "row 0: one value expected"),
    "two in a row": ("pages", {"shape": [2, 1], "data": [[12, 1], [3, 1]]}, "row 0: one value expected"),
    "nested twice": ("pages", {"shape": [2, 1], "data": [[[12]], [[3]]]}, "row 0: one value expected"),
    "an object": ("pages", {"data": [{"n": 1}, 3]}, "row 0: one value expected, not several"),
    "parameters in a list": ("pages", {"parameters": ["x"]}, "'parameters' must be an object"),
    "small letters": ("pages", {"datatype": "int64"}, "'int64' (did you mean 'INT64'?)"),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_what_does_not_fit_names_the_tensor(served: Any, case: str) -> None:
    name, changes, words = MISFITS[case]
    answer = _asked(served, name, **changes)
    assert answer.status_code == 400
    assert f"input '{name}'" in answer.json()["error"]
    assert words in answer.json()["error"]
    assert len(answer.json()["error"]) < 300


def test_what_fits_the_datatype_must_still_be_what_is_declared(served: Any) -> None:
    answer = _asked(served, "pages", datatype="FP64", data=[1.5, 2])
    assert answer.status_code == 400
    assert "column 'pages', row 0: 1.5 is not an integer" in answer.json()["error"]
