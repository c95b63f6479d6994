"""The split is by time, and a target that cannot be learnt is refused in words."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import DataError
from mlops_assets.training.split import holdout_start, require_target


@given(st.sets(st.integers(0, 10**6), min_size=60, max_size=80), st.integers(20, 40))
def test_the_newest_rows_are_held_out_and_no_older_one(minutes: set[int], newer: int) -> None:
    ordered = sorted(minutes)
    times = pd.Series(pd.Timestamp("2024-01-01") + pd.to_timedelta(ordered, unit="min"))
    start = holdout_start(times, timedelta(minutes=ordered[-1] - ordered[-newer]))
    assert (times >= start).sum() == newer
    assert start == times.iloc[-newer]


def test_a_split_that_leaves_too_few_rows_on_a_side_is_refused() -> None:
    times = pd.Series(pd.date_range(datetime(2024, 1, 1), periods=100, freq="h"))
    with pytest.raises(
        DataError, match="a hold-out of 12h splits 100 rows into 87 to train on and 13 to judge by"
    ):
        holdout_start(times, timedelta(hours=12))
    with pytest.raises(DataError, match=r"into 0 to train on.*change evaluation\.holdout or data\.window"):
        holdout_start(times, timedelta(days=30))


@pytest.mark.parametrize(
    ("target", "task", "said"),
    [
        ([1, 1, 1], "binary_classification", r"target 'late' has one class \(1\) in the window"),
        (["a", "a"], "multiclass_classification", r"has one class \('a'\)"),
        ([0, 1, 2], "binary_classification", r"has 3 classes \(0, 1, 2\) in the window, and a binary"),
        ([0, 1, None], "binary_classification", "is missing in 1 rows of the window"),
        ([1.0, np.nan, 2.0], "regression", "is missing in 1 rows of the window"),
        (["1", "2"], "regression", "holds '1', and a regression predicts numbers"),
        ([2.5, 2.5], "regression", r"has one class \(2.5\)"),
    ],
)
def test_a_target_that_cannot_be_learnt_is_refused(target: list[Any], task: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        require_target(pd.Series(target).to_numpy(), task, "late", "window")


@pytest.mark.parametrize(
    ("target", "task"),
    [
        ([0, 1], "binary_classification"),
        (["no", "yes"], "binary_classification"),
        ([True, False], "binary_classification"),
        (["a", "b", "c"], "multiclass_classification"),
        ([1.5, 2, 3], "regression"),
    ],
)
def test_a_target_that_can_be_learnt_is_let_through(target: list[Any], task: Any) -> None:
    require_target(pd.Series(target).to_numpy(), task, "y", "window")
