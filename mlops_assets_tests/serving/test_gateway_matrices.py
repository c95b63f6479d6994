"""What is read straight into a matrix is what the general reader would have read."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.serving.frames import FrameReader
from mlops_assets.serving.matrices import MatrixReader
from mlops_assets.serving.mlflow_forms import read_mlflow
from mlops_assets.serving.oip import read_oip
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import Rows
from mlops_assets.serving.usual_requests import Checked
from mlops_assets.specs.data_spec import Column
from mlops_assets.training.manifest import Manifest

INPUTS = (
    Column(name="spent"),
    Column(name="age", nullable=True),
    Column(name="pages", type="integer"),
    Column(name="visits", type="integer", nullable=True),
    Column(name="member", type="boolean", nullable=True),
)
NAMES = [column.name for column in INPUTS]
DATATYPES = {
    "spent": "FP64",
    "age": "FP32",
    "pages": "INT64",
    "visits": "INT64",
    "member": "BOOL",
    "at": "BYTES",
    "device": "BYTES",
}


def manifest(inputs: tuple[Column, ...] = INPUTS, **changes: Any) -> Manifest:
    values: dict[str, Any] = {
        "model": "visits",
        "task": "regression",
        "inputs": inputs,
        "feature_names": tuple(column.name for column in inputs),
        "feature_types": {},
        "feature_function": None,
        "classes": (),
        "runtime": "onnx",
        "time_column": "at",
        "target": "bought",
        "lineage": {},
    }
    return Manifest(**{**values, **changes})


MANIFEST = manifest()
READER = MatrixReader(MANIFEST)
MIXED = manifest(
    (*INPUTS, Column(name="device", type="string", nullable=True), Column(name="at", type="datetime"))
)
FRAME_READER = FrameReader(MIXED)

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
missing = st.none()
usual = {
    "spent": numbers,
    "age": numbers | missing,
    "pages": st.integers(-(2**40), 2**40),
    "visits": st.integers(0, 9) | missing,
    "member": st.booleans() | missing,
    "at": st.datetimes().map(lambda t: t.isoformat()),
    "device": st.text(max_size=3) | missing,
}
wrong = st.one_of(
    missing,
    st.booleans(),
    st.text(max_size=3),
    st.sampled_from(
        [0.5, 1, 2.0, "1.5", "2024-01-01", "2024-W01-1", "now", 2**60 + 1, 1e39, -1e300, [1], {}]
    ),
)


@st.composite
def tables(
    draw: st.DrawFn, names: Sequence[str] = NAMES, more: Sequence[list[str]] = ([], ["at"])
) -> tuple[list[str], list[list[Any]]]:
    """Draw columns in any order, with or without a time, of which at most one value is of any kind."""
    columns = draw(st.permutations([*names, *draw(st.sampled_from(more))]))
    rows = draw(st.lists(st.tuples(*(usual[name] for name in columns)).map(list), min_size=1, max_size=4))
    if draw(st.booleans()):
        row, place = draw(st.sampled_from(rows)), draw(st.integers(0, len(columns) - 1))
        row[place] = draw(wrong)
    if draw(st.integers(0, 9)) == 0:
        draw(st.sampled_from(rows)).pop()
    if draw(st.integers(0, 9)) == 0:
        columns[draw(st.integers(0, len(columns) - 1))] = draw(st.sampled_from([*NAMES, "at", "other"]))
    return columns, rows


def mlflow_bodies(columns: list[str], rows: list[list[Any]]) -> dict[str, Any]:
    return {
        "split": {"dataframe_split": {"columns": columns, "data": rows}},
        "records": {"dataframe_records": [dict(zip(columns, row, strict=False)) for row in rows]},
        "lists": {"inputs": rows},
        "with more": {"instances": rows, "params": {}, "dataframe_split": None},
    }


def oip_body(columns: list[str], rows: list[list[Any]]) -> dict[str, Any]:
    tensors = [
        {
            "name": name,
            "shape": [len(rows)],
            "datatype": DATATYPES.get(name, "FP64"),
            "data": [row[place] for row in rows if place < len(row)],
        }
        for place, name in enumerate(columns)
    ]
    return {"id": "a request", "inputs": tensors}


def same(fast: Checked, general: Rows) -> None:
    frame = general.frame
    assert np.array_equal(fast.values, frame[NAMES].to_numpy(dtype="float64"), equal_nan=True)
    assert dict(zip(*fast.logged, strict=True)) == {name: tuple(sent) for name, sent in general.sent.items()}
    if fast.times is None:
        assert "at" not in frame
    else:
        assert list(fast.times) == [time.to_pydatetime() for time in frame["at"]]


@given(tables())
def test_what_mlflows_forms_are_read_as_is_the_same(table: tuple[list[str], list[list[Any]]]) -> None:
    for body in mlflow_bodies(*table).values():
        if (fast := READER.read_mlflow(orjson.dumps(body))) is not None:
            same(fast, read_mlflow(orjson.loads(orjson.dumps(body)), MANIFEST))


@given(tables(), st.sampled_from(["FP64", "INT64", "INT8", "BOOL", "BYTES", None]))
def test_what_tensors_are_read_as_is_the_same(
    table: tuple[list[str], list[list[Any]]], datatype: str | None
) -> None:
    body = oip_body(*table)
    if datatype is not None:
        body["inputs"][0]["datatype"] = datatype
    if (fast := READER.read_oip(orjson.dumps(body))) is not None:
        same(fast, read_oip(orjson.loads(orjson.dumps(body)), MANIFEST))


@given(tables(names=[*NAMES, "device", "at"], more=[[]]))
def test_a_frame_of_any_types_is_the_same(table: tuple[list[str], list[list[Any]]]) -> None:
    bodies = [*mlflow_bodies(*table).values(), oip_body(*table)]
    for read, read_generally, body in zip(
        [*[FRAME_READER.read_mlflow] * 4, FRAME_READER.read_oip],
        [*[read_mlflow] * 4, read_oip],
        bodies,
        strict=True,
    ):
        if (fast := read(orjson.dumps(body))) is not None:
            general = read_generally(orjson.loads(orjson.dumps(body)), MIXED)
            pd.testing.assert_frame_equal(fast.values, general.frame, check_like=True)
            assert dict(zip(*fast.logged, strict=True)) == {k: tuple(v) for k, v in general.sent.items()}


@pytest.mark.parametrize("time", [[], ["at"]])
@pytest.mark.parametrize("form", ["split", "records", "lists", "oip"])
def test_the_usual_request_is_read_at_once(form: str, time: list[str]) -> None:
    columns = [*NAMES[::-1], *time] if form != "lists" else NAMES
    row = {
        "spent": 1.5,
        "age": None,
        "pages": 3,
        "visits": None,
        "member": True,
        "at": "2024-01-01T10:00:00Z",
    }
    rows = [[row[name] for name in columns]] * 3
    body = oip_body(columns, rows) if form == "oip" else mlflow_bodies(columns, rows)[form]

    fast = (READER.read_oip if form == "oip" else READER.read_mlflow)(orjson.dumps(body))

    assert fast is not None
    assert fast.values[2].tolist()[:1] + fast.values[2].tolist()[2:3] + fast.values[2].tolist()[4:] == [
        1.5,
        3,
        1,
    ]
    assert math.isnan(fast.values[2, 1])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"inputs": []}',
        b'{"dataframe_records": [{}]}',
        b'{"inputs": NaN}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_usual_request_is_left_to_the_general_reader(content: bytes) -> None:
    assert READER.read_mlflow(content) is None
    assert READER.read_oip(content) is None


def test_more_rows_than_a_request_may_carry_are_left_to_the_general_reader() -> None:
    body = {"dataframe_split": {"columns": NAMES, "data": [[1, 1, 1, 1, 1]] * 10_001}}

    assert READER.read_mlflow(orjson.dumps(body)) is None
    with pytest.raises(Refusal, match="10,001 rows"):
        read_mlflow(body, MANIFEST)


@pytest.mark.parametrize(
    "other",
    [
        manifest((Column(name="device", type="string"),)),
        manifest((Column(name="at", type="datetime"),)),
        manifest(feature_function="features"),
        manifest(feature_names=("age", "spent", "pages", "visits", "member")),
    ],
)
def test_some_models_take_more_than_numbers(other: Manifest) -> None:
    assert not other.takes_numbers
