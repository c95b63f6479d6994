"""The ONNX form serves where it answers as the native one does, and nowhere else."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlops_assets.training import onnx_form
from mlops_assets.training.onnx_form import OnnxForm, agreed_form, native


def data(task: str, *, gaps: bool = False, scale: float = 1.0, rows: int = 500) -> tuple[pd.DataFrame, Any]:
    generator = np.random.default_rng(0)
    features = pd.DataFrame(generator.normal(size=(rows, 4)), columns=list("abcd"), dtype="float32")
    score = features["a"] - features["b"] + 0.5 * generator.normal(size=rows)
    if gaps:
        features = features.mask(generator.random(features.shape) < 0.2)
    if task == "regression":
        return features, score * scale
    if task == "binary_classification":
        return features, (score > 0).astype(int)
    return features, pd.Series(np.array(["low", "mid", "top"])[np.digitize(score, [-1, 1])])


def assert_agrees(estimator: Any, task: Any, **kind: Any) -> None:
    features, target = data(task, **kind)
    older, newer = features.head(300), features.tail(200)
    estimator.fit(older, target.head(300))
    form, why = agreed_form(estimator, task, newer)
    assert form is not None, why
    assert why.startswith("onnx: differs from native by at most")
    found = OnnxForm(form, task).run(newer.to_numpy(dtype="float32"))
    expected = native(estimator, task, newer)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("task", ["binary_classification", "multiclass_classification"])
def test_boosting_classifiers_agree_also_with_gaps(task: str, gaps: bool) -> None:
    assert_agrees(HistGradientBoostingClassifier(max_iter=30), task, gaps=gaps)


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        RandomForestClassifier(30, random_state=0),
        GradientBoostingClassifier(n_estimators=20, random_state=0),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), MLPClassifier((8,), max_iter=50, random_state=0)),
    ],
    ids=lambda estimator: str(estimator).partition("(")[0],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_classifiers_of_many_families_agree(estimator: Any) -> None:
    assert_agrees(estimator, "binary_classification")


@pytest.mark.parametrize("scale", [1.0, 1e6])
@pytest.mark.parametrize(
    "estimator",
    [
        LinearRegression(),
        RandomForestRegressor(30, random_state=0),
        HistGradientBoostingRegressor(max_iter=30),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_regressions_agree_in_the_precision_of_their_figures(estimator: Any, scale: float) -> None:
    assert_agrees(estimator, "regression", scale=scale)


def test_text_features_are_served_natively() -> None:
    features = pd.DataFrame({"a": [1.0, 2.0], "s": pd.Series(["x", "y"], dtype="str")})
    form, why = agreed_form(object(), "regression", features)
    assert form is None
    assert why == "native: text features are encoded inside the estimator"


class Homemade(ClassifierMixin, BaseEstimator):
    """An estimator no converter knows."""

    def fit(self, features: pd.DataFrame, target: Any) -> "Homemade":
        self.classes_ = np.unique(target)
        return self

    def predict_proba(self, features: pd.DataFrame) -> Any:
        return np.full((len(features), 2), 0.5)


def test_an_estimator_no_converter_knows_is_served_natively() -> None:
    features, target = data("binary_classification")
    form, why = agreed_form(Homemade().fit(features, target), "binary_classification", features)
    assert form is None
    assert why.startswith("native: Homemade does not convert")


def test_a_form_that_disagrees_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    features, target = data("binary_classification")
    one, other = (
        LogisticRegression(C=1).fit(features, target),
        LogisticRegression(C=0.9).fit(features, target),
    )
    convert: Callable[..., bytes] = onnx_form.convert
    monkeypatch.setattr(onnx_form, "convert", lambda estimator, width: convert(other, width))
    form, why = agreed_form(one, "binary_classification", features)
    assert form is None
    assert why.startswith("native: ONNX differs by up to")


def test_a_form_that_gives_no_number_is_not_served(monkeypatch: pytest.MonkeyPatch) -> None:
    features, target = data("regression")
    fitted = LinearRegression().fit(features, target)
    monkeypatch.setattr(OnnxForm, "run", lambda *_: np.full(len(features), np.nan))
    form, why = agreed_form(fitted, "regression", features)
    assert form is None
    assert "differs by up to nan" in why
