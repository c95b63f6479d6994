"""The gates on quality: thresholds held by their bounds, and the champion that has to be beaten."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.evaluation.comparison import ChampionComparison
from mlops_assets.evaluation.expectation import Expectation, ShownGain
from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.evaluation.intervals import PairedDifference
from mlops_assets.evaluation.quality import (
    HoldoutUse,
    measure_against_champion,
    measure_thresholds,
    others_on_holdout,
    share_of_error,
)
from mlops_assets.specs.gate_rules import ChampionComparisonRules, MetricThresholdRules
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.tasks import Limit
from mlops_assets.training.package import PackagedModel
from mlops_assets.verdict import Verdict, judge

COMPARED = ChampionComparisonRules(required=True, confidence=0.95, min_gain=0.01, min_rows=200)
WEIGHING = COMPARED.model_copy(update={"weighs_expectation": True})
PROMISING = Expectation(0.1, 0.06, "1.50 times the rows")


@pytest.fixture(scope="module")
def holdout(
    make_spec: Callable[..., ModelSpec],
    make_rows: Callable[..., pd.DataFrame],
    make_package: Callable[..., PackagedModel],
) -> Holdout:
    spec = make_spec(evaluation={"thresholds": {"roc_auc": {"min": 0.5}, "brier": {"max": 0.3}}})
    rows = make_rows(2000)
    package = make_package(spec, rows)
    return Holdout(spec, package, rows[rows["t"] >= rows["t"].quantile(0.5)])


def held(holdout: Holdout, confidence: float = 0.9, **thresholds: Limit) -> Verdict:
    rules = MetricThresholdRules(
        required=True, confidence=confidence, min_thresholds=1, thresholds=thresholds
    )
    return judge(measure_thresholds(holdout, rules), rules)


def test_the_bound_has_to_pass_and_not_the_point(holdout: Holdout) -> None:
    auc = next(f for f in held(holdout).measurement.figures if f.name == "roc_auc")
    assert auc.value is not None
    assert auc.low is not None
    assert auc.high is not None
    assert auc.low < auc.value < auc.high
    between = (auc.low + auc.value) / 2
    refused = held(holdout, roc_auc=Limit(min=between))
    assert not refused.passed
    assert refused.summary.startswith(f"roc_auc {auc.value:.4g} (lower bound {auc.low:.4g}) breaks ≥")
    assert held(holdout, roc_auc=Limit(min=auc.low - 1e-9)).passed
    above = (auc.high + auc.value) / 2
    assert "upper bound" in held(holdout, roc_auc=Limit(max=above)).summary


def test_a_surer_bound_is_further_away(holdout: Holdout) -> None:
    lows = [
        next(f.low for f in held(holdout, c).measurement.figures if f.name == "roc_auc")
        for c in (0.8, 0.9, 0.99)
    ]
    assert lows == sorted(lows, reverse=True)


def test_both_sides_of_a_threshold_are_held(holdout: Holdout) -> None:
    verdict = held(holdout, accuracy=Limit(min=0.99, max=0.1))
    assert [breach.figure for breach in verdict.breaches] == ["accuracy", "accuracy"]


def test_what_is_not_a_number_keeps_no_threshold(holdout: Holdout) -> None:
    one_class = holdout.rows[holdout.rows["y"] == 1]
    verdict = held(Holdout(holdout.spec, holdout.package, one_class), roc_auc=Limit(min=0.1))
    assert verdict.summary == "roc_auc is not a number"


def test_how_many_thresholds_the_spec_sets_is_counted(holdout: Holdout) -> None:
    rules = MetricThresholdRules(required=True, confidence=0.9, min_thresholds=3)
    assert judge(measure_thresholds(holdout, rules), rules).summary == "thresholds the spec sets 2 breaks ≥ 3"


def against(
    difference: PairedDifference | None, rules: ChampionComparisonRules = COMPARED, **changes: Any
) -> Verdict:
    compared = ChampionComparison(changes.pop("rows", 5000), difference, problem=changes.pop("problem", None))
    asked = {"champion": "3", "same": False, "uses": 1, "metric": "roc_auc", **changes}
    return judge(measure_against_champion(compared, **asked), rules)


def test_a_clear_gain_beats_the_champion() -> None:
    verdict = against(PairedDifference(0.03, 0.02, 0.04, 0.001))
    assert verdict.passed
    assert verdict.summary.startswith("roc_auc gain +0.0300 [+0.0200, +0.0400] over champion 3, p = 0.001")
    assert verdict.measurement.facts == {"champion": "3"}


@pytest.mark.parametrize(
    "difference",
    [
        PairedDifference(0.03, -0.01, 0.07, 0.2),  # may be chance
        PairedDifference(-0.03, -0.04, -0.02, 1.0),
        PairedDifference(0.0, 0.0, 0.0, 1.0),
        PairedDifference(float("nan"), float("nan"), float("nan"), 1.0),
    ],
)
def test_what_is_not_shown_to_be_better_does_not_serve(difference: PairedDifference) -> None:
    verdict = against(difference)
    assert not verdict.passed
    assert verdict.summary.startswith("confidence of a gain ")


def test_who_tries_often_on_one_holdout_has_to_be_the_surer() -> None:
    gain = PairedDifference(0.03, 0.02, 0.04, 0.01)
    passed = [against(gain, uses=uses).passed for uses in range(1, 6)]
    assert passed == [True, False, False, False, False]
    assert "of a hold-out used 2 times" in against(gain, uses=2).summary


def test_luck_wins_no_more_often_over_many_uses_of_a_holdout_than_over_one() -> None:
    # Of p-values of no gain at all, however many are tried, at most 5 % of all series may pass once.
    tries = np.random.default_rng(0).random((2000, 200))
    shared = tries * (np.pi * np.arange(1, 201)) ** 2 / 6
    assert (shared < 0.05).any(axis=1).mean() < 0.06
    assert (tries < 0.05).any(axis=1).mean() > 0.99


def test_only_other_candidates_on_rows_of_the_same_time_count_as_uses() -> None:
    def use(candidate: str, first: int, last: int) -> HoldoutUse:
        return HoldoutUse(candidate, datetime(2024, 1, first), datetime(2024, 1, last))

    now = use("c", 10, 20)
    assert others_on_holdout(now, []) == set()
    assert others_on_holdout(now, [now, use("c", 1, 31)]) == set()
    assert others_on_holdout(now, [use("a", 1, 10), use("b", 20, 30)]) == set()
    assert others_on_holdout(now, [use("a", 1, 11), use("b", 19, 30), use("b", 12, 13)]) == {"a", "b"}


def test_the_first_version_has_none_to_beat_and_a_champion_stays_one() -> None:
    assert against(None, champion=None, rows=0).passed
    assert against(None, same=True, rows=0).passed


def test_what_cannot_be_compared_does_not_serve() -> None:
    few = against(PairedDifference(0.5, 0.4, 0.6, 0.001), rows=199)
    assert few.summary == "rows unseen by both 199 breaks ≥ 200"
    assert "columns are gone" in against(None, problem="columns are gone").summary
    assert not against(None).passed


MAY_BE_CHANCE = PairedDifference(0.03, -0.01, 0.07, 0.08)


def test_who_is_better_on_the_rows_and_was_expected_to_be_wins_by_both() -> None:
    weighed = (ShownGain(0.1, 0.06), PROMISING)
    assert not against(MAY_BE_CHANCE).passed
    verdict = against(MAY_BE_CHANCE, WEIGHING, weighed=weighed)
    assert verdict.passed
    assert "confidence 0.8684 by these rows alone, 0.9" in verdict.summary
    assert "by them and the expected +0.1000 ± 0.0600 (logarithm of the loss; 1.50 times the rows)" in (
        verdict.summary
    )
    assert verdict.limits == {"min_rows": 200, "weighed_confidence": 0.95}


def test_a_policy_that_weighs_nothing_judges_the_same_evidence_by_the_rows_alone() -> None:
    evidence = against(MAY_BE_CHANCE, WEIGHING, weighed=(ShownGain(0.1, 0.06), PROMISING)).measurement
    refused = judge(evidence, COMPARED)
    assert not refused.passed
    assert refused.summary.startswith("confidence of a gain 0.8684, ")
    sure = against(
        PairedDifference(0.03, 0.02, 0.04, 0.001), WEIGHING, weighed=(ShownGain(0.1, 0.02), PROMISING)
    )
    assert judge(sure.measurement, COMPARED).passed


def test_where_no_expectation_is_known_the_rows_alone_decide() -> None:
    for difference in (MAY_BE_CHANCE, PairedDifference(0.03, 0.02, 0.04, 0.001)):
        assert against(difference, WEIGHING).breaches == against(difference).breaches
        unknown = (ShownGain(0.1, float("nan")), PROMISING)
        assert against(difference, WEIGHING, weighed=unknown).breaches == against(difference).breaches


gains = st.floats(-0.5, 0.5)


@given(
    gains, st.floats(0.001, 0.2), st.floats(-5, 5), st.floats(0.05, 0.5), st.integers(1, 4), st.floats(0, 0.1)
)
def test_whoever_is_no_better_on_the_rows_never_wins_and_the_figures_alone_tell_why(
    gain: float, error: float, mean: float, deviation: float, uses: int, margin: float
) -> None:
    weighed = (ShownGain(gain, error, margin), Expectation(mean, deviation))
    verdict = against(
        PairedDifference(gain, gain - error, gain + error, 0.5), WEIGHING, uses=uses, weighed=weighed
    )
    assert not (verdict.passed and gain <= margin)
    told = {figure.name: figure.value for figure in verdict.measurement.figures}
    shown = ShownGain(
        told["gain of the rows (logarithm of the loss)"] or 0.0,
        told["standard error of that gain"] or 0.0,
        told["least such gain"] or 0.0,
    )
    expected = Expectation(
        told["expected gain (logarithm of the loss)"] or 0.0,
        told["standard deviation of the expected gain"] or 0.0,
    )
    probability = shown.probability_with(expected)
    assert probability is not None
    error_spent = (1 - probability) / share_of_error(uses)
    assert told["confidence by rows and expectation"] == pytest.approx(1 - min(1.0, error_spent))
    assert verdict.passed == (1 - error_spent >= 0.95)
