"""What is expected of a metric is its mean over all labels that might come, and its spread theirs."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.evaluation.metrics import measure, metrics_of
from mlops_assets.monitoring.estimation.expected_metrics import (
    expected_binary,
    expected_multiclass,
    label_variance,
)

Array = np.ndarray[Any, Any]
SHARES = st.floats(0, 1).map(lambda share: round(share, 3))


@st.composite
def few_rows(draw: Any) -> tuple[Array, Array]:
    """Outputs in ascending order, all different, and a chance for each."""
    values = draw(st.lists(SHARES, min_size=1, max_size=7, unique=True))
    chances = draw(st.lists(SHARES, min_size=len(values), max_size=len(values)))
    return np.sort(values), np.asarray(chances)


@given(few_rows())
def test_sums_are_exact_mean_and_variance_over_all_labels(drawn: tuple[Array, Array]) -> None:
    values, chances = drawn
    counts = np.ones(len(values))
    all_labels = np.asarray(list(product([0.0, 1.0], repeat=len(values))))
    weights = np.prod(np.where(all_labels == 1, chances, 1 - chances), axis=1)
    for name, expected in expected_binary(values, counts, chances).items():
        measured = np.asarray([measure(name, labels, values) for labels in all_labels])
        mean = weights @ measured
        assert expected.value == pytest.approx(mean, rel=1e-9, abs=1e-9), name
        spread = weights @ (measured - mean) ** 2
        assert label_variance(expected, counts, chances) == pytest.approx(spread, rel=1e-6, abs=1e-9), name


@st.composite
def few_rows_of_classes(draw: Any) -> tuple[Array, Array]:
    rows, classes = draw(st.integers(1, 4)), 3
    share = st.floats(0.01, 1).map(lambda value: round(value, 2))
    outputs = np.asarray(draw(st.lists(share, min_size=rows * classes, max_size=rows * classes)))
    chances = np.asarray(draw(st.lists(share, min_size=rows * classes, max_size=rows * classes)))
    outputs, chances = outputs.reshape(rows, classes), chances.reshape(rows, classes)
    return outputs / outputs.sum(axis=1, keepdims=True), chances / chances.sum(axis=1, keepdims=True)


@given(few_rows_of_classes())
def test_sums_over_classes_are_exact(drawn: tuple[Array, Array]) -> None:
    outputs, chances = drawn
    counts, places = np.ones(len(outputs)), np.arange(len(outputs))
    all_labels = np.asarray(list(product(range(3), repeat=len(outputs))))
    weights = np.asarray([np.prod(chances[places, labels]) for labels in all_labels])
    expected = expected_multiclass(outputs, counts, chances)
    for name in ("accuracy", "log_loss"):
        measured = np.asarray([measure(name, labels.astype(float), outputs) for labels in all_labels])
        mean = weights @ measured
        assert expected[name].value == pytest.approx(mean, rel=1e-9), name
        spread = weights @ (measured - mean) ** 2
        assert label_variance(expected[name], counts, chances) == pytest.approx(spread, rel=1e-6, abs=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(-2, 2), st.floats(-1, 1.5), st.sampled_from([2, 1, 3]))
@settings(max_examples=12, deadline=None)
def test_area_under_the_curve_is_that_of_thrown_labels(
    seed: int, level: float, sharpness: float, digits: int
) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.normal(level, 1, 200)
    chances = 1 / (1 + np.exp(-(2**sharpness) * scores))
    outputs = np.round(1 / (1 + np.exp(-scores)), digits)  # equal ones among them
    values, place, counts = np.unique(outputs, return_inverse=True, return_counts=True)
    chances = np.bincount(place, chances) / counts
    expected = expected_binary(values, counts, chances)["roc_auc"]
    thrown = generator.random((500, 200)) < chances[place]
    measured = np.asarray([measure("roc_auc", labels.astype(float), outputs) for labels in thrown])
    error = label_variance(expected, counts, chances) ** 0.5
    assert expected.value == pytest.approx(measured.mean(), abs=5 * error / 500**0.5 + 0.002)
    assert error == pytest.approx(measured.std(), rel=0.15)


def test_area_under_the_curve_of_few_rows_is_right_too() -> None:
    generator, chances = np.random.default_rng(0), np.linspace(0.03, 0.97, 24)
    thrown = generator.random((3_000, 24)) < chances
    measured = [measure("roc_auc", labels.astype(float), chances) for labels in thrown]
    expected = expected_binary(chances, np.ones(24), chances)["roc_auc"]
    # Their standard error is 0.0014.
    assert expected.value == pytest.approx(np.mean(measured), abs=0.005)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None)
def test_macro_recall_is_that_of_thrown_labels(seed: int) -> None:
    generator = np.random.default_rng(seed)
    raw = np.exp(generator.normal([0.0, -0.5, -1.5], 1, (200, 3)))
    chances = raw / raw.sum(axis=1, keepdims=True)
    outputs = raw**1.5 / (raw**1.5).sum(axis=1, keepdims=True)
    expected = expected_multiclass(outputs, np.ones(200), chances)["macro_recall"]
    thrown = (chances.cumsum(axis=1) > generator.random((400, 200, 1))).argmax(axis=2)
    measured = np.asarray([measure("macro_recall", labels.astype(float), outputs) for labels in thrown])
    error = label_variance(expected, np.ones(200), chances) ** 0.5
    assert expected.value == pytest.approx(measured.mean(), abs=5 * error / 400**0.5 + 0.002)
    assert error == pytest.approx(measured.std(), rel=0.2)


def test_every_metric_that_is_measured_is_expected() -> None:
    outputs = np.linspace(0.1, 0.9, 50)
    both = np.column_stack([outputs, 1 - outputs])
    assert set(expected_binary(outputs, np.ones(50), outputs)) == set(metrics_of("binary_classification"))
    assert set(expected_multiclass(both, np.ones(50), both)) == set(metrics_of("multiclass_classification"))


def test_the_area_under_the_curve_is_not_told_of_an_event_that_hardly_occurs() -> None:
    outputs = np.linspace(0.001, 0.01, 100)
    assert "roc_auc" not in expected_binary(outputs, np.ones(100), outputs)
