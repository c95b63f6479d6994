"""Groups: of any column, each large enough, and every row in at most one."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.evaluation.groups import MISSING, OTHER, group_by


def test_each_value_is_a_group_and_rare_ones_are_one_together() -> None:
    values = pd.Series(["EWR"] * 50 + ["JFK"] * 30 + ["LGA"] * 6 + ["TEB"] * 5 + [None] * 12).astype("str")
    found = group_by("origin", values, 10)
    assert dict(zip(found.names, found.rows.tolist(), strict=True)) == {
        "EWR": 50,
        "JFK": 30,
        OTHER: 11,
        MISSING: 12,
    }


def test_rare_values_that_are_few_even_together_are_in_no_group() -> None:
    found = group_by("origin", pd.Series(["EWR"] * 50 + ["TEB"] * 5).astype("str"), 10)
    assert found.names == ("EWR",)
    assert (found.codes == -1).sum() == 5


def test_amounts_are_cut_into_thirds_and_codes_are_not() -> None:
    amounts = group_by("distance", pd.Series(np.arange(300.0)), 10)
    assert sorted(amounts.rows.tolist()) == [100, 100, 100]
    assert set(amounts.names) == {"≤ 99", "99 … 199", "> 199"}
    codes = group_by("class", pd.Series([10001.0, 10002.0, 10003.0] * 20), 10)
    assert codes.names == ("10001", "10002", "10003")


def test_an_amount_that_is_mostly_one_value_has_two_groups() -> None:
    found = group_by("precip", pd.Series([0.0] * 80 + list(np.linspace(0.1, 5, 20))), 10)
    assert dict(zip(found.names, found.rows.tolist(), strict=True)) == {"≤ 0": 80, "> 0": 20}


def test_times_are_cut_into_thirds() -> None:
    times = pd.Series(pd.date_range("1950-01-01", periods=90, freq="30D").astype("datetime64[us]"))
    assert group_by("born_on", times, 10).rows.tolist() == [30, 30, 30]


@pytest.mark.parametrize("values", [[None] * 40, ["a"] * 40, [f"person {i}" for i in range(40)]])
def test_a_column_may_have_no_two_groups(values: list[str | None]) -> None:
    assert len(group_by("name", pd.Series(values).astype("str"), 10).names) <= 1


_VALUES = st.one_of(
    st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh")), max_size=80).map(
        lambda v: pd.Series(v, dtype="str")
    ),
    st.lists(st.floats(-1e9, 1e9) | st.just(float("nan")), max_size=80).map(
        lambda v: pd.Series(v, dtype="float64")
    ),
)


@given(_VALUES, st.integers(1, 30))
def test_every_group_is_large_enough_and_equal_values_are_together(values: pd.Series, least: int) -> None:
    found = group_by("any", values, least)
    assert (found.rows >= least).all()
    assert (found.codes == -1).sum() < least
    assert len(found.names) == len(set(found.names))
    for _, own in pd.Series(found.codes).groupby(values.to_numpy()):
        assert own.nunique() == 1
