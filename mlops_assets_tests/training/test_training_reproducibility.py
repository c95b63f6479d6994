"""A second training from the record gives the same predictions, or the gate says where they part."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mlops_assets.data.features import FeatureView
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.reproducibility import measure_reproducibility
from mlops_assets.training.trainer import fit
from mlops_assets.verdict import Verdict, judge
from mlops_assets_tests.vouching import rules_of

MakeSpec = Callable[..., ModelSpec]
MakeRows = Callable[..., pd.DataFrame]
MakePackage = Callable[..., PackagedModel]

RULES = rules_of().gates.reproducibility
UNSEEDED = """
import numpy as np
from sklearn.linear_model import SGDClassifier

def train(features, target, params, seed):
    drawn = np.random.default_rng().integers(2**31)
    return SGDClassifier(loss="log_loss", random_state=drawn).fit(features, target)

def seeded(features, target, params, seed):
    return SGDClassifier(loss="log_loss", random_state=seed).fit(features, target)
"""


@pytest.fixture
def judged(
    make_spec: MakeSpec,
    make_rows: MakeRows,
    make_package: MakePackage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Verdict]:
    (tmp_path / "trainers_of_a_team.py").write_text(UNSEEDED)
    monkeypatch.syspath_prepend(tmp_path)

    def judge_it(task: str = "binary_classification", trained_as: Any = None, **training: Any) -> Verdict:
        spec = make_spec(task, data={"features": ["a"]}, **({"training": training} if training else {}))
        rows = make_rows(600, task)
        older = rows["t"] < rows["t"].quantile(0.5)
        features = FeatureView.from_spec(spec.data).compute(rows)
        estimator = fit((trained_as or spec).training, spec.task, features[older], rows.loc[older, "y"])
        package = make_package(spec, rows, estimator=estimator)
        return judge(measure_reproducibility(spec, features, rows["y"], older, package), RULES)

    return judge_it


@pytest.mark.parametrize("task", ["binary_classification", "multiclass_classification", "regression"])
def test_the_same_rows_and_spec_give_the_same_model(judged: Callable[..., Verdict], task: str) -> None:
    verdict = judged(task)
    assert verdict.passed
    assert verdict.summary == "trained again, 300 of 300 predictions are the same"


@pytest.mark.parametrize(
    "estimator",
    [
        "sklearn.ensemble.HistGradientBoostingClassifier",
        "sklearn.ensemble.RandomForestClassifier",
        "sklearn.neural_network.MLPClassifier",
    ],
)
def test_an_estimator_that_draws_at_random_gets_the_seed_each_time(
    judged: Callable[..., Verdict], estimator: str
) -> None:
    assert judged(estimator=estimator).passed


def test_a_trainer_that_draws_its_own_seed_is_found_out(judged: Callable[..., Verdict]) -> None:
    verdict = judged(estimator=None, function="trainers_of_a_team:train")
    assert not verdict.passed
    assert verdict.summary.startswith("largest difference of a prediction ")
    assert {"row", "first", "again"} == set(verdict.measurement.findings[0])
    assert judged(estimator=None, function="trainers_of_a_team:seeded").passed


def test_a_model_that_was_trained_otherwise_than_its_spec_says_is_found_out(
    judged: Callable[..., Verdict], make_spec: MakeSpec
) -> None:
    other = make_spec(training={"params": {"C": 0.001}}, data={"features": ["a"]})
    assert not judged(trained_as=other).passed
