"""One sensor decides for all models: harm, age and new data start a lifecycle, drift alone never."""

import json
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.home import Home
from mlops_assets.monitoring.incidents.alarm import Alarm, Kind
from mlops_assets.monitoring.incidents.life import resolved
from mlops_assets.monitoring.incidents.upstream import WatchedModel
from mlops_assets.monitoring.retraining.gain import Outcome
from mlops_assets.registry.port import CHAMPION
from mlops_assets.resources import Platform
from mlops_assets.specs.gate_rules import Gates
from mlops_assets.specs.policy_file import current_policy
from mlops_assets.stages.stage import LIFECYCLE
from mlops_assets_tests.automation.conftest import NOW, Fleet, MakeFleet

DRIFT = [{"column": "a", "method": "psi", "score": 9.0, "threshold": 0.1, "drifted": True}]


def only(tick: Any) -> dg.RunRequest:
    (request,) = tick.run_requests
    return request


def test_the_sensor_runs_without_being_switched_on(fleet: Fleet) -> None:
    sensor = fleet.definitions.resolve_sensor_def("retraining")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING
    names = {s.name for s in fleet.definitions.get_repository_def().sensor_defs}
    assert names == {"retraining", "approvals", "rollouts", "batch_scoring", "incidents"}


def test_harm_starts_the_models_own_road_and_says_why(fleet: Fleet) -> None:
    fleet.assess("a")
    filed = fleet.assess("b", harm=True, reason="roc_auc 0.6 against 0.9 on the hold-out")
    request = only(fleet.tick())
    assert request.asset_selection == [dg.AssetKey(["b", stage]) for stage in LIFECYCLE]
    assert request.run_key == f"retrain:b:{filed}"
    assert request.run_config["ops"] == {"b__raw_data": {"config": {"as_of": "2024-06-01T00:00:00"}}}
    expected = {
        "mlops/model": "b",
        "mlops/trigger": "harm",
        "mlops/reason": "roc_auc 0.6 against 0.9 on the hold-out",
        "mlops/assessment": str(filed),
    }
    assert expected.items() <= request.tags.items()


def test_what_is_requested_is_a_run_of_the_models_stages_with_all_of_their_gates(fleet: Fleet) -> None:
    fleet.assess("b", harm=True)
    request = only(fleet.tick())
    job = fleet.definitions.resolve_job_def("lifecycle").get_subset(
        asset_selection=set(request.asset_selection or [])
    )
    assert {key.to_user_string() for key in job.asset_layer.selected_asset_keys} == {
        f"b/{stage}" for stage in LIFECYCLE
    }
    gates = {key.name for key in job.asset_layer.asset_graph.asset_check_keys}
    assert gates == {*Gates.model_fields, "approvals"}
    assert dg.validate_run_config(job, request.run_config)


def test_drift_alone_starts_nothing_and_the_tick_says_why(fleet: Fleet) -> None:
    fleet.assess("a", drift=DRIFT)
    tick = fleet.tick()
    assert not tick.run_requests
    assert tick.skip_message == "1 assessed, none to retrain. a: not shown to be worse"


def test_a_tick_that_starts_nothing_names_a_few_reasons_and_counts_the_rest(make_fleet: MakeFleet) -> None:
    names = [f"m{n}" for n in range(9)]
    fleet = make_fleet(*names)
    for name in names:
        fleet.assess(name)
    message = fleet.tick().skip_message
    assert message.startswith("9 assessed, none to retrain. m0: not shown to be worse; m1: ")
    assert message.endswith("; and 4 more")


