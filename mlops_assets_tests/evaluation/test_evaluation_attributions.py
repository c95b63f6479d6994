"""Exact attributions: they add up to what the estimator says, or there are none."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from mlops_assets.evaluation.attributions import NotAttributableError, attribute
from mlops_assets.specs.model_spec import Training
from mlops_assets.specs.tasks import Task
from mlops_assets.training.trainer import fit

ROWS = 600
GENERATOR = np.random.default_rng(0)
NUMBERS = pd.DataFrame(GENERATOR.normal(size=(ROWS, 4)), columns=list("abcd")).astype("float32")
SCORE = 2 * NUMBERS["a"] - NUMBERS["b"] * NUMBERS["c"] + GENERATOR.normal(size=ROWS)
TARGETS: dict[Task, Any] = {
    "binary_classification": (SCORE > 0).astype(int),
    "multiclass_classification": np.array(["low", "mid", "top"])[np.digitize(SCORE, [-1, 1])],
    "regression": SCORE,
}
TEXT = NUMBERS.assign(
    place=pd.Series(GENERATOR.choice(["EWR", "JFK", "LGA"], ROWS)).astype("str"),
    a_b=pd.Series(GENERATOR.choice([*"klmnop"], ROWS, p=[0.5, 0.3, 0.17, 0.01, 0.01, 0.01])).astype("str"),
)


@pytest.mark.parametrize(
    ("estimator", "task", "scale"),
    [
        (HistGradientBoostingClassifier(max_iter=20), "binary_classification", "log-odds"),
        (HistGradientBoostingClassifier(max_iter=20), "multiclass_classification", "log-odds"),
        (HistGradientBoostingRegressor(max_iter=20), "regression", "value"),
        (GradientBoostingClassifier(n_estimators=20), "binary_classification", "log-odds"),
        (RandomForestClassifier(20), "binary_classification", "probability"),
        (RandomForestClassifier(20), "multiclass_classification", "probability"),
        (ExtraTreesClassifier(20), "binary_classification", "probability"),
        (DecisionTreeClassifier(max_depth=4), "binary_classification", "probability"),
        (RandomForestRegressor(20), "regression", "value"),
        (LogisticRegression(), "binary_classification", "log-odds"),
        (LogisticRegression(), "multiclass_classification", "log-odds"),
        (make_pipeline(SimpleImputer(), StandardScaler(), Ridge()), "regression", "value"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else value,
)
def test_attributions_add_up_to_what_the_estimator_says(estimator: Any, task: Task, scale: str) -> None:
    estimator.fit(NUMBERS, TARGETS[task])
    rows = NUMBERS.head(40)
    found = attribute(estimator, task, rows, NUMBERS)
    assert found.scale == scale
    assert found.values.shape[:2] == (40, 4)
    total = found.values.sum(axis=1) + found.base
    says = {
        "log-odds": lambda: estimator.decision_function(rows),
        "probability": lambda: estimator.predict_proba(rows)[:, -found.values.shape[2] :],
        "value": lambda: estimator.predict(rows),
    }[scale]()
    np.testing.assert_allclose(total, says.reshape(total.shape), atol=1e-4)


def test_the_reasons_of_a_linear_model_are_its_coefficients() -> None:
    estimator = LinearRegression().fit(NUMBERS, SCORE)
    found = attribute(estimator, "regression", NUMBERS, NUMBERS)
    expected = (NUMBERS - NUMBERS.mean()) * estimator.coef_
    np.testing.assert_allclose(found.values[:, :, 0], expected, atol=1e-5)


@pytest.mark.parametrize(
    "estimator",
    ["sklearn.linear_model.LogisticRegression", "sklearn.ensemble.HistGradientBoostingClassifier"],
)
def test_what_the_platform_encodes_is_put_together_again(estimator: str) -> None:
    """Also of names that begin alike, such as ``a`` and ``a_b``."""
    target = pd.Series(
        ((TEXT["place"] == "JFK") * 2 + TEXT["a"] + GENERATOR.normal(size=ROWS) > 1).astype(int)
    )
    fitted = fit(Training(estimator=estimator), "binary_classification", TEXT, target)
    found = attribute(fitted, "binary_classification", TEXT, TEXT)
    strengths = dict(zip(TEXT.columns, np.abs(found.values).mean(axis=(0, 2)), strict=True))
    assert min(strengths["place"], strengths["a"]) > 2 * max(strengths["b"], strengths["a_b"])
    # Of one feature: rows that agree in it get the same from a linear model, and in others nothing.
    if "linear" in estimator:
        jfk = found.values[(TEXT["place"] == "JFK").to_numpy(), list(TEXT.columns).index("place"), 0]
        assert np.ptp(jfk) < 1e-9


@pytest.mark.parametrize(
    "chosen", [["place", "a_b"], [4, 5], slice(4, 6), [False] * 4 + [True] * 2, lambda rows: ["place", "a_b"]]
)
def test_columns_are_followed_however_a_pipeline_names_them(chosen: Any) -> None:
    scaled = make_pipeline(SimpleImputer(), StandardScaler())
    columns = make_column_transformer((OneHotEncoder(), chosen), ("drop", ["d"]), (scaled, ["b", "a"]))
    estimator = make_pipeline(columns, StandardScaler(with_mean=False), LogisticRegression())
    estimator.fit(TEXT, TARGETS["binary_classification"])
    found = attribute(estimator, "binary_classification", TEXT, TEXT)
    moves = np.abs(found.values).max(axis=(0, 2)) > 1e-9
    assert moves.tolist() == [name not in ("c", "d") for name in TEXT.columns]
    of_a = found.values[:, 0, 0]
    assert abs(np.corrcoef(of_a, TEXT["a"])[0, 1]) == pytest.approx(1)


def test_rare_and_dropped_values_of_an_encoder_are_counted_as_it_does() -> None:
    encoder = OneHotEncoder(max_categories=3, drop="if_binary", handle_unknown="infrequent_if_exist")
    columns = make_column_transformer((encoder, ["a_b", "place"]), remainder=StandardScaler())
    estimator = make_pipeline(columns, LogisticRegression()).fit(TEXT, TARGETS["binary_classification"])
    found = attribute(estimator, "binary_classification", TEXT, TEXT)
    alone = TEXT.assign(a_b=TEXT["a_b"].iloc[0])
    other = attribute(estimator, "binary_classification", alone, TEXT)
    moved = np.abs(found.values - other.values).max(axis=(0, 2)) > 1e-9
    assert moved.tolist() == [name == "a_b" for name in TEXT.columns]


@pytest.mark.parametrize(
    ("estimator", "task", "said"),
    [
        (KNeighborsClassifier(), "binary_classification", "no exact way for KNeighborsClassifier"),
        (make_pipeline(PCA(2), LogisticRegression()), "binary_classification", "PCA may mix features"),
        (
            make_pipeline(make_column_transformer((PCA(1), ["a", "b"])), LogisticRegression()),
            "binary_classification",
            "PCA may mix features",
        ),
        (GradientBoostingClassifier(n_estimators=5), "multiclass_classification", "GradientBoosting"),
    ],
)
def test_what_has_no_closed_form_is_said_and_not_guessed(estimator: Any, task: Task, said: str) -> None:
    estimator.fit(NUMBERS, TARGETS[task])
    with pytest.raises(NotAttributableError, match=said):
        attribute(estimator, task, NUMBERS.head(10), NUMBERS)


def test_values_that_do_not_add_up_are_not_believed() -> None:
    """Shap takes the categories of a histogram split for numbers, and a rate's logarithm for the rate."""
    codes = NUMBERS.assign(a=GENERATOR.integers(0, 12, ROWS).astype("float32"))
    target = (codes["a"].isin([1, 5, 7, 11]) * 3 + codes["b"] > 1.5).astype(int)
    splits = HistGradientBoostingClassifier(max_iter=20, categorical_features=["a"]).fit(codes, target)
    rate = PoissonRegressor().fit(NUMBERS, np.exp(NUMBERS["a"]))
    for estimator, task, rows in (
        (splits, "binary_classification", codes),
        (rate, "regression", NUMBERS),
    ):
        with pytest.raises(NotAttributableError, match="do not add up"):
            attribute(estimator, task, rows, rows)


def test_trees_too_large_to_visit_are_left_alone() -> None:
    forest = RandomForestClassifier(20).fit(NUMBERS, TARGETS["binary_classification"])
    leaves = sum(tree.get_n_leaves() for tree in forest.estimators_)
    found = attribute(forest, "binary_classification", NUMBERS, NUMBERS, work=100 * leaves)
    assert len(found.values) == 100
    with pytest.raises(NotAttributableError, match="too many to visit"):
        attribute(forest, "binary_classification", NUMBERS, NUMBERS, work=10 * leaves)
