"""What MLflow lets anyone do: an alias moved by hand takes no candidate past the gates."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from mlops_assets_tests.lifecycles import Clinic, Launched

pytestmark = pytest.mark.slow

WIDER = {"features": ["mean_texture", "mean_smoothness", "mean_symmetry", "mean_radius"]}
UP_TO_EVALUATION = ("raw_data", "validated_features", "trained_model", "evaluation")


def crown(clinic: Clinic, run_id: str, **tags: str) -> str:
    """Make a version of a run and the champion of it, as with the MLflow UI."""
    client = MlflowClient(clinic.home.tracking_uri, clinic.home.tracking_uri)
    made = client.create_model_version("tumour", f"runs:/{run_id}/model", run_id, tags=tags)
    client.set_registered_model_alias("tumour", "champion", made.version)
    return str(made.version)


def said(launched: Launched) -> str:
    assert not launched.success
    return " ".join(launched.failures.values())


def test_the_champion_that_counts_is_the_one_that_serves_by_right(serving_clinic: Clinic) -> None:
    clinic = serving_clinic
    clinic.project.write_spec(data=WIDER)
    assert clinic.run(*UP_TO_EVALUATION, "registered_version").success
    first = clinic.registry.version("tumour", "1")
    assert first is not None
    assert crown(clinic, first.run_id) == "3"
    # Whom the alias names is of no consequence: the comparison with version 1 still counts.
    assert clinic.run("deployed_endpoint").success
    assert clinic.aliases == {"champion": "2", "previous_champion": "1"}


def test_a_comparison_with_yesterdays_champion_is_no_reason_to_promote_today(serving_clinic: Clinic) -> None:
    clinic = serving_clinic
    clinic.project.write_spec(data=WIDER)
    assert clinic.run(*UP_TO_EVALUATION).success
    candidate = clinic.record("evaluation")["trained"]["candidate"]
    record = clinic.ledger.find("tumour", candidate, "champion_comparison")
    assert record is not None
    assert record.measurement.facts == {"champion": "1"}
    yesterdays = record.measurement.model_copy(update={"facts": {"champion": "0"}})
    clinic.ledger.file(record.model_copy(update={"measurement": yesterdays}))
    refusal = said(clinic.run("registered_version"))
    assert "compared with champion 0, but the champion is now 1; evaluate again" in refusal
    assert clinic.run("evaluation", "registered_version", "deployed_endpoint").success
    assert clinic.aliases == {"champion": "2", "previous_champion": "1"}


@pytest.mark.parametrize("forged", [False, True], ids=["bare", "with the candidate's digest as a tag"])
def test_who_is_made_champion_by_hand_is_not_thereby_vouched_for(
    serving_clinic: Clinic, forged: bool
) -> None:
    clinic = serving_clinic
    weak: dict[str, Any] = {"estimator": "sklearn.dummy.DummyClassifier", "params": {}}
    clinic.project.write_spec(training=weak)
    refused = clinic.run()
    assert {"metric_thresholds", "champion_comparison"} <= set(refused.refused_by)
    trained = clinic.record("evaluation")["trained"]
    crown(clinic, trained["run_id"], **({"mlops.candidate": trained["candidate"]} if forged else {}))
    again = clinic.run("evaluation")
    assert "metric_thresholds" in again.refused_by
    assert "champion_comparison" in again.refused_by
    refusal = said(clinic.run("registered_version"))
    assert "gate metric_thresholds refused" in refusal
    assert "gate champion_comparison refused" in refusal
    newest = clinic.audit.newest("tumour", ("promote", "rollback"))
    assert newest is not None
    assert newest.detail["version"] == "1"


def test_a_package_that_was_altered_in_mlflow_is_not_even_opened(
    serving_clinic: Clinic, tmp_path: Path
) -> None:
    clinic = serving_clinic
    clinic.project.write_spec(data=WIDER)
    assert clinic.run(*UP_TO_EVALUATION).success
    trained = clinic.record("evaluation")["trained"]
    manifest = tmp_path / "manifest.json"
    manifest.write_text("{}")
    client = MlflowClient(clinic.home.tracking_uri, clinic.home.tracking_uri)
    client.log_artifact(trained["run_id"], str(manifest), "model/data/package")
    again = clinic.run("evaluation")
    assert list(again.failures) == ["tumour__evaluation"]
    assert "not signed with the platform key" in said(again)
