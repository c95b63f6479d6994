"""A group beside the others: what it finds, what it forgives, and how seldom it is wrong."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.evaluation.group_comparison import Comparison, compare_groups
from mlops_assets.evaluation.groups import Grouping, group_by

ROWS, DAYS = 6_000, 15
DAY = np.repeat(np.arange(DAYS), ROWS // DAYS)


def drawn(generator: np.random.Generator, groups: int = 4) -> tuple[Grouping, Any, Any]:
    """Return groups of unlike base rates and spreads, targets, and what a calibrated model says."""
    codes = generator.integers(0, groups, ROWS)
    score = np.linspace(-2, 0, groups)[codes] + np.linspace(0.7, 1.5, groups)[codes] * generator.normal(
        size=ROWS
    )
    predicted = 1 / (1 + np.exp(-score))
    grouping = group_by("carrier", pd.Series(np.array(list("abcd"))[codes]).astype("str"), 100)
    return grouping, (generator.random(ROWS) < predicted).astype(float), predicted


def compared(
    grouping: Grouping, target: Any, predicted: Any, confidence: float = 0.9
) -> dict[str, Comparison]:
    found = compare_groups([grouping], target, predicted, DAY, confidence=confidence)
    return {each.group: each for each in found}


def test_a_model_that_serves_all_groups_alike_has_no_shortfall_and_no_bias() -> None:
    grouping, target, predicted = drawn(np.random.default_rng(0))
    found = compared(grouping, target, predicted)
    assert set(found) == set("abcd")
    for each in found.values():
        assert (each.shortfall_low, each.bias_low) == (0.0, 0.0)
        assert abs(each.bias or 0) < 0.1


@pytest.mark.parametrize(
    ("fault", "shortfall"),
    [
        pytest.param(lambda p, g: g.permutation(p), 1.0, id="shuffled"),
        pytest.param(lambda p, g: g.random(len(p)), 1.0, id="random"),
        pytest.param(lambda p, g: 2 * p.mean() - p, 2.0, id="turned around"),
    ],
)
def test_a_group_in_which_predictions_mean_nothing_or_the_opposite_is_found(
    fault: Any, shortfall: float
) -> None:
    generator = np.random.default_rng(0)
    grouping, target, predicted = drawn(generator)
    own = grouping.codes == 2
    predicted = predicted.copy()
    predicted[own] = fault(predicted[own], generator)
    found = compared(grouping, target, predicted)
    assert found["c"].shortfall == pytest.approx(shortfall, abs=0.25)
    assert (found["c"].shortfall_low or 0) > 0.4
    assert max(each.shortfall_low or 0 for name, each in found.items() if name != "c") == 0.0


@pytest.mark.parametrize(("moved", "way"), [(0.2, 1), (-0.08, -1)])
def test_a_group_whose_level_is_off_is_found_with_the_way_it_is_off(moved: float, way: int) -> None:
    grouping, target, predicted = drawn(np.random.default_rng(0))
    off = np.clip(predicted + moved * (grouping.codes == 1), 0, 1)
    found = compared(grouping, target, off)
    assert np.sign(found["b"].bias or 0) == way
    assert (found["b"].bias_low or 0) > 0.05


def test_what_moves_all_groups_alike_is_nobodys_fault() -> None:
    grouping, target, predicted = drawn(np.random.default_rng(0))
    storm = np.clip(predicted + 0.3 * (DAY % 3 == 0), 0, 1)
    found = compared(grouping, target, storm)
    assert max(each.bias_low or 0 for each in found.values()) < 0.05


def test_of_values_and_of_several_classes_the_same_is_found() -> None:
    generator = np.random.default_rng(0)
    grouping, _, _ = drawn(generator)
    own = grouping.codes == 0
    score = generator.normal(size=ROWS)
    value = 100 * score + generator.normal(0, 30, ROWS)
    found = compared(grouping, value, np.where(own, -100.0, 100.0) * score)
    assert (found["a"].shortfall_low or 0) > 1.0
    chances = np.exp(np.column_stack([score, np.zeros(ROWS), -score]))
    chances /= chances.sum(axis=1, keepdims=True)
    classes = (generator.random((ROWS, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(0, 2).astype(float)
    wrong = chances.copy()
    wrong[own] = chances[own][:, ::-1]
    assert (compared(grouping, classes, wrong)["a"].shortfall_low or 0) > 1.0
    assert max(each.shortfall_low or 0 for each in compared(grouping, classes, chances).values()) == 0.0


def test_equal_groups_are_told_apart_no_more_often_than_the_confidence_says() -> None:
    generator, wrong, repeats = np.random.default_rng(0), 0, 200
    for _ in range(repeats):
        grouping, target, predicted = drawn(generator)
        storm = generator.normal(0, 0.7, DAYS)[DAY]
        target = np.where(generator.random(ROWS) < 0.3 / (1 + np.exp(-storm)), 1.0, target)
        # Groups by lot, so that nothing in the rows has to do with them.
        lots = Grouping("carrier", grouping.names, generator.permutation(grouping.codes))
        found = compared(lots, target, predicted, confidence=0.9)
        wrong += any((each.shortfall_low or 0) > 0 or (each.bias_low or 0) > 0 for each in found.values())
    assert wrong / repeats <= 0.1 + 3 * np.sqrt(0.1 * 0.9 / repeats)


def test_a_group_that_shares_few_days_with_others_is_not_compared() -> None:
    _, target, predicted = drawn(np.random.default_rng(0))
    alone = Grouping("carrier", ("early", "late"), (DAY > 3).astype(int))
    found = compared(alone, target, predicted)
    assert all(each.shortfall is None and each.bias is None for each in found.values())


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1e4), st.floats(-1e3, 1e3))
def test_the_unit_and_zero_of_a_value_do_not_matter(seed: int, unit: float, zero: float) -> None:
    generator = np.random.default_rng(seed)
    grouping, _, predicted = drawn(generator)
    target = predicted + generator.normal(0, 0.3, ROWS)
    one = compared(grouping, target, predicted)
    other = compared(grouping, zero + unit * target, zero + unit * predicted)
    for name in one:
        assert other[name].shortfall == pytest.approx(one[name].shortfall, abs=1e-4)
        assert other[name].bias == pytest.approx(one[name].bias, abs=1e-4)
        assert other[name].bias_low == pytest.approx(one[name].bias_low, abs=1e-4)