@pytest.mark.parametrize(
    ("found", "trained_days_ago", "trigger"),
    [
        ({"rules": {"cadence": "30d"}}, 30, "cadence"),
        ({"rules": {"cadence": "30d"}}, 29, None),
        ({"rules": {"on_new_rows": 1000}, "unseen_rows": 1000}, 20, "new_data"),
        ({"rules": {"on_new_rows": 1000}, "unseen_rows": 999}, 20, None),
        ({"harm": True}, 20, "harm"),
        ({"harm": True, "rules": {"cooldown": "21d"}}, 20, None),
        ({"harm": True, "rules": {"on_harm": False}}, 20, None),
    ],
)
def test_age_and_new_data_start_a_run_and_the_cooldown_keeps_it_back(
    fleet: Fleet, found: dict[str, Any], trained_days_ago: int, trigger: str | None
) -> None:
    fleet.state.record_training("a", NOW - timedelta(days=trained_days_ago))
    fleet.assess("a", **found)
    tick = fleet.tick()
    if trigger is None:
        assert not tick.run_requests
    else:
        assert only(tick).tags["mlops/trigger"] == trigger


def test_a_cooldown_is_the_reason_that_the_tick_gives(fleet: Fleet) -> None:
    fleet.state.record_training("a", NOW - timedelta(days=3))
    fleet.assess("a", harm=True)
    message = fleet.tick().skip_message
    assert message == "1 assessed, none to retrain. a: worse; in the cooldown of 7d since 2024-05-29"


def test_the_policys_budget_holds_over_ticks_and_is_whole_again_later(fleet: Fleet) -> None:
    impatient = {"harm": True, "rules": {"cooldown": "0d"}, "budget": 2}
    cursor = None
    for day, retrained in [(0, True), (7, True), (14, False), (31, True), (35, False)]:
        fleet.assess("a", day=day, **impatient)
        fleet.assess("b", day=day, **impatient | {"harm": day == 14})  # another model's budget is its own
        tick = fleet.tick(cursor)
        cursor = tick.cursor
        asked = {request.tags["mlops/model"] for request in tick.run_requests}
        assert ("a" in asked, "b" in asked) == (retrained, day == 14)
    assert "the policy lets 2 retrainings start by themselves in 30 days, and 2 have" in tick.skip_message


def test_a_second_tick_does_not_ask_again(fleet: Fleet) -> None:
    fleet.assess("a", harm=True)
    first = fleet.tick()
    second = fleet.tick(first.cursor)
    assert not second.run_requests
    assert second.skip_message == "no new assessment"


def test_a_tick_that_is_repeated_asks_for_the_very_same_run(fleet: Fleet) -> None:
    """The daemon may die after it launched a run and before it kept the cursor."""
    fleet.assess("a", harm=True)
    first = only(fleet.tick())
    fleet.state.record_training("a", NOW)  # the run has begun, and the cooldown with it
    assert only(fleet.tick()) == first


def test_no_second_lifecycle_is_asked_for_while_one_waits_or_runs(fleet: Fleet) -> None:
    fleet.instance.add_run(
        dg.DagsterRun("lifecycle", status=dg.DagsterRunStatus.STARTED, tags={"mlops/model": "a"})
    )
    fleet.assess("a", harm=True)
    tick = fleet.tick()
    assert not tick.run_requests
    assert tick.skip_message == "1 assessed, none to retrain. a: worse; a lifecycle is under way already"


def test_an_assessment_that_cannot_be_read_does_not_stop_the_others(fleet: Fleet) -> None:
    fleet.assess("a", harm=True)
    last = fleet.assess("b", harm=True)
    with sqlite3.connect(Home.from_environment().root / "fleet.db") as database:
        other = '{"of": "another version"}'
        database.execute("UPDATE assessed_windows SET body = ? WHERE model = 'b'", [other])
    tick = fleet.tick()
    assert only(tick).tags["mlops/model"] == "a"
    assert tick.cursor == str(last)
    assert list(fleet.state.latest_assessments()) == ["a"]


def test_only_the_newest_assessment_of_a_model_counts(fleet: Fleet) -> None:
    fleet.assess("a", day=0, harm=True)
    newest = fleet.assess("a", day=1)
    tick = fleet.tick()
    assert not tick.run_requests
    assert tick.cursor == str(newest)


