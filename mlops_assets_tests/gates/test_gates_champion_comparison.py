"""A policy may let what a training was expected to gain count; the evidence then shows both, and why."""

import pytest

from mlops_assets.specs.policy_file import current_policy, policy_of
from mlops_assets.verdict import judge
from mlops_assets_tests.lifecycles import Clinic

pytestmark = pytest.mark.slow


def test_what_was_expected_of_a_challenger_is_signed_beside_what_the_rows_show(
    serving_clinic: Clinic,
) -> None:
    clinic, gate = serving_clinic, "champion_comparison"
    policy = clinic.project.folder.parent / "policy.yaml"
    policy.write_text("all: {gates: {champion_comparison: {weighs_expectation: true}}}\n")
    wider = ["mean_texture", "mean_smoothness", "mean_symmetry", "mean_radius"]
    clinic.project.write_spec(data={"features": wider})
    assert clinic.run().success
    assert clinic.aliases == {"champion": "2", "previous_champion": "1"}
    record = clinic.ledger.find("tumour", clinic.record("evaluation")["trained"]["candidate"], gate)
    assert record is not None
    told = {figure.name: figure for figure in record.measurement.figures}
    # It was trained on the same rows, so nothing was to be expected; windows differ all the same.
    assert told["expected gain (logarithm of the loss)"].value == pytest.approx(0.0)
    assert told["expected gain (logarithm of the loss)"].note.startswith(
        "1.00 times the rows; learned from 0"
    )
    assert told["standard deviation of the expected gain"].value == pytest.approx(0.05)
    verdict = judge(record.measurement, policy_of(policy).tiers["minimal"].gates.champion_comparison)
    assert verdict.passed
    assert verdict.limits["weighed_confidence"] == 0.95
    # What this comparison shows is learned from, but not expected of the same candidate when it runs again.
    assert len(clinic.state.outcomes()["tumour"]) == 1
    shown = clinic.check("evaluation", gate)
    assert "confidence by rows and expectation" in str(shown.metadata["measured"])
    alone = current_policy().tiers["minimal"].gates.champion_comparison
    assert "weighed_confidence" not in judge(record.measurement, alone).limits
