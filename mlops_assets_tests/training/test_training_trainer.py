"""Training: any estimator, the same result each time, and one clear line where it cannot be."""

# ruff: noqa: E501  (tables: one case a line)

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.errors import SpecError, TrainingError
from mlops_assets.specs.model_spec import Training
from mlops_assets.training.trainer import fit, require_answer_for

_number = itertools.count()
Module = Callable[[str], str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Module:
    """Return a maker of importable modules, which returns their names."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(source: str) -> str:
        name = f"team_training_{next(_number)}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return make


def data(task: str = "binary_classification", rows: int = 300) -> tuple[pd.DataFrame, "pd.Series[Any]"]:
    generator = np.random.default_rng(0)
    features = pd.DataFrame(
        {"a": generator.normal(size=rows), "b": generator.normal(size=rows)}, dtype="float32"
    )
    score = features["a"] + generator.normal(size=rows)
    target = score if task == "regression" else (score > 0).astype(int)
    return features, pd.Series(target)


def training(estimator: str, **more: Any) -> Training:
    return Training.model_validate({"estimator": estimator, **more})


@pytest.mark.parametrize(
    ("estimator", "task"),
    [
        ("sklearn.ensemble.RandomForestClassifier", "binary_classification"),
        ("sklearn.ensemble.HistGradientBoostingClassifier", "binary_classification"),
        ("sklearn.neural_network.MLPClassifier", "binary_classification"),
        ("sklearn.linear_model.SGDRegressor", "regression"),
    ],
)
def test_one_seed_gives_one_model_and_another_another(estimator: str, task: Any) -> None:
    features, target = data(task)
    params = {"early_stopping": True} if "HistGradient" in estimator else {}

    def predictions(seed: int) -> Any:
        fitted = fit(training(estimator, seed=seed, params=params), task, features, target)
        return fitted.predict(features) if task == "regression" else fitted.predict_proba(features)

    np.testing.assert_array_equal(predictions(1), predictions(1))
    assert not np.array_equal(predictions(1), predictions(2))


def test_a_seed_in_the_params_is_the_teams_word() -> None:
    features, target = data()
    forest = training(
        "sklearn.ensemble.RandomForestClassifier", params={"random_state": 7, "n_estimators": 3}
    )
    assert fit(forest, "binary_classification", features, target).random_state == 7


def test_text_is_encoded_and_the_unknown_is_answered() -> None:
    features, target = data()
    features["word"] = pd.Series(np.where(target == 1, "yes", "no")).astype("str")
    features.loc[::7, "word"] = np.nan
    fitted = fit(
        training("sklearn.linear_model.LogisticRegression"), "binary_classification", features, target
    )
    assert (fitted.predict(features) == target).mean() > 0.9
    unknown = features.head(3).assign(word=pd.Series(["never seen", None, ""], dtype="str"))
    assert np.isfinite(fitted.predict_proba(unknown)).all()


def test_text_of_many_values_does_not_blow_up_the_matrix() -> None:
    features, target = data()
    features["id"] = pd.Series([f"id{i}" for i in range(len(features))]).astype("str")
    fitted = fit(
        training("sklearn.linear_model.LogisticRegression"), "binary_classification", features, target
    )
    assert fitted[-1].n_features_in_ <= 2 + 33


def test_the_teams_function_is_given_params_and_seed(module: Module) -> None:
    name = module(
        "import numpy as np, random\n"
        "from sklearn.linear_model import Ridge\n"
        "def train(features, target, params, seed):\n"
        "    model = Ridge(**params).fit(features, target)\n"
        "    model.told = (seed, random.random(), float(np.random.random()))\n"
        "    return model\n"
    )
    features, target = data("regression")
    spec = Training.model_validate({"function": f"{name}:train", "params": {"alpha": 2.0}, "seed": 5})
    one, two = fit(spec, "regression", features, target), fit(spec, "regression", features, target)
    assert one.alpha == 2.0
    assert one.told[0] == 5
    assert one.told == two.told


@pytest.mark.parametrize(
    ("estimator", "params", "task", "said"),
    [
        ("sklearn.linear_model.Ridge", {"alfa": 1}, "regression", "does not take these params: .*'alfa'"),
        ("sklearn.linear_model.Ridge", {"alpha": -1}, "regression", "failed: InvalidParameterError: The 'alpha' parameter"),
        ("sklearn.linear_model.LogisticRegression", {}, "regression", "failed: ValueError: Unknown label type"),
        ("sklearn.linear_model.LinearRegression", {}, "binary_classification", "LinearRegression without predict_proba, classes_, which a binary_classification needs"),
        ("sklearn.svm.LinearSVC", {}, "binary_classification", "without predict_proba.*CalibratedClassifierCV"),
        ("sklearn.cluster.DBSCAN", {}, "regression", "DBSCAN without predict"),
        ("collections.Counter", {}, "regression", "collections.Counter failed: AttributeError"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_or_does_not_answer_the_task_is_one_clear_line(
    estimator: str, params: dict[str, Any], task: Any, said: str
) -> None:
    features, target = data(task)
    with pytest.raises(TrainingError, match=said):
        fit(training(estimator, params=params), task, features, target)


def test_an_estimator_that_knows_no_gaps_says_so() -> None:
    features, target = data()
    features.loc[3, "a"] = np.nan
    with pytest.raises(TrainingError, match="LogisticRegression failed: ValueError: Input X contains NaN"):
        fit(training("sklearn.linear_model.LogisticRegression"), "binary_classification", features, target)
    boosted = training("sklearn.ensemble.HistGradientBoostingClassifier")
    assert fit(boosted, "binary_classification", features, target).classes_.tolist() == [0, 1]


def test_a_function_that_fails_or_returns_nothing_is_the_teams_to_mend(module: Module) -> None:
    name = module("def nothing(f, t, p, s): pass\ndef broken(f, t, p, s): return {}['gone']\n")
    features, target = data()
    with pytest.raises(TrainingError, match="nothing gives a NoneType without predict"):
        fit(
            Training.model_validate({"function": f"{name}:nothing"}),
            "binary_classification",
            features,
            target,
        )
    with pytest.raises(TrainingError, match="broken failed: KeyError: 'gone'"):
        fit(
            Training.model_validate({"function": f"{name}:broken"}), "binary_classification", features, target
        )
    with pytest.raises(SpecError, match="has no function 'brokn'"):
        fit(Training.model_validate({"function": f"{name}:brokn"}), "binary_classification", features, target)


@pytest.mark.parametrize("labels", [("no", "yes"), (False, True), (0.0, 1.0), (-1, 1)])
def test_classes_of_any_kind_are_learnt(labels: tuple[Any, Any]) -> None:
    features, target = data()
    named = pd.Series(np.array(labels, dtype=object)[target.to_numpy()]).infer_objects()
    fitted = fit(
        training("sklearn.linear_model.LogisticRegression"), "binary_classification", features, named
    )
    assert fitted.classes_.tolist() == list(labels)


def test_an_estimator_that_fails_on_rows_it_was_not_trained_on_is_refused() -> None:
    rows = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]}, dtype="float32")
    linear = Training(estimator="sklearn.linear_model.LinearRegression")
    fitted = fit(linear, "regression", rows, pd.Series([0.0, 1.0, 2.0, 3.0]))
    require_answer_for(rows, fitted, linear, "regression")
    with pytest.raises(TrainingError, match=r"LinearRegression that fails on rows .* Input X contains NaN"):
        require_answer_for(rows.replace(2.0, np.nan), fitted, linear, "regression")
