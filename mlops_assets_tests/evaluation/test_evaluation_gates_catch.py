"""Each gate on groups and probabilities lets an honest model pass, and finds the fault it is there for."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.evaluation.calibration import measure_calibration
from mlops_assets.evaluation.fairness import measure_fairness
from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.evaluation.slices import measure_slice_gate
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Risk
from mlops_assets.training.package import PackagedModel
from mlops_assets.verdict import Verdict, judge
from mlops_assets_tests.vouching import rules_of


class Foretold(Holdout):
    """A hold-out whose predictions are given."""

    def __init__(self, holdout: Holdout, predicted: "np.ndarray[Any, Any]") -> None:
        super().__init__(holdout.spec, holdout.package, holdout.rows)
        vars(self)["predicted"] = predicted


@pytest.fixture(scope="module")
def truth(
    make_spec: Callable[..., ModelSpec], make_package: Callable[..., PackagedModel]
) -> tuple[Holdout, "np.ndarray[Any, Any]"]:
    """Return sixty days of rows with two groups of people, and the probability each really had."""
    generator = np.random.default_rng(0)
    rows = 12_000
    score = generator.normal(size=rows)
    probability = 1 / (1 + np.exp(-2 * score))
    frame = pd.DataFrame(
        {
            "t": pd.date_range("2024-01-01", periods=rows, freq="7min").astype("datetime64[us]"),
            "a": score.astype("float64"),
            "sex": generator.choice(["f", "m"], rows),
            "y": (generator.random(rows) < probability).astype(int),
        }
    )
    frame["sex"] = frame["sex"].astype("str")
    spec = make_spec(
        data={"features": ["a", {"name": "sex", "type": "string", "sensitive": True}]},
        evaluation={"slices": ["sex"]},
    )
    return Holdout(spec, make_package(spec, frame), frame), probability


def held(measure: Any, holdout: Holdout, risk: Risk = "high") -> Verdict:
    gate = {"measure_slice_gate": "slices", "measure_fairness": "fairness"}.get(
        measure.__name__, "calibration"
    )
    rules = rules_of(risk).gates.of(gate)
    return judge(measure(holdout, rules), rules)


@pytest.mark.parametrize("measure", [measure_slice_gate, measure_fairness, measure_calibration])
def test_who_knows_the_truth_passes(measure: Any, truth: Any) -> None:
    holdout, probability = truth
    verdict = held(measure, Foretold(holdout, probability))
    assert verdict.passed, verdict.summary


def test_a_model_that_guesses_in_one_group_is_found_by_slices(truth: Any) -> None:
    holdout, probability = truth
    shuffled = probability.copy()
    of_one = (holdout.rows["sex"] == "f").to_numpy()
    shuffled[of_one] = np.random.default_rng(1).permutation(shuffled[of_one])
    verdict = held(measure_slice_gate, Foretold(holdout, shuffled))
    assert not verdict.passed
    assert "sex f" in verdict.summary


def test_a_model_that_answers_a_whole_group_alike_is_found_by_slices(truth: Any) -> None:
    holdout, probability = truth
    blind = np.where(holdout.rows["sex"] == "f", probability.mean(), probability)
    verdict = held(measure_slice_gate, Foretold(holdout, blind))
    assert "shortfall sex f" in [breach.figure for breach in verdict.breaches]
    # A model that answers everybody alike is what thresholds are for.
    everybody = held(measure_slice_gate, Foretold(holdout, np.full_like(probability, 0.5)))
    assert not any(breach.figure == "shortfall sex f" for breach in everybody.breaches)


def test_a_model_that_favours_one_group_is_found_by_fairness(truth: Any) -> None:
    holdout, probability = truth
    favoured = np.where(holdout.rows["sex"] == "f", probability**3, probability ** (1 / 3))
    verdict = held(measure_fairness, Foretold(holdout, favoured))
    assert not verdict.passed
    assert "gap" in verdict.summary


def test_a_model_that_is_too_sure_of_itself_is_found_by_calibration(truth: Any) -> None:
    holdout, probability = truth
    odds = (probability / (1 - probability)) ** 4
    verdict = held(measure_calibration, Foretold(holdout, odds / (1 + odds)))
    assert not verdict.passed
    assert "calibration_error" in verdict.summary
