"""Declared types: the same for training data and for requests, and nothing is guessed."""

# ruff: noqa: E501  (tables: one case a line)

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.data.columns import convert, refused, to_declared_types
from mlops_assets.specs.data_spec import Column

NAN = float("nan")
BAD = object()  # stands in the tables below for a value that must be refused


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("number", pd.Series([1, 2]), [1.0, 2.0]),
        ("number", pd.Series([1, None], dtype="Int64"), [1.0, NAN]),
        ("number", pd.Series([1.5, None], dtype="Float64"), [1.5, NAN]),
        ("number", pd.Series([1, None], dtype="int64[pyarrow]"), [1.0, NAN]),
        ("number", pd.Series([Decimal("1.5"), None], dtype=object), [1.5, NAN]),
        ("number", pd.Series([10**30, 1], dtype=object), [1e30, 1.0]),
        ("number", pd.Series([10**400, 1], dtype=object), [BAD, 1.0]),
        ("number", pd.Series([np.inf, -np.inf, 1.0]), [BAD, BAD, 1.0]),
        ("number", pd.Series([1, "1", True, np.True_, None, b"1", [1]], dtype=object), [1.0, BAD, BAD, BAD, NAN, BAD, BAD]),
        ("number", pd.Series(["1", "2"]), [BAD, BAD]),
        ("number", pd.Series([True, False]), [BAD, BAD]),
        ("number", pd.Series([True, None], dtype="boolean"), [BAD, NAN]),
        ("number", pd.Series(pd.to_datetime(["2024-01-01"])), [BAD]),
        ("number", pd.Series(pd.to_timedelta([1])), [BAD]),
        ("number", pd.Series([1 + 2j]), [BAD]),
        ("number", pd.Series([1, 2], dtype="category"), [1.0, 2.0]),
        ("number", pd.Series([None, None], dtype=object), [NAN, NAN]),
        ("integer", pd.Series([1.0, 2.5, None, np.inf]), [1.0, BAD, NAN, BAD]),
        ("boolean", pd.Series([True, False]), [1.0, 0.0]),
        ("boolean", pd.Series([True, None], dtype="boolean"), [1.0, NAN]),
        ("boolean", pd.Series([True, None], dtype="bool[pyarrow]"), [1.0, NAN]),
        ("boolean", pd.Series([1, 0, 2]), [1.0, 0.0, BAD]),
        ("boolean", pd.Series([True, np.False_, None, "true", 1, [1]], dtype=object), [1.0, 0.0, NAN, BAD, 1.0, BAD]),
        ("string", pd.Series(["a", "", None]), ["a", "", NAN]),
        ("string", pd.Series(["a", 1, None, ["x"], b"b"], dtype=object), ["a", BAD, NAN, BAD, BAD]),
        ("string", pd.Series(["a", None], dtype="string"), ["a", NAN]),
        ("string", pd.Series(["a", None], dtype="category"), ["a", NAN]),
        ("string", pd.Series([1, 2], dtype="category"), [BAD, BAD]),
        ("string", pd.Series([1, 2]), [BAD, BAD]),
        ("string", pd.Series([np.nan, np.nan]), [NAN, NAN]),
    ],
)  # fmt: skip
def test_values_become_the_canonical_type_or_are_refused(
    kind: Any, values: "pd.Series[Any]", expected: list[Any]
) -> None:
    converted, bad = convert(values, kind)
    assert bad.tolist() == [value is BAD for value in expected]
    wanted = [NAN if value is BAD else value for value in expected]
    pd.testing.assert_series_equal(
        converted, pd.Series(wanted, dtype="str" if kind == "string" else "float64"), check_names=False
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pd.Series(["2024-01-01", "2024-01-01T05:00:00+02:00", None, "01/02/2024", "soon"]),
         ["2024-01-01", "2024-01-01T03:00", None, BAD, BAD]),
        (pd.Series(pd.to_datetime(["2024-07-01T12:00", None]).tz_localize("Europe/Berlin")), ["2024-07-01T10:00", None]),
        (pd.Series([dt.date(2024, 1, 1), dt.datetime(2024, 1, 1, 5, tzinfo=dt.UTC), 1.5, {"a": 1}], dtype=object),
         ["2024-01-01", "2024-01-01T05:00", BAD, BAD]),
        (pd.Series([dt.datetime(2024, 1, 1)]).astype("timestamp[us][pyarrow]"), ["2024-01-01"]),
        (pd.Series([dt.date(2024, 1, 1)]).astype("date32[pyarrow]"), ["2024-01-01"]),
        (pd.Series([20240101, 5]), ["2024-01-01", BAD]),
        (pd.Series([1.5, None]), [BAD, None]),
        (pd.Series(["9999-12-31"]), ["9999-12-31"]),
    ],
)  # fmt: skip
def test_times_become_naive_utc_microseconds(values: "pd.Series[Any]", expected: list[Any]) -> None:
    converted, bad = convert(values, "datetime")
    assert bad.tolist() == [value is BAD for value in expected]
    assert str(converted.dtype) == "datetime64[us]"
    wanted = [pd.NaT if value in (BAD, None) else pd.Timestamp(value) for value in expected]
    assert [pd.isna(v) if pd.isna(w) else v == w for v, w in zip(converted, wanted, strict=True)] == [
        True
    ] * len(wanted)


json_values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.lists(st.integers(), max_size=2),
)


@given(
    st.lists(json_values, min_size=1, max_size=8),
    st.sampled_from(["number", "integer", "boolean", "datetime", "string"]),
)
def test_whatever_json_brings_is_converted_kept_missing_or_refused(values: list[Any], kind: Any) -> None:
    series = pd.Series(values, dtype="object")
    converted, bad = convert(series, kind)
    assert len(converted) == len(values)
    assert not (bad & converted.notna()).any()
    assert ((converted.notna() | bad) == series.notna()).all()
    again, bad_again = convert(converted, kind)  # what is canonical stays as it is
    pd.testing.assert_series_equal(again, converted)
    assert not bad_again.any()


def test_a_refused_value_is_missing_in_its_column_and_kept_beside_it() -> None:
    column = Column(name="speed", type="integer")
    frame = pd.DataFrame({"speed": pd.Series([1, 2.5, "fast", None], dtype=object), "other": 1})
    typed = to_declared_types(frame, [column])
    assert typed["speed"].isna().tolist() == [False, True, True, True]
    assert typed[refused(column)].fillna("–").tolist() == ["–", "2.5", "'fast'", "–"]
    clean = to_declared_types(frame.head(1), [column])
    assert list(clean) == ["speed", "other"]
