"""Groups of a window are those that gate fairness would make of the same rows."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.evaluation.groups import MISSING, OTHER, group_by
from mlops_assets.monitoring.performance.grouping import group_window

texts = st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=1, max_size=60)
numbers = st.lists(st.one_of(st.none(), st.integers(0, 40).map(float)), min_size=1, max_size=60)


def rows_of(grouping: Any) -> dict[str, set[int]]:
    return {name: set(np.flatnonzero(grouping.codes == i)) for i, name in enumerate(grouping.names)}


@given(texts, st.integers(1, 12))
def test_of_texts(values: list[str | None], least: int) -> None:
    ours = group_window("c", pa.array(values, pa.string()), least)
    assert rows_of(ours) == rows_of(group_by("c", pd.Series(values, dtype="str"), least))


@given(numbers, st.integers(1, 12))
def test_of_numbers(values: list[float | None], least: int) -> None:
    ours = group_window("c", pa.array(values, pa.float64()), least)
    assert rows_of(ours) == rows_of(group_by("c", pd.Series(values, dtype="float64"), least))


def test_amounts_are_cut_where_the_hold_out_was() -> None:
    found = group_window("age", pa.array([float(age) for age in range(20, 80)] + [None]), 1, (35.0, 50.0))
    assert dict(zip(found.names, found.rows.tolist(), strict=True)) == {
        "> 50": 29,
        "35 … 50": 15,
        "≤ 35": 16,
        MISSING: 1,
    }
    # Also where few values are there, so that a group is the same in every window.
    assert group_window("age", pa.array([20.0, 40.0]), 1, (35.0, 50.0)).names == ("35 … 50", "≤ 35")


def test_a_column_of_names_is_no_column_of_a_thousand_groups() -> None:
    values = [f"name {i % 1000}" for i in range(5000)] + ["common"] * 50
    found = group_window("name", pa.array(values).dictionary_encode(), 2)
    assert len(found.names) == 31
    assert {"common", OTHER} <= set(found.names)
    assert found.rows.sum() == len(values)


@pytest.mark.parametrize("values", [pa.nulls(3), pa.array([True, False, True]), pa.array([1, 2, 2])])
def test_any_type_will_do(values: pa.Array) -> None:
    assert group_window("c", values, 1).rows.sum() == 3
