"""A feature that jumps by itself is refused; one that a team defined anew is not taken for a jump."""

from typing import Any

import pytest

from mlops_assets.governance.evidence import learnt_from
from mlops_assets_tests.lifecycles import Clinic, Launched
from mlops_assets_tests.whole_processes import tumours

pytestmark = pytest.mark.slow


def in_another_unit(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "mean_texture": float(row["mean_texture"]) * 25.4}


def judge(clinic: Clinic) -> Launched:
    return clinic.run("raw_data", "validated_features")


def test_a_source_that_delivers_another_unit_is_refused(serving_clinic: Clinic) -> None:
    serving_clinic.project.write_rows([in_another_unit(row) for row in tumours()])
    assert judge(serving_clinic).refused_by == ["feature_verification"]
    shown = serving_clinic.check("validated_features", "feature_verification")
    assert "shift of mean_texture since the last training" in (shown.description or "")


def test_a_column_that_is_no_longer_declared_is_not_missed_and_the_others_are_compared(
    serving_clinic: Clinic,
) -> None:
    serving_clinic.project.write_spec(data={"features": ["mean_texture", "mean_smoothness"]})
    assert judge(serving_clinic).success
    serving_clinic.project.write_rows([in_another_unit(row) for row in tumours()])
    assert judge(serving_clinic).refused_by == ["feature_verification"]


def test_a_challenger_without_a_column_is_still_compared_with_the_champion(serving_clinic: Clinic) -> None:
    serving_clinic.project.write_spec(data={"features": ["mean_texture", "mean_smoothness"]})
    launched = serving_clinic.run("raw_data", "validated_features", "trained_model", "evaluation")
    compared = serving_clinic.record("evaluation")["comparison"]
    assert compared["champion"] == "1"
    assert compared["problem"] is None
    assert compared["gain"] < 0, "less of what it could know makes it no better"
    assert launched.refused_by == ["champion_comparison"]


def test_features_of_another_function_are_not_compared(serving_clinic: Clinic) -> None:
    (serving_clinic.project.folder / "features.py").write_text(
        "def compute(rows):\n    return rows[['mean_texture', 'mean_smoothness']] * 25.4\n"
    )
    serving_clinic.project.write_spec(data={"feature_function": "clinic.defs.tumour.features:compute"})
    assert judge(serving_clinic).success


def test_the_champions_own_features_keep_the_verdict_they_were_admitted_with(serving_clinic: Clinic) -> None:
    features = serving_clinic.record("validated_features")
    subject = learnt_from(features["raw"]["digest"], features["digest"])
    before = serving_clinic.ledger.find("tumour", subject, "feature_verification")
    assert before is not None
    assert any(f.note == "nothing to compare" for f in before.measurement.figures)
    assert judge(serving_clinic).success
    assert serving_clinic.ledger.find("tumour", subject, "feature_verification") == before


def test_a_model_trained_otherwise_on_the_champions_features_is_judged_by_its_own_spec(
    serving_clinic: Clinic,
) -> None:
    serving_clinic.project.write_spec(training={"params": {"C": 0.5}})
    serving_clinic.run("raw_data", "validated_features", "trained_model", "evaluation")
    refusal = serving_clinic.run("registered_version").failures["tumour__registered_version"]
    assert "gate champion_comparison refused" in refusal
    assert "evaluate again" not in refusal