def test_two_hundred_models_are_one_tick_of_one_sensor(make_fleet: MakeFleet) -> None:
    names = [f"m{n:03}" for n in range(200)]
    fleet = make_fleet(*names)
    for number, name in enumerate(names):
        fleet.assess(name, harm=number % 2 == 0)
    tick = fleet.tick()
    assert [r.tags["mlops/model"] for r in tick.run_requests] == names[::2]
    assert len({r.run_key for r in tick.run_requests}) == 100
    assert len(fleet.definitions.get_repository_def().sensor_defs) == 5, "the fleet's, not a model's"


def test_a_model_that_left_the_fleet_is_not_asked_for_and_does_not_stop_the_others(fleet: Fleet) -> None:
    fleet.assess("retired", harm=True)
    fleet.assess("a", harm=True)
    last = fleet.assess("retired", day=1, harm=True)
    tick = fleet.tick()
    assert only(tick).tags["mlops/model"] == "a"
    assert tick.cursor == str(last)


def test_a_fleet_of_which_all_models_left_has_nothing_to_retrain(fleet: Fleet) -> None:
    fleet.assess("retired", harm=True)
    tick = fleet.tick()
    assert not tick.run_requests
    assert tick.skip_message == "0 assessed, none to retrain."


@pytest.mark.parametrize(
    ("kind", "starts"),
    [("label_shift", False), ("data_quality", False), ("data_drift", True), ("performance", True)],
)
def test_nothing_is_learnt_from_data_that_are_at_fault_until_that_is_over(
    fleet: Fleet, kind: Kind, starts: bool
) -> None:
    platform = Platform()
    alarm = Alarm(
        model="b", owner="team:tests", risk="minimal", version="1", kind=kind, subject="y",
        start=NOW - timedelta(days=7), end=NOW, observed_at=NOW, says="y jumps from .35 to 1.00",
    )  # fmt: skip
    models = [WatchedModel(model="b", owner="team:tests", risk="minimal")]
    platform.incidents.take_in([alarm], models, current_policy().alerts, NOW)
    fleet.assess("b", harm=True)
    tick = fleet.tick()
    if starts:
        assert only(tick).tags["mlops/model"] == "b"
        return
    assert not tick.run_requests
    assert "not before people have looked at incident 1" in tick.skip_message
    platform.incidents.change(1, lambda each: resolved(each, "me", "the feed is mended", NOW))
    fleet.assess("b", day=7, harm=True)
    assert only(fleet.tick(tick.cursor)).tags["mlops/model"] == "b"


def test_harm_that_a_trusted_estimator_tells_starts_a_retraining_before_labels_do(fleet: Fleet) -> None:
    fleet.assess("b", harm_shown="estimated", reason="roc_auc is estimated at 0.6")
    request = only(fleet.tick())
    assert request.tags["mlops/trigger"] == "estimated_harm"
    assert request.tags["mlops/reason"] == "roc_auc is estimated at 0.6"


def test_harm_of_a_version_that_no_longer_serves_starts_nothing(fleet: Fleet) -> None:
    for _ in range(2):
        run = fleet.registry.client.create_run(fleet.registry.experiment("b"))
        version = fleet.registry.register("b", run.info.run_id, f"{run.info.run_id:c<64}", {})
    fleet.registry.set_alias("b", CHAMPION, version.version)
    fleet.assess("b", harm=True)
    tick = fleet.tick()
    assert not tick.run_requests
    fleet.assess("b", day=7, harm=True, version=version.version)
    assert only(fleet.tick(tick.cursor)).tags["mlops/model"] == "b"


