"""Metrics by blocks: without each block, exactly what they would be if its rows had never come."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.evaluation.metrics import measure, metrics_of, prepare
from mlops_assets.monitoring.performance.block_metrics import block_metrics
from mlops_assets.specs.tasks import METRICS, Task


def window(task: Task, seed: int, rows: int, digits: int) -> tuple[Any, Any]:
    """Return targets and predictions, with ties if there are few digits."""
    generator = np.random.default_rng(seed)
    if task == "binary_classification":
        chance = np.round(generator.random(rows), digits)
        return (generator.random(rows) < chance).astype(float), chance
    if task == "multiclass_classification":
        return generator.integers(0, 3, rows).astype(float), np.round(generator.dirichlet([1, 1, 1], rows), 4)
    said = np.round(generator.normal(size=rows), digits)
    return said + generator.normal(size=rows) + 1000, said + 1000


tasks = st.sampled_from(list(METRICS))


@given(tasks, st.integers(0, 999), st.integers(1, 80), st.integers(1, 6), st.sampled_from([1, 2, 9]))
def test_every_figure_is_that_of_the_rows_that_are_left(
    task: Task, seed: int, rows: int, days: int, digits: int
) -> None:
    target, predicted = window(task, seed, rows, digits)
    member = np.random.default_rng(seed).integers(0, days, rows)
    found = block_metrics(metrics_of(task), target, predicted, member)
    for name, figure in found.items():
        whole = measure(name, target, predicted)
        np.testing.assert_allclose(float(figure.jackknife.value), whole, rtol=1e-6, atol=1e-9, err_msg=name)
        for block in range(int(member.max()) + 1):
            rest = member != block
            if rest.sum() > 2:
                left = measure(name, target[rest], predicted[rest])
                told = figure.jackknife.without[block]
                np.testing.assert_allclose(told, left, rtol=1e-6, atol=1e-9, err_msg=name)


@given(tasks, st.integers(0, 999), st.integers(10, 60))
def test_a_weight_counts_as_so_many_rows(task: Task, seed: int, rows: int) -> None:
    target, predicted = window(task, seed, rows, 2)
    weights = np.random.default_rng(seed).integers(1, 4, rows).astype(float)
    member = np.arange(rows) % 5
    found = block_metrics(metrics_of(task), target, predicted, member, weights)
    for name, figure in found.items():
        np.testing.assert_allclose(
            float(figure.jackknife.value), prepare(name, target, predicted)(weights), rtol=1e-9, err_msg=name
        )


def test_where_a_metric_is_not_defined_nothing_is_claimed() -> None:
    member = np.arange(20) % 4
    one_class = block_metrics(["roc_auc"], np.ones(20), np.linspace(0, 1, 20), member)["roc_auc"]
    assert np.isnan(one_class.jackknife.value)
    broken = np.r_[np.nan, np.linspace(0, 1, 19)]
    assert np.isnan(block_metrics(["brier"], np.ones(20), broken, member)["brier"].jackknife.value)
    assert np.isnan(block_metrics(["brier"], np.empty(0), np.empty(0), member[:0])["brier"].jackknife.value)


def test_what_a_figure_rests_on_is_the_rarer_class_in_its_days() -> None:
    member = np.repeat(np.arange(10), 20)
    target = np.zeros(200)
    target[[0, 30, 31]] = 1
    found = block_metrics(["roc_auc", "brier"], target, np.random.default_rng(0).random(200), member)
    assert found["roc_auc"].units == 3
    assert found["roc_auc"].blocks == pytest.approx(1.8)
    assert found["brier"].blocks == pytest.approx(10)
