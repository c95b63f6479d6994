"""The gates on quality: thresholds held by their bounds, and the champion that has to be beaten."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.evaluation.comparison import ChampionComparison
from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.evaluation.intervals import PairedDifference
from mlops_assets.evaluation.quality import (
    HoldoutUse,
    measure_against_champion,
    measure_thresholds,
    uses_of_holdout,
)
from mlops_assets.specs.gate_rules import ChampionComparisonRules, MetricThresholdRules
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.tasks import Limit
from mlops_assets.training.package import PackagedModel
from mlops_assets.verdict import Verdict, judge

COMPARED = ChampionComparisonRules(required=True, confidence=0.95, min_gain=0.01, min_rows=200)


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


def against(difference: PairedDifference | None, **changes: Any) -> Verdict:
    compared = ChampionComparison(changes.pop("rows", 5000), difference, problem=changes.pop("problem", None))
    asked = {"champion": "3", "same": False, "uses": 1, "metric": "roc_auc", **changes}
    return judge(measure_against_champion(compared, **asked), COMPARED)


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
    assert uses_of_holdout(now, []) == 1
    assert uses_of_holdout(now, [now, use("c", 1, 31)]) == 1
    assert uses_of_holdout(now, [use("a", 1, 10), use("b", 20, 30)]) == 1
    assert uses_of_holdout(now, [use("a", 1, 11), use("b", 19, 30), use("b", 12, 13)]) == 3


def test_the_first_version_has_none_to_beat_and_a_champion_stays_one() -> None:
    assert against(None, champion=None, rows=0).passed
    assert against(None, same=True, rows=0).passed


def test_what_cannot_be_compared_does_not_serve() -> None:
    few = against(PairedDifference(0.5, 0.4, 0.6, 0.001), rows=199)
    assert few.summary == "rows unseen by both 199 breaks ≥ 200"
    assert "columns are gone" in against(None, problem="columns are gone").summary
    assert not against(None).passed