def test_the_fleets_budget_goes_to_those_that_promise_most(
    make_fleet: MakeFleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("fleet: {retrainings: 1}\n")
    monkeypatch.setenv("MLOPS_POLICY", str(policy))
    fleet = make_fleet("a", "b", "c")
    for model, unseen in (("a", 10), ("b", 5_000), ("c", 100)):
        fleet.state.record_candidate(model, f"{model}1", rows=1_000, seconds=2.0)
        found = {"metrics": {"roc_auc": (0.8, 0.7, 0.9)}, "rules": {"on_new_rows": 1}}
        fleet.assess(model, metric="roc_auc", unseen_rows=unseen, **found)
    tick = fleet.tick()
    assert only(tick).tags["mlops/model"] == "b"
    decisions = fleet.state.decisions(NOW - timedelta(days=1), NOW)
    told = {each.model: each.reason for each in decisions}
    assert "the fleet's budget allows 1 now" in told["a"]


def test_what_a_retraining_is_expected_to_gain_is_recorded_with_the_decision(fleet: Fleet) -> None:
    fleet.state.record_candidate("b", "b1", rows=1_000, seconds=2.0)
    for number in range(4):
        gained = Outcome(growth=0.5, excess=0.0, gain=0.2, error=0.01)
        fleet.state.record_outcome("b", f"b{number + 2}", f"b{number + 1}", gained)
    filed = fleet.assess("b", metric="roc_auc", unseen_rows=1_000, rules={"on_new_rows": 500})
    only(fleet.tick())
    with sqlite3.connect(Home.from_environment().root / "fleet.db") as database:
        (record,) = database.execute(
            "SELECT record FROM decisions_to_retrain WHERE assessment_id = ?", [filed]
        ).fetchone()
    expected = json.loads(record)["expected"]
    assert 0.1 < expected["share"] < 0.3  # .28 by its own trainings, drawn towards what is usual
    assert "4" in expected["basis"]


def waits(fleet: Fleet, day: int, model: str = "b", **found: Any) -> int:
    """File a week in which 500 rows came to the 1,000 that the model learned from."""
    rules = {"on_gain": 0.05, "cooldown": "0d"}
    return fleet.assess(model, day=day, metric="roc_auc", unseen_rows=500, rules=rules, **found)


def missed(fleet: Fleet, filed: int) -> float:
    """Return what waiting had lost when it was decided after an assessment."""
    with sqlite3.connect(Home.from_environment().root / "fleet.db") as database:
        query = "SELECT record FROM decisions_to_retrain WHERE assessment_id = ?"
        (record,) = database.execute(query, [filed]).fetchone()
    return float(json.loads(record)["evidence"]["missed"])


def test_a_training_starts_when_waiting_has_lost_what_it_is_worth(fleet: Fleet) -> None:
    fleet.state.record_candidate("b", "b1", rows=1_000, seconds=2.0)
    fleet.state.record_training("b", NOW - timedelta(days=7))
    first = waits(fleet, 0)
    tick = fleet.tick()
    assert not tick.run_requests
    once = missed(fleet, first)
    assert 0 < once < 0.05
    # Labels come late and open the window again, which is no second week; the daemon may tick as it likes.
    again = waits(fleet, 0, reason="with more labels")
    tick = fleet.tick(tick.cursor)
    assert not tick.run_requests
    assert missed(fleet, again) == once
    fleet.tick()
    last = waits(fleet, 7)
    request = only(fleet.tick(tick.cursor))
    assert request.tags["mlops/trigger"] == "new_data"
    assert request.tags["mlops/reason"].startswith("waiting has lost")
    assert missed(fleet, last) == pytest.approx(2 * once)
    # Whatever becomes of the training, what was lost before it is paid for.
    fleet.state.record_training("b", NOW + timedelta(days=7))
    after = waits(fleet, 14)
    assert not fleet.tick(request.tags["mlops/assessment"]).run_requests
    assert missed(fleet, after) == pytest.approx(once)


def test_every_window_that_waited_counts_though_one_tick_sees_several(fleet: Fleet) -> None:
    fleet.state.record_candidate("b", "b1", rows=1_000, seconds=2.0)
    fleet.state.record_training("b", NOW - timedelta(days=7))
    for day in (0, 7):
        waits(fleet, day)
    assert only(fleet.tick()).tags["mlops/model"] == "b"


def test_waiting_costs_a_model_nothing_of_which_nobody_says_what_a_training_is_worth(fleet: Fleet) -> None:
    fleet.state.record_candidate("b", "b1", rows=1_000, seconds=2.0)
    for day in range(0, 70, 7):
        fleet.assess("b", day=day, metric="roc_auc")
    assert not fleet.tick().run_requests
