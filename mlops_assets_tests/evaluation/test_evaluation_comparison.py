"""Challenger and champion are compared on rows that neither has seen, and on nothing else."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, roc_auc_score

from mlops_assets.evaluation.comparison import compare_with_champion
from mlops_assets.specs.gate_rules import ChampionComparisonRules
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training.package import PackagedModel

MakeSpec = Callable[..., ModelSpec]
MakeRows = Callable[..., pd.DataFrame]
MakePackage = Callable[..., PackagedModel]

RULES = ChampionComparisonRules(required=True, confidence=0.95, min_gain=0, min_rows=200)


@pytest.fixture
def spec(make_spec: MakeSpec) -> ModelSpec:
    return make_spec(data={"features": ["a", "b"]})


def test_only_rows_unseen_by_both_count(
    spec: ModelSpec, make_rows: MakeRows, make_package: MakePackage
) -> None:
    rows = make_rows(1200)
    champion = make_package(spec, rows, trained_until="2024-01-31")
    holdout = rows[rows["t"] >= "2024-01-21"]
    unseen = holdout["t"] >= "2024-01-31"
    perfect = holdout["y"].to_numpy(dtype=float)
    found = compare_with_champion(spec, holdout, perfect, (0, 1), champion, RULES)
    assert found.problem is None
    assert found.rows == unseen.sum() == 480
    served = champion.predict(holdout[unseen])
    assert found.champion_value == pytest.approx(roc_auc_score(holdout.loc[unseen, "y"], served))
    assert found.difference is not None
    assert found.difference.gain == pytest.approx(1.0 - found.champion_value)
    # What the challenger says of rows the champion was trained on is of no consequence.
    other = np.where(unseen, perfect, 1 - perfect)
    assert compare_with_champion(spec, holdout, other, (0, 1), champion, RULES) == found


@pytest.mark.parametrize("metric", ["brier", "roc_auc"])
def test_a_worse_challenger_does_not_gain(
    make_spec: MakeSpec, make_rows: MakeRows, make_package: MakePackage, metric: str
) -> None:
    spec = make_spec(data={"features": ["a", "b"]}, evaluation={"primary_metric": metric})
    rows = make_rows(1000)
    champion = make_package(spec, rows, trained_until="2024-01-11")
    holdout = rows[rows["t"] >= "2024-01-11"]
    noise = np.random.default_rng(0).random(len(holdout))
    found = compare_with_champion(spec, holdout, noise, (0, 1), champion, RULES)
    assert found.difference is not None
    assert found.difference.high < 0
    assert found.difference.p_value > 0.9


def test_too_few_common_rows_are_told(
    spec: ModelSpec, make_rows: MakeRows, make_package: MakePackage
) -> None:
    rows = make_rows(1000)
    champion = make_package(spec, rows, trained_until="2024-02-05")
    holdout = rows[rows["t"] >= "2024-01-11"]
    found = compare_with_champion(spec, holdout, np.zeros(len(holdout)), (0, 1), champion, RULES)
    assert found.difference is None
    assert found.problem == "too few rows that neither model was trained on"


def test_a_champion_that_needs_a_column_that_is_gone_is_told(
    spec: ModelSpec, make_rows: MakeRows, make_package: MakePackage
) -> None:
    rows = make_rows(1000)
    champion = make_package(spec, rows, trained_until="2024-01-11")
    holdout = rows[rows["t"] >= "2024-01-11"].drop(columns="b")
    found = compare_with_champion(spec, holdout, np.zeros(len(holdout)), (0, 1), champion, RULES)
    assert found.problem == "the champion needs columns that are gone: b"


def test_a_metric_that_is_not_defined_on_the_common_rows_is_told(
    spec: ModelSpec, make_rows: MakeRows, make_package: MakePackage
) -> None:
    rows = make_rows(1000)
    champion = make_package(spec, rows, trained_until="2024-01-11")
    holdout = rows[rows["t"] >= "2024-01-11"].assign(y=1)
    found = compare_with_champion(spec, holdout, np.linspace(0, 1, len(holdout)), (0, 1), champion, RULES)
    assert found.problem == "roc_auc is not defined on the 760 common rows"


def test_models_that_tell_other_things_apart_are_not_compared(
    spec: ModelSpec, make_rows: MakeRows, make_package: MakePackage
) -> None:
    rows = make_rows(1000)
    champion = make_package(spec, rows, trained_until="2024-01-11")
    holdout = rows[rows["t"] >= "2024-01-11"].assign(y="yes")
    found = compare_with_champion(spec, holdout, np.zeros(len(holdout)), ("no", "yes"), champion, RULES)
    assert found.problem == "the champion tells (0, 1) apart, not ('no', 'yes')"


def test_a_class_that_only_one_model_knows_is_one_the_other_never_expects(
    make_spec: MakeSpec, make_rows: MakeRows, make_package: MakePackage
) -> None:
    task: Any = "multiclass_classification"
    spec = make_spec(task, data={"features": ["a", "b"]})
    rows = make_rows(1000, task)
    old = rows[(rows["y"] != "top") | (rows["t"] >= "2024-01-11")]
    champion = make_package(spec, old, trained_until="2024-01-11")
    assert champion.manifest.classes == ("low", "mid")
    holdout = rows[rows["t"] >= "2024-01-11"]
    classes = ("low", "mid", "top")
    perfect = (holdout["y"].to_numpy()[:, None] == np.array(classes)).astype(float)
    found = compare_with_champion(spec, holdout, perfect, classes, champion, RULES)
    assert found.problem is None
    guessed = np.array(champion.manifest.classes)[champion.predict(holdout).argmax(axis=1)]
    assert found.champion_value == pytest.approx(accuracy_score(holdout["y"], guessed))
    assert found.difference is not None
    assert found.difference.gain == pytest.approx(1 - found.champion_value)
    # And for a challenger that lost a class the champion knows.
    champion = make_package(spec, rows, trained_until="2024-01-11")
    torn = np.where(perfect[:, :1] == 1, [[0.6, 0.4]], perfect[:, 1:])
    lost = compare_with_champion(spec, holdout, torn, classes[1:], champion, RULES)
    assert lost.difference is not None
    assert lost.champion_value is not None
    right = accuracy_score(holdout["y"], np.array(classes[1:])[torn.argmax(axis=1)])
    assert lost.difference.gain == pytest.approx(right - lost.champion_value)


def test_a_class_neither_model_knows_is_told(
    make_spec: MakeSpec, make_rows: MakeRows, make_package: MakePackage
) -> None:
    task: Any = "multiclass_classification"
    spec = make_spec(task, data={"features": ["a", "b"]})
    rows = make_rows(1000, task)
    champion = make_package(spec, rows, trained_until="2024-01-11")
    holdout = rows[rows["t"] >= "2024-01-11"].assign(y="unheard of")
    found = compare_with_champion(
        spec, holdout, np.zeros((len(holdout), 3)), champion.manifest.classes, champion, RULES
    )
    assert found.problem == (
        "the champion cannot score these rows: the target holds 'unheard of', "
        "which the model was not trained on"
    )
