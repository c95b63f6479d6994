"""Decisions: what predictions stand for, and when one is turned."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.evaluation.decisions import Decisions

EVERY = np.arange(4)


@given(
    predicted=st.lists(st.floats(0, 1), min_size=2, max_size=50),
    rate=st.floats(0.01, 0.99),
)
def test_a_binary_cut_decides_as_often_as_it_can_come_near_the_rate_and_lies_on_no_prediction(
    predicted: list[float], rate: float
) -> None:
    own = np.asarray(predicted)
    decisions = Decisions.of("binary_classification", own, np.asarray([rate] * len(own)))
    values = np.unique(own)
    if len(values) < 2 or np.diff(values).min() < 1e-9:
        return
    assert not (own == decisions.cut).any()
    possible = [(own > value).mean() for value in values[:-1]]
    assert abs((own > decisions.cut).mean() - rate) == pytest.approx(min(abs(p - rate) for p in possible))


@pytest.mark.parametrize("task", ["binary_classification", "multiclass_classification", "regression"])
def test_no_decision_is_turned_by_the_same_prediction(task: str) -> None:
    generator = np.random.default_rng(0)
    predicted = generator.random(40) if task != "multiclass_classification" else generator.random((40, 3))
    decisions = Decisions.of(task, predicted, generator.integers(0, 2, 40))  # type: ignore[arg-type]
    assert (decisions.margins(predicted, np.arange(40)) >= 0).all()


def test_a_binary_decision_is_turned_by_the_other_side_of_the_cut() -> None:
    decisions = Decisions("binary_classification", np.array([0.1, 0.4, 0.6, 0.9]), cut=0.5)
    assert (decisions.margins(np.array([0.6, 0.4, 0.4, 0.9]), EVERY) < 0).tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert decisions.margins(np.array([0.2]), np.array([3])) == pytest.approx([-0.3])


def test_a_class_is_turned_by_a_likelier_one() -> None:
    before = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
    after = np.array([[0.5, 0.1, 0.4], [0.1, 0.4, 0.5]])
    decisions = Decisions.of("multiclass_classification", before, np.array([0, 1]))
    assert decisions.margins(after, np.arange(2)) == pytest.approx([0.1, -0.1])


def test_a_value_is_turned_by_twice_what_values_differ() -> None:
    predicted = np.array([1.0, 2.0, 3.0, 4.0])
    decisions = Decisions.of("regression", predicted, predicted)
    step = 2 * predicted.std()
    moved = predicted + np.array([0, 0.9, 1.1, -1.1]) * step
    assert (decisions.margins(moved, EVERY) < 0).tolist() == [False, False, True, True]
