"""When to retrain: after harm, after a time, after new data; never for drift alone."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from mlops_assets.monitoring.assessment.record import Assessment
from mlops_assets.monitoring.retraining import decide
from mlops_assets.monitoring.retraining.gain import ExpectedGain
from mlops_assets.specs.model_spec import Retraining

NOW = datetime(2024, 6, 1)
LONG_AGO, RECENTLY = NOW - timedelta(days=100), NOW - timedelta(days=3)

DRIFTED: list[dict[str, Any]] = [{"column": f"c{i}", "drifted": True} for i in range(20)]


def assessment(rules: dict[str, Any], **found: Any) -> Assessment:
    given: dict[str, Any] = {
        "model": "m", "version": "1", "as_of": NOW, "start": NOW - timedelta(days=1), "end": NOW,
        "served": 10, "reason": "as found", "rules": Retraining.model_validate(rules),
    }  # fmt: skip
    return Assessment(**{**given, **found})


@pytest.mark.parametrize(
    ("rules", "found", "last", "trigger", "retrain"),
    [
        ({}, {"harm": True}, LONG_AGO, "harm", True),
        ({}, {"harm": True}, None, "harm", True),
        ({}, {"harm": True}, RECENTLY, "harm", False),
        ({"cooldown": "0d"}, {"harm": True}, NOW, "harm", True),
        ({"cooldown": "3d"}, {"harm": True}, RECENTLY, "harm", True),
        ({}, {"harm": True}, NOW + timedelta(days=30), "harm", False),
        ({"on_harm": False}, {"harm": True}, LONG_AGO, None, False),
        ({"cadence": "100d"}, {}, LONG_AGO, "cadence", True),
        ({"cadence": "101d"}, {}, LONG_AGO, None, False),
        ({"cadence": "2d", "cooldown": "7d"}, {}, RECENTLY, "cadence", False),
        ({"cadence": "1d"}, {}, None, None, False),
        ({"on_new_rows": 500}, {"unseen_rows": 500}, LONG_AGO, "new_data", True),
        ({"on_new_rows": 500}, {"unseen_rows": 499}, LONG_AGO, None, False),
        ({"on_new_rows": 500}, {"unseen_rows": None}, LONG_AGO, None, False),
        ({"on_new_rows": 500}, {"unseen_rows": 900}, RECENTLY, "new_data", False),
        ({"cadence": "1d", "on_new_rows": 1}, {"harm": True, "unseen_rows": 9}, LONG_AGO, "harm", True),
        ({}, {"drift": DRIFTED, "prediction_drift": DRIFTED[0]}, LONG_AGO, None, False),
    ],
)  # fmt: skip
def test_what_starts_a_retraining(
    rules: dict[str, Any], found: dict[str, Any], last: datetime | None, trigger: str | None, retrain: bool
) -> None:
    decision = decide(assessment(rules, **found), last)
    assert (decision.trigger, decision.retrain) == (trigger, retrain)
    assert decision.reason


def test_the_reason_says_what_and_why_not() -> None:
    waiting = decide(assessment({"cooldown": "7d"}, harm=True, reason="auc fell"), RECENTLY)
    assert waiting.reason == "auc fell; in the cooldown of 7d since 2024-05-29"
    assert decide(assessment({"cadence": "30d"}), LONG_AGO).reason == "last trained 100 days ago, cadence 30d"
    new = decide(assessment({"on_new_rows": 5}, unseen_rows=12_000), LONG_AGO)
    assert new.reason == "12,000 rows the champion has not seen"
    assert decide(assessment({}), LONG_AGO).reason == "as found"


@pytest.mark.parametrize(("missed", "trigger"), [(0.02, "new_data"), (0.019, None)])
def test_what_waiting_has_lost_starts_one_where_the_spec_says_what_a_training_is_worth(
    missed: float, trigger: str | None
) -> None:
    expected = ExpectedGain(0.01, 0.01, 3, 40, 0.4, 0.0)
    decision = decide(assessment({"on_gain": 0.02}), LONG_AGO, expected=expected, missed=missed)
    assert (decision.trigger, decision.evidence["missed"]) == (trigger, missed)
    assert decide(assessment({}), LONG_AGO, expected=expected, missed=missed).trigger is None


@pytest.mark.parametrize(
    ("budget", "days_ago", "retrain"),
    [(None, [1, 2, 3], True), (2, [1, 2], False), (2, [1], True), (2, [1, 30], True), (0, [], False)],
)
def test_no_more_start_by_themselves_than_the_policy_allows(
    budget: int | None, days_ago: list[int], retrain: bool
) -> None:
    started = [NOW - timedelta(days=days) for days in days_ago]
    asked = assessment({"cooldown": "0d"}, harm=True, reason="auc fell", budget=budget)
    decision = decide(asked, LONG_AGO, started=started)
    assert (decision.trigger, decision.retrain) == ("harm", retrain)
    said = "auc fell; the policy lets 2 retrainings start by themselves in 30 days, and 2 have"
    assert retrain or budget == 0 or decision.reason.startswith(said)
