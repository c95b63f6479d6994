"""A digest names content: whatever carries the same content has the same digest."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets import digests

COLUMNS: dict[str, Any] = {
    "integers": [1, 2, 3],
    "integers with gaps": pd.array([1, None, 3], dtype="Int64"),
    "small integers": pd.array([1, None, 3], dtype="Int8"),
    "numbers": [1.5, None, -0.0],
    "single precision": np.array([1.5, np.nan, 3.0], dtype="float32"),
    "truth": [True, False, True],
    "truth with gaps": pd.array([True, None, False], dtype="boolean"),
    "truth as objects": pd.Series([True, None, False], dtype=object),
    "text": ["a", "", None],
    "text as objects": pd.Series(["a", "", None], dtype=object),
    "text of pyarrow": pd.array(["a", "", None], dtype="string[pyarrow]"),
    "categories": pd.Categorical(["b", "a", None]),
    "nothing": pd.Series([None, None, None], dtype=object),
    "times": pd.to_datetime(["2024-01-01", None, "2024-06-01"]),
    "nanoseconds": pd.to_datetime(["2024-01-01", None, "2024-06-01"]).astype("datetime64[ns]"),
    "seconds": pd.to_datetime(["2024-01-01", None, "2024-06-01"]).astype("datetime64[s]"),
    "zoned times": pd.to_datetime(["2024-01-01", None, "2024-06-01"]).tz_localize("Europe/Berlin"),
    "dates": pd.Series([dt.date(2024, 1, 1), None, dt.date(2024, 6, 1)], dtype=object),
    "durations": pd.to_timedelta([1, None, 90], unit="s"),
    "decimals": pd.Series([Decimal("1.50"), None, Decimal("2.00")], dtype=object),
    "bytes": pd.Series([b"x", None, b""], dtype=object),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_every_kind_of_column_comes_back_from_parquet_with_its_digest(kind: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"column": COLUMNS[kind]})
    frame.to_parquet(tmp_path / "file", index=False, compression="zstd")
    assert digests.of_frame(pd.read_parquet(tmp_path / "file")) == digests.of_frame(frame)
    part = frame.iloc[1:]
    part.to_parquet(tmp_path / "part", index=False)
    assert (
        digests.of_frame(pd.read_parquet(tmp_path / "part"))
        == digests.of_frame(part)
        != digests.of_frame(frame)
    )


def test_text_has_one_digest_whichever_of_pandas_types_carries_it() -> None:
    values = ["a", "", None, "longer"]
    kinds = ("str", "object", "string", "string[pyarrow]", "category", pd.ArrowDtype(pa.large_string()))
    found = {digests.of_frame(pd.DataFrame({"c": pd.Series(values, dtype=kind)})) for kind in kinds}
    assert len(found) == 1


def test_what_lies_under_a_missing_value_is_not_content() -> None:
    one, two = pd.array([1, 2, 3], dtype="Int64"), pd.array([1, 99, 3], dtype="Int64")
    one[1] = two[1] = pd.NA
    assert digests.of_frame(pd.DataFrame({"c": one})) == digests.of_frame(pd.DataFrame({"c": two}))


def test_whatever_differs_has_another_digest() -> None:
    frames = [
        pd.DataFrame({"c": [1, 2]}),
        pd.DataFrame({"c": [2, 1]}),
        pd.DataFrame({"d": [1, 2]}),
        pd.DataFrame({"c": [1.0, 2.0]}),
        pd.DataFrame({"c": ["1", "2"]}),
        pd.DataFrame({"c": ["12", ""]}),
        pd.DataFrame({"c": ["12", None]}),
        pd.DataFrame({"c": ["1", "2"], "d": ["", ""]}),
        pd.DataFrame({"c": [True, False]}),
        pd.DataFrame({"c": pd.to_datetime([1, 2])}),
        pd.DataFrame({"c": pd.to_datetime([1, 2], utc=True)}),
        pd.DataFrame({"c": [1]}),
        pd.DataFrame({"c": []}),
        pd.DataFrame(),
    ]
    assert len({digests.of_frame(frame) for frame in frames}) == len(frames)


@pytest.mark.parametrize("values", [[[1], [2]], [{"a": 1}, None], [1, "a"], [object(), 1]])
def test_what_no_table_can_hold_has_no_digest(values: list[Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        digests.of_frame(pd.DataFrame({"c": pd.Series(values, dtype=object)}))


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.text(max_size=5)),
            st.one_of(st.none(), st.integers(-(2**40), 2**40)),
            st.one_of(st.none(), st.floats(allow_nan=False)),
            st.one_of(st.none(), st.booleans()),
        ),
        max_size=20,
    )
)
def test_rows_of_any_content_keep_their_digest_through_arrow(rows: list[Any]) -> None:
    frame = pd.DataFrame(rows, columns=["s", "i", "f", "b"]).astype(
        {"s": "str", "i": "Int64", "f": "float64", "b": "boolean"}
    )
    sink = pa.BufferOutputStream()
    frame.to_parquet(sink)
    assert digests.of_frame(pd.read_parquet(pa.BufferReader(sink.getvalue()))) == digests.of_frame(frame)


def test_json_has_one_form() -> None:
    assert digests.of_json({"b": [1, "é"], "a": None}) == digests.of_json({"a": None, "b": [1, "é"]})
    assert digests.canonical_json({"b": 1, "a": "é"}) == '{"a":"é","b":1}'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        digests.of_json({"a": float("nan")})


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 1_000_000)
    assert digests.of_file(tmp_path / "f") == digests.of_bytes(b"x" * 1_000_000)
