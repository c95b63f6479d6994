"""The gates on quality: thresholds, and the champion that has to be beaten."""

from typing import Any

import pytest

from mlops_assets.evaluation.intervals import Interval, PairedDifference
from mlops_assets.evaluation.judgement import FEWEST_COMMON_ROWS, judge_against_champion, judge_thresholds
from mlops_assets.specs.model_spec import Evaluation
from mlops_assets.verdict import Verdict

RULES = Evaluation.model_validate(
    {
        "primary_metric": "roc_auc",
        "min_gain": 0.01,
        "thresholds": {"roc_auc": {"min": 0.7}, "brier": {"max": 0.2}, "accuracy": {"min": 0.5, "max": 0.99}},
    }
)


def figures(roc_auc: float = 0.8, brier: float = 0.1, accuracy: float = 0.8) -> dict[str, Interval]:
    values = {"roc_auc": roc_auc, "brier": brier, "accuracy": accuracy}
    return {name: Interval(value, value - 0.05, value + 0.05) for name, value in values.items()}


@pytest.mark.parametrize(
    ("measured", "broken"),
    [
        ({}, []),
        ({"roc_auc": 0.7, "brier": 0.2, "accuracy": 0.99}, []),
        ({"roc_auc": 0.69}, ["roc_auc"]),
        ({"brier": 0.21}, ["brier"]),
        ({"accuracy": 1.0}, ["accuracy"]),
        ({"roc_auc": float("nan")}, ["roc_auc"]),
        ({"roc_auc": 0.1, "brier": 0.9, "accuracy": 0.1}, ["roc_auc", "brier", "accuracy"]),
    ],
)
def test_each_threshold_is_held_and_what_breaks_it_is_named(
    measured: dict[str, float], broken: list[str]
) -> None:
    verdict = judge_thresholds(figures(**measured), RULES)
    assert verdict.passed is (broken == [])
    assert [f["metric"] for f in verdict.findings] == broken
    assert all(name in verdict.summary for name in broken)
    assert verdict.limits == {"roc_auc": "≥ 0.7", "brier": "≤ 0.2", "accuracy": "0.5 … 0.99"}


def against(difference: PairedDifference | None, **changes: Any) -> Verdict:
    given = {"champion": "3", "same": False, "rows": 5000, "evaluation": RULES, **changes}
    return judge_against_champion(difference, **given)


def test_a_clear_gain_beats_the_champion() -> None:
    verdict = against(PairedDifference(0.03, 0.02, 0.04, 0.001))
    assert verdict.passed
    assert verdict.summary.startswith("beats champion 3: roc_auc gain +0.0300 [+0.0200, +0.0400]")
    assert verdict.measured["champion"] == "3"
    assert verdict.findings == []


@pytest.mark.parametrize(
    "difference",
    [
        PairedDifference(0.03, -0.01, 0.07, 0.2),  # may be chance
        PairedDifference(0.005, 0.004, 0.006, 0.04),  # sure, but less than asked for
        PairedDifference(-0.03, -0.04, -0.02, 1.0),
        PairedDifference(0.0, 0.0, 0.0, 1.0),
        PairedDifference(float("nan"), float("nan"), float("nan"), 1.0),
    ],
)
def test_what_is_not_shown_to_be_better_does_not_serve(difference: PairedDifference) -> None:
    verdict = against(difference)
    assert not verdict.passed
    assert verdict.summary.startswith("does not beat champion 3")
    assert verdict.findings


def test_the_first_version_has_none_to_beat_and_a_champion_stays_one() -> None:
    assert against(None, champion=None, rows=0).passed
    assert against(None, same=True, rows=0).passed


def test_what_cannot_be_compared_does_not_serve() -> None:
    few = against(PairedDifference(0.5, 0.4, 0.6, 0.001), rows=FEWEST_COMMON_ROWS - 1)
    assert not few.passed
    assert "only 199 rows" in few.summary
    assert against(None, problem="columns are gone").summary == "columns are gone"
    assert not against(None).passed
