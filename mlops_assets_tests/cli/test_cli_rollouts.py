"""A version whose spec asks for a canary goes its way, and people may hold it, hasten it or end it."""

from typing import Any

import dagster as dg
import pytest

from mlops_assets.resources import RESOURCES
from mlops_assets_tests.lifecycles import Clinic

pytestmark = pytest.mark.slow


@pytest.fixture
def rolling(serving_clinic: Clinic) -> Clinic:
    """A clinic in which version 2 is on its way beside version 1."""
    project = serving_clinic.project
    project.write_spec(
        data={"features": [c for c in project.columns if c.startswith("mean_")]},
        rollout={"strategy": "canary", "shadow": "0h", "canary": [5, 25, 50]},
    )
    launched = serving_clinic.run()
    assert launched.success, launched.failures
    return serving_clinic


def status(clinic: Clinic) -> Any:
    ended = clinic.command("status", "tumour", "--json")
    assert ended.code == 0, ended.err
    return ended.json


def entered(clinic: Clinic) -> list[str]:
    return [f"{e.action} {e.detail.get('state', '')}".strip() for e in clinic.audit.entries("tumour")]


def test_the_way_of_a_version_is_shown_held_and_ended(rolling: Clinic) -> None:
    assert (rolling.aliases["champion"], rolling.aliases["challenger"]) == ("1", "2")
    made = rolling.materialization("deployed_endpoint").metadata
    assert (made["rollout"].value, made["champion"].value) == ("canary 5 %", 1)

    told = status(rolling)["rollout"]
    assert (told["challenger"], told["champion"], told["percent"]) == ("2", "1", 5)
    assert told["steps"] == ["canary 5 %", "canary 25 %", "canary 50 %"]
    assert told["decision"]["action"] == "wait"
    assert "0 of 500 units with the challenger" in told["decision"]["reason"]
    shown = rolling.command("status", "tumour")
    assert "step 1 of 3, canary 5 %" in " ".join(shown.out.split())

    held = rolling.command("hold", "tumour", "--reason", "not before Monday")
    assert (held.code, held.out.strip()) == (0, "tumour: the rollout of version 2 is held at 5 %")
    assert status(rolling)["rollout"]["state"] == "held"
    assert rolling.command("hold", "tumour", "--off", "--reason", "it is Monday").code == 0

    ended = rolling.command("abort", "tumour", "--reason", "a better one is coming", "--json")
    assert (ended.code, ended.json["state"], ended.json["reason"]) == (0, "ended", "a better one is coming")
    assert rolling.aliases == {"champion": "1"}
    assert status(rolling)["rollout"] is None
    again = rolling.command("abort", "tumour", "--reason", "again")
    assert (again.code, again.out.strip()) == (0, "tumour: no rollout is running; version 1 serves all")
    assert entered(rolling)[-4:] == ["rollout running", "rollout held", "rollout running", "rollout ended"]
    assert rolling.command("audit", "--verify").code == 0


def test_a_person_may_leave_steps_out_and_says_why(rolling: Clinic) -> None:
    assert rolling.command("promote", "tumour", "--reason", " ").code == 2
    ended = rolling.command("promote", "tumour", "--reason", "version 1 fails on winter tumours")
    assert ended.code == 0, ended.err
    assert ended.out.strip() == "tumour: 1 → 2, with steps left out"
    assert (rolling.aliases["champion"], rolling.aliases["previous_champion"]) == ("2", "1")
    assert "challenger" not in rolling.aliases
    back = rolling.command("rollback", "tumour", "--reason", "it was not the winter", "--json")
    assert (back.code, back.json["champion"]) == (0, "1")


def test_who_names_no_rollout_is_told(serving_clinic: Clinic) -> None:
    ended = serving_clinic.command("hold", "tumor", "--reason", "wait")
    assert ended.code == 2
    assert "no rollout of tumor is running (did you mean 'tumour'?)" in ended.err


def test_running_again_goes_on_with_the_same_rollout(rolling: Clinic) -> None:
    before = status(rolling)["rollout"]["serial"]
    assert rolling.run().success
    assert status(rolling)["rollout"]["serial"] == before


def test_the_sensor_looks_at_all_rollouts_and_shows_what_it_sees(
    rolling: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_HOME", str(rolling.root))
    sensor = rolling.definitions.get_repository_def().get_sensor_def("rollouts")
    context = dg.build_sensor_context(
        instance=rolling.instance, resources={"platform": RESOURCES["platform"]}
    )
    told = sensor(context)
    assert isinstance(told, dg.SensorResult)
    (event,) = told.asset_events
    assert event.asset_key == dg.AssetKey(["tumour", "deployed_endpoint"])
    assert event.metadata["challenger_percent"].value == 5
    assert "| error_rate | -1.0000 | +1.0000 | 0 |" in str(event.metadata["bounds"].value)
    assert rolling.command("abort", "tumour", "--reason", "enough").code == 0
    assert isinstance(sensor(context), dg.SkipReason)
