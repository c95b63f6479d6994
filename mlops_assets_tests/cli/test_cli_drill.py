"""A drill rehearses the way back on a real gateway, changes nothing, and counts at the next promotion."""

from pathlib import Path

import pytest

from mlops_assets.gateway_process import running_gateway
from mlops_assets.registry.port import RELEASE_TAG
from mlops_assets_tests.lifecycles import Clinic, MakeClinic

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def replaced_home(make_clinic: MakeClinic, champion_home: Path) -> Path:
    """A home in which version 2 took over from version 1."""
    clinic = make_clinic(champion_home)
    project = clinic.project
    project.write_spec(data={"features": [c for c in project.columns if c.startswith("mean_")]})
    assert clinic.run().success
    return clinic.root


@pytest.fixture
def replaced(make_clinic: MakeClinic, replaced_home: Path) -> Clinic:
    """A clinic of the test's own on such a home."""
    return make_clinic(replaced_home)


def test_a_drill_passes_and_changes_nothing(replaced: Clinic) -> None:
    before = replaced.aliases
    ended = replaced.command("drill", "--json")
    assert ended.code == 0, ended.err
    (drill,) = ended.json["drills"]
    assert (drill["champion"], drill["way_back"], drill["passed"]) == ("2", "1", True)
    assert 0 < drill["seconds"] < 10
    assert replaced.aliases == before
    entry = replaced.audit.entries("tumour")[-1]
    assert (entry.action, entry.detail["passed"]) == ("drill", True)


def test_a_way_back_that_is_gone_fails_the_drill_and_the_next_promotion(replaced: Clinic) -> None:
    replaced.registry.set_tag("tumour", "1", RELEASE_TAG, "gone")
    ended = replaced.command("drill", "tumour")
    assert ended.code == 1
    assert "its release is no signed statement" in " ".join(ended.out.split())
    assert "drill" not in replaced.aliases


def test_a_model_without_a_way_back_is_named(serving_clinic: Clinic) -> None:
    ended = serving_clinic.command("drill", "tumor")
    assert ended.code == 2
    assert "tumor has no previous champion" in ended.err
    none = serving_clinic.command("drill")
    assert (none.code, none.out.strip()) == (0, "no model has a way back yet")


@pytest.mark.usefixtures("warm_gateways")
def test_a_gateway_that_asks_who_calls_lets_drills_and_feedback_in(replaced: Clinic, tmp_path: Path) -> None:
    labels = tmp_path / "labels.ndjson"
    labels.write_text('{"prediction_id": "nobody", "label": 1, "observed_at": "2024-01-01"}\n')
    assert replaced.command("keys", "add", "somebody").code == 0
    with running_gateway(replaced.home):
        drill = replaced.command("drill")
        feedback = replaced.command("feedback", "tumour", labels)
    assert drill.code == 0, drill.out
    assert "no prediction of tumour has the id 'nobody'" in feedback.err
