"""What the gateway takes, a file may hold, and the other way round; both make the same of it."""

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import DataError
from mlops_assets.scoring.checks import Signature
from mlops_assets.serving.discretion import entities_of
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import rows_of
from mlops_assets.specs.data_spec import Column, Entity
from mlops_assets.training.manifest import Manifest

TYPES = ("number", "integer", "string", "boolean", "datetime")

FLOATS = st.floats(allow_nan=False) | st.sampled_from([1e39, -3.5e38, float("inf"), 0.5, 3.0])
WHOLE = st.integers(-(2**62), 2**62)
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
TIMES = st.datetimes(dt.datetime(1800, 1, 1), dt.datetime(2200, 1, 1)).map(dt.datetime.isoformat)
ALLOWED: dict[str, Any] = {"number": {"range": (0, 2)}, "integer": {"allowed": (1, 2)}}
KINDS = (FLOATS, WHOLE, TEXT, st.booleans(), TIMES)


def manifest(*inputs: Column) -> Manifest:
    return Manifest(
        model="m",
        task="regression",
        inputs=inputs,
        feature_names=tuple(column.name for column in inputs),
        feature_types={},
        feature_function="compute",  # or numbers come as a matrix
        classes=(),
        runtime="",
        time_column="at",
        target="y",
        lineage={},
    )


@given(
    values=st.sampled_from(KINDS).flatmap(lambda kind: st.lists(kind | st.none(), min_size=1, max_size=6)),
    kind=st.sampled_from(TYPES),
    nullable=st.booleans(),
    outside=st.sampled_from(["warn", "refuse"]),
)
def test_a_file_and_a_request_with_the_same_values_are_taken_or_refused_alike(
    values: list[Any], kind: Any, nullable: bool, outside: Any
) -> None:
    about = manifest(Column(name="x", type=kind, nullable=nullable, outside=outside, **ALLOWED.get(kind, {})))
    signature = Signature.of(about, "rows.parquet", ["x"])
    table = pa.table({"x": pa.array(values)})
    try:
        asked: pd.DataFrame | None = rows_of({"x": values}, about).frame
    except Refusal as refusal:
        asked, said = None, str(refusal)
    if asked is None:
        with pytest.raises(DataError) as refused:
            signature.checked(table, 100)
        # A request's problems are looked for one kind after the other, a file's row by row.
        row, _, reason = str(refused.value).removeprefix("rows.parquet, row ").partition(": column 'x': ")
        first, _, of_request = said.removeprefix("column 'x', row ").partition(": ")
        assert 101 <= int(row) <= 101 + int(first)
        assert reason == of_request or int(row) < 101 + int(first)
    else:
        pd.testing.assert_frame_equal(signature.checked(table, 100), asked)


@given(
    names=st.sampled_from((*KINDS, st.text("ab", min_size=255, max_size=258))).flatmap(
        lambda kind: st.lists(kind | st.none(), min_size=1, max_size=6)
    )
)
def test_whom_a_row_is_about_is_taken_of_a_file_as_of_a_request(names: list[Any]) -> None:
    about = replace(manifest(Column(name="x")), entity=Entity(column="who"))
    signature = Signature.of(about, "rows.parquet", ["who", "x"])
    table = pa.table({"who": pa.array(names), "x": [1.0] * len(names)})
    try:
        entities_of(rows_of({"who": names, "x": [1.0] * len(names)}, about), about)
    except Refusal as refusal:
        said = str(refusal).replace("row 0", "row 1").partition("row ")[2].partition(": ")[2]
        with pytest.raises(DataError, match=rf"rows\.parquet, row \d+: column 'who': {said}"):
            signature.checked(table, 0)
    else:
        signature.checked(table, 0)


@given(rows=st.lists(st.tuples(FLOATS, WHOLE.map(float), st.booleans()), min_size=1, max_size=6))
def test_numbers_become_the_matrix_that_a_request_becomes(rows: list[tuple[float, float, bool]]) -> None:
    inputs = (Column(name="a"), Column(name="b", type="integer"), Column(name="c", type="boolean"))
    about = Manifest(**{**vars(manifest(*inputs)), "feature_function": None})
    columns: dict[str, list[Any]] = {
        column.name: list(values) for column, values in zip(inputs, zip(*rows, strict=True), strict=True)
    }
    signature = Signature.of(about, "rows.parquet", list(columns))
    try:
        asked = rows_of(columns, about).frame.to_numpy("float32")
    except Refusal:
        with pytest.raises(DataError):
            signature.checked(pa.table(columns), 0)
        return
    found = signature.checked(pa.table(columns), 0)
    assert isinstance(found, np.ndarray)
    assert found.dtype == "float32"
    assert (found == asked).all()


def test_the_first_bad_row_of_all_columns_is_named() -> None:
    about = manifest(Column(name="a"), Column(name="b", type="string"))
    table = pa.table({"a": [1.0, 2.0, None], "b": ["x", None, "z"]})
    with pytest.raises(DataError, match="rows, row 1,002: column 'b': a value is required"):
        Signature.of(about, "rows", ["a", "b"]).checked(table, 1_000)


def test_the_time_may_be_there_and_the_target_may_not() -> None:
    about = manifest(Column(name="a"))
    assert Signature.of(about, "rows", ["at", "a"]).time == "at"
    assert Signature.of(about, "rows", ["a"]).time is None
    with pytest.raises(DataError, match="rows: unknown columns: 'y'; --keep NAME carries"):
        Signature.of(about, "rows", ["a", "y"])
    assert Signature.of(about, "rows", ["a", "y"], ["y"]).columns == ("a", "y")
