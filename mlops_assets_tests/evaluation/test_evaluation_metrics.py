"""Metrics equal scikit-learn's, with ties and with weights."""

from typing import Any

import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlops_assets.errors import DataError
from mlops_assets.evaluation.metrics import encode_target, higher_is_better, measure, metrics_of, prepare

ROWS = st.integers(2, 40)
# Few distinct values make ties; 0 and 1 are where logarithms end.
PROBABILITIES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.75, 1.0])


@st.composite
def binary(draw: Any) -> tuple[Any, Any, Any]:
    n = draw(ROWS)
    target = draw(arrays(float, n, elements=st.sampled_from([0.0, 1.0])))
    predicted = draw(arrays(float, n, elements=PROBABILITIES))
    weights = draw(arrays(float, n, elements=st.integers(0, 5).map(float)))
    assume(weights[target == 1].sum() > 0 and weights[target == 0].sum() > 0)
    return target, predicted, weights


@given(binary())
def test_binary_metrics(drawn: tuple[Any, Any, Any]) -> None:
    target, predicted, weights = drawn
    guess = predicted > 0.5
    for name, expected in {
        "roc_auc": sk.roc_auc_score(target, predicted, sample_weight=weights),
        "brier": sk.brier_score_loss(target, predicted, sample_weight=weights),
        "log_loss": sk.log_loss(target, predicted, sample_weight=weights, labels=[0, 1]),
        "accuracy": sk.accuracy_score(target, guess, sample_weight=weights),
    }.items():
        assert prepare(name, target, predicted)(weights) == pytest.approx(expected, rel=1e-9, abs=1e-12), name


@st.composite
def multiclass(draw: Any) -> tuple[Any, Any, Any]:
    n, classes = draw(ROWS), draw(st.integers(2, 4))
    target = draw(arrays(float, n, elements=st.integers(0, classes - 1).map(float)))
    raw = draw(arrays(float, (n, classes), elements=st.sampled_from([0.1, 0.2, 0.5, 1.0])))
    weights = draw(arrays(float, n, elements=st.integers(0, 5).map(float)))
    assume(weights.sum() > 0)
    return target, raw / raw.sum(axis=1, keepdims=True), weights


@given(multiclass())
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_multiclass_metrics(drawn: tuple[Any, Any, Any]) -> None:
    target, predicted, weights = drawn
    guess, labels = predicted.argmax(axis=1), list(range(predicted.shape[1]))
    seen = weights > 0
    for name, expected in {
        "accuracy": sk.accuracy_score(target, guess, sample_weight=weights),
        "log_loss": sk.log_loss(target, predicted, sample_weight=weights, labels=labels),
        "macro_recall": sk.balanced_accuracy_score(target[seen], guess[seen], sample_weight=weights[seen]),
    }.items():
        assert prepare(name, target, predicted)(weights) == pytest.approx(expected, rel=1e-9), name


@st.composite
def regression(draw: Any) -> tuple[Any, Any, Any]:
    n = draw(ROWS)
    values = arrays(float, n, elements=st.floats(-1e3, 1e3).map(lambda v: round(v, 3)))
    weights = draw(arrays(float, n, elements=st.integers(0, 5).map(float)))
    target = draw(values)
    assume(len(set(target[weights > 0])) > 1)
    return target, draw(values), weights


@given(regression())
def test_regression_metrics(drawn: tuple[Any, Any, Any]) -> None:
    target, predicted, weights = drawn
    for name, expected in {
        "mae": sk.mean_absolute_error(target, predicted, sample_weight=weights),
        "rmse": sk.root_mean_squared_error(target, predicted, sample_weight=weights),
        "r2": sk.r2_score(target, predicted, sample_weight=weights),
    }.items():
        assert prepare(name, target, predicted)(weights) == pytest.approx(expected, rel=1e-7, abs=1e-9), name


def test_a_metric_with_nothing_to_tell_apart_is_not_a_number() -> None:
    ones = np.ones(3)
    assert np.isnan(measure("roc_auc", ones, np.array([0.1, 0.5, 0.9])))
    assert np.isnan(measure("r2", ones, np.array([0.1, 0.5, 0.9])))


@pytest.mark.parametrize("metric", ["roc_auc", "brier", "log_loss", "accuracy"])
def test_a_model_that_answers_no_number_never_looks_good(metric: str) -> None:
    target = np.array([0.0, 0.0, 1.0, 1.0])
    assert np.isnan(measure(metric, target, np.array([0.1, 0.2, 0.8, np.nan])))


def test_every_metric_of_every_task_has_a_direction() -> None:
    better = {m for task in ("binary_classification", "multiclass_classification", "regression")
              for m in metrics_of(task) if higher_is_better(m)}  # type: ignore[arg-type]  # fmt: skip
    assert better == {"roc_auc", "accuracy", "macro_recall", "r2"}
    with pytest.raises(ValueError, match="unknown metric 'gini'"):
        prepare("gini", np.ones(1), np.ones(1))


def test_targets_become_codes() -> None:
    task: Any = "multiclass_classification"
    assert encode_target(["b", "a"], task, ("a", "b")).tolist() == [1.0, 0.0]
    assert encode_target([True, 0, 1.0], "binary_classification", (0, 1)).tolist() == [1.0, 0.0, 1.0]
    assert encode_target([1, 2.5], "regression", ()).tolist() == [1.0, 2.5]
    with pytest.raises(DataError, match="the target holds 'c', which the model was not trained on"):
        encode_target(["c"], task, ("a", "b"))
    with pytest.raises(DataError, match="the target is not made of numbers"):
        encode_target(["c"], "regression", ())
    with pytest.raises(DataError):
        encode_target([["a"]], task, ("a", "b"))
