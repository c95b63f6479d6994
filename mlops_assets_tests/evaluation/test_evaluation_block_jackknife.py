"""The jackknife over blocks: textbook errors, for any statistic of sums, however rows fall into days."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlops_assets.evaluation.block_jackknife import (
    block_sums,
    critical,
    effective_blocks,
    jackknife,
    numbered,
)


def mean(sums: Any) -> Any:
    return sums[..., 0] / sums[..., 1]


@given(arrays(float, st.integers(5, 40), elements=st.floats(-100, 100)))
def test_of_blocks_of_one_row_it_is_the_standard_error_of_a_mean(values: Any) -> None:
    summands = np.column_stack([values, np.ones(len(values))])
    one_group = np.zeros(len(values), dtype=int)
    found = jackknife(mean, block_sums(summands, one_group, 1, np.arange(len(values))))
    assert found.value[0] == pytest.approx(values.mean(), abs=1e-9)
    assert found.error[0] == pytest.approx(values.std(ddof=1) / np.sqrt(len(values)), abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(5, 9))
def test_sums_are_those_of_the_rows_and_rows_without_a_group_are_in_none(
    seed: int, groups: int, days: int
) -> None:
    generator = np.random.default_rng(seed)
    summands = generator.normal(size=(60, 2))
    codes, day = generator.integers(-1, groups, 60), np.arange(60) % days
    sums = block_sums(summands, codes, groups, day)
    assert sums.shape == (days, groups, 2)
    for block, group in np.ndindex(days, groups):
        np.testing.assert_allclose(
            sums[block, group], summands[(day == block) & (codes == group)].sum(axis=0)
        )


def test_the_error_grows_with_what_rows_of_a_day_have_in_common() -> None:
    generator = np.random.default_rng(0)
    day = np.repeat(np.arange(20), 50)
    noise, weather = generator.normal(size=1000), generator.normal(size=20)[day]
    group, one = np.zeros(1000, dtype=int), np.ones(1000)
    errors = [
        jackknife(mean, block_sums(np.column_stack([values, one]), group, 1, day)).error[0]
        for values in (noise, noise + weather)
    ]
    assert errors[0] == pytest.approx(1 / np.sqrt(1000), rel=0.5)
    assert errors[1] == pytest.approx(1 / np.sqrt(20), rel=0.5)


def test_a_figure_is_derived_from_others_with_its_own_error() -> None:
    values = np.random.default_rng(0).normal(size=30)
    summands = np.column_stack([values, np.ones(30)])
    found = jackknife(mean, block_sums(summands, np.zeros(30, dtype=int), 1, np.arange(30)))
    double = found.derive(lambda figures: 2 * figures)
    assert (double.value, double.error) == (2 * found.value, pytest.approx(2 * found.error))


def test_blocks_count_by_what_they_hold() -> None:
    weights = np.array([[1.0, 8.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 8.0, 0.0]])
    assert effective_blocks(weights).tolist() == [4.0, 2.0, 0.0]
    few, many = critical(0.05, 1, np.array([3.0, 300.0]))
    assert few > many > 1.6
    assert critical(0.05, 20, np.array([300.0]))[0] > many


def test_days_stay_days_where_they_are_large_enough() -> None:
    day = np.repeat(np.arange(14), 50)
    assert numbered(day).tolist() == day.tolist()


def test_small_days_are_put_together_with_their_neighbours() -> None:
    found = numbered(np.repeat(np.arange(60), 5))
    assert np.bincount(found).tolist() == [20] * 15
    assert (np.diff(found) >= 0).all()
    assert len(set(numbered(np.arange(40)).tolist())) == 10


def test_rows_of_hardly_any_days_are_dealt_out() -> None:
    found = numbered(np.repeat([0, 1], 200))
    assert np.bincount(found).tolist() == [8] * 50
    assert len(set(found[:200].tolist())) == 50
