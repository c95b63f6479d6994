"""A second training from the record gives the same predictions, or the gate says where they part."""

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import pytest

from mlops_assets.home import Home
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.references import project_code
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.reproducibility import measure_reproducibility
from mlops_assets.verdict import Verdict, judge
from mlops_assets_tests.vouching import rules_of

MakeSpec = Callable[..., ModelSpec]
MakeRows = Callable[..., pd.DataFrame]
Keep = Callable[..., PackagedModel]
Judged = Callable[..., Verdict]

RULES = rules_of().gates.reproducibility
TRAINERS = """
import numpy as np
from sklearn.linear_model import SGDClassifier

calls = []

def unseeded(features, target, params, seed):
    drawn = np.random.default_rng().integers(2**31)
    return SGDClassifier(loss="log_loss", random_state=drawn).fit(features, target)

def seeded(features, target, params, seed):
    return SGDClassifier(loss="log_loss", random_state=seed).fit(features, target)

def by_what_ran_before(features, target, params, seed):
    calls.append(seed)
    return SGDClassifier(loss="log_loss", random_state=len(calls)).fit(features, target)

def by_a_file_beside_it(features, target, params, seed):
    seed = int((__import__("pathlib").Path(__file__).parent / "seed.txt").read_text())
    return SGDClassifier(loss="log_loss", random_state=seed).fit(features, target)
"""


@pytest.fixture
def judged(
    make_spec: MakeSpec,
    make_rows: MakeRows,
    keep: Keep,
    home: Home,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Judged:
    (tmp_path / "trainers_of_a_team.py").write_text(TRAINERS)
    (tmp_path / "seed.txt").write_text("7")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "trainers_of_a_team", raising=False)

    def judge_it(function: str, recorded: Mapping[str, Any] = MappingProxyType({})) -> Verdict:
        spec = make_spec(training={"estimator": None, "function": f"trainers_of_a_team:{function}"})
        package = keep(spec, make_rows(), code=project_code(spec.training.trainer))
        training = {**spec.training.model_dump(mode="json"), **recorded}
        return judge(measure_reproducibility(package, training, home), RULES)

    return judge_it


def test_a_trainer_that_uses_the_seed_it_is_given_passes(judged: Judged) -> None:
    verdict = judged("seeded")
    assert verdict.passed
    assert verdict.summary == "trained again, 160 of 160 predictions are the same"


@pytest.mark.parametrize("function", ["unseeded", "by_what_ran_before"])
def test_a_trainer_that_would_make_another_model_is_found_out(judged: Judged, function: str) -> None:
    if function == "by_what_ran_before":
        importlib.import_module("trainers_of_a_team").calls.append("another model of the same process")
    verdict = judged(function)
    assert not verdict.passed
    assert verdict.summary.startswith("largest difference of a prediction ")
    assert {"row", "first", "again"} == set(verdict.measurement.findings[0])


def test_a_trainer_that_reads_what_was_not_recorded_is_found_out(judged: Judged) -> None:
    verdict = judged("by_a_file_beside_it")
    assert not verdict.passed
    assert "training it again failed" in verdict.summary
    assert "seed.txt" in verdict.summary


def test_a_model_that_was_trained_otherwise_than_its_spec_says_is_found_out(judged: Judged) -> None:
    assert not judged("seeded", {"seed": 1}).passed


def test_features_that_come_out_otherwise_the_second_time_are_found_out(
    make_spec: MakeSpec, make_rows: MakeRows, keep: Keep, home: Home
) -> None:
    spec = make_spec()
    drawn = "import numpy as np\ndef compute(rows):\n    return rows.assign(c=np.random.rand(len(rows)))\n"
    package = keep(spec, make_rows(), features=drawn)
    verdict = judge(measure_reproducibility(package, spec.training.model_dump(mode="json"), home), RULES)
    assert not verdict.passed
    assert "the features computed a second time from the same rows are others" in verdict.summary
