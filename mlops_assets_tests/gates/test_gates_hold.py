"""A gate that refused holds: in its own run, in any later run, and whatever Dagster has been told."""

from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest

from mlops_assets.stages.stage import LIFECYCLE
from mlops_assets_tests.lifecycles import Clinic, Launched, MakeClinic, table_of
from mlops_assets_tests.whole_processes import tumours

pytestmark = pytest.mark.slow

_ON = {
    "raw_data": ["data_contract"],
    "validated_features": ["feature_verification", "label_noise"],
    "trained_model": ["reproducibility", "components"],
    "evaluation": [
        "metric_thresholds",
        "champion_comparison",
        "slices",
        "fairness",
        "calibration",
        "robustness",
        "explanations",
        "serving_budget",
        "cost",
        "model_card",
    ],
    "deployed_endpoint": ["approvals", "smoke_test", "online_offline_parity"],
}
STAGE_OF = {gate: stage for stage, gates in _ON.items() for gate in gates}
# What of the spec makes each gate refuse.
FEATURES = ["mean_texture", "mean_smoothness", "mean_symmetry"]
REFUSED: dict[str, dict[str, Any]] = {
    "data_contract": {
        "data": {"features": [*FEATURES, {"name": "mean_radius", "range": [0, 20]}]},
    },
    "feature_verification": {"data": {"features": [*FEATURES, "known_tomorrow"]}},
    "metric_thresholds": {
        "data": {"features": [*FEATURES, "mean_radius"]},
        "evaluation": {"thresholds": {"roc_auc": {"min": 0.9999}}},
    },
    "champion_comparison": {
        "training": {"estimator": "sklearn.dummy.DummyClassifier", "params": {}},
        "evaluation": {"thresholds": {}},
    },
}


@dataclass(frozen=True)
class Refusal:
    """A clinic with a champion, whose challenger one gate refused."""

    gate: str
    clinic: Clinic
    launched: Launched

    @property
    def rest(self) -> tuple[str, ...]:
        """The stages that the gate keeps from running."""
        return LIFECYCLE[LIFECYCLE.index(STAGE_OF[self.gate]) + 1 :]


@pytest.fixture(scope="module", params=REFUSED)
def refusal(request: pytest.FixtureRequest, make_clinic: MakeClinic, champion_home: Any) -> Refusal:
    clinic = make_clinic(champion_home)
    clinic.project.write_rows([{**row, "known_tomorrow": row["benign"]} for row in tumours()])
    clinic.project.write_spec(**REFUSED[request.param])
    return Refusal(request.param, clinic, clinic.run())


def test_every_gate_is_a_blocking_check_on_the_stage_it_judges(watched_clinic: Clinic) -> None:
    graph = watched_clinic.definitions.resolve_asset_graph()
    watched = dg.AssetKey(["tumour", "monitoring_report"])  # whose checks tell, and hold nothing back
    of_the_model = [
        key
        for key in graph.asset_check_keys
        if key.asset_key.path[0] == "tumour" and key.asset_key != watched
    ]
    gates = {key.name: (key.asset_key.path[-1], graph.get(key).blocking) for key in of_the_model}
    assert gates == {gate: (stage, True) for gate, stage in STAGE_OF.items()}


def test_nothing_downstream_runs_in_the_same_run(refusal: Refusal) -> None:
    assert not refusal.launched.success
    assert refusal.gate in refusal.launched.refused_by
    assert {STAGE_OF[gate] for gate in refusal.launched.refused_by} == {STAGE_OF[refusal.gate]}
    assert set(refusal.launched.materialized) == set(LIFECYCLE) - set(refusal.rest)


def test_the_check_shows_what_was_measured_the_limit_and_what_offends(refusal: Refusal) -> None:
    shown = refusal.clinic.check(STAGE_OF[refusal.gate], refusal.gate)
    assert not shown.passed
    assert shown.severity == dg.AssetCheckSeverity.ERROR
    assert shown.description
    measured, breaches = (table_of(shown, name) for name in ("measured", "breaches"))
    assert {"figure", "measured", "interval", "limit", "note"} == set(measured[0])
    assert any(row["limit"] for row in measured)
    assert all(row["measured"] for row in measured)
    assert OFFENDS[refusal.gate] in breaches[0]["says"], breaches
    assert shown.metadata["subject"].value


OFFENDS = {
    "data_contract": "mean_radius: values to be between",
    "feature_verification": "what known_tomorrow tells of the target",
    "metric_thresholds": "breaks ≥ 0.9999",
    "champion_comparison": "over champion 1",
}


def test_a_later_run_of_what_is_downstream_is_refused(refusal: Refusal) -> None:
    refuses(refusal, refusal.clinic.run(*refusal.rest))


def test_a_passing_check_that_was_posted_by_hand_opens_nothing(refusal: Refusal) -> None:
    post_passing(refusal.clinic, refusal.gate)
    assert refusal.clinic.check(STAGE_OF[refusal.gate], refusal.gate).passed
    refuses(refusal, refusal.clinic.run(*refusal.rest, checks=False))


def refuses(refusal: Refusal, launched: Launched) -> None:
    """Assert that a run ended where a version would be registered, with the gate's name as the reason."""
    assert not launched.success
    assert set(launched.failures) == {"tumour__registered_version"}
    assert f"gate {refusal.gate} refused" in launched.failures["tumour__registered_version"]
    assert refusal.clinic.aliases == {"champion": "1"}
    assert [v.version for v in refusal.clinic.registry.versions("tumour")] == ["1"]


def post_passing(clinic: Clinic, *gates: str) -> None:
    """Do what the stock webserver lets anyone do."""
    for gate in gates:
        clinic.instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(
                asset_key=dg.AssetKey(["tumour", STAGE_OF[gate]]), check_name=gate, passed=True
            )
        )


def test_a_run_without_checks_registers_nothing_whatever_was_posted(clinic: Clinic) -> None:
    gates = [gate for gate, stage in STAGE_OF.items() if stage != "deployed_endpoint"]
    road = clinic.run(checks=False)
    assert road.materialized == list(LIFECYCLE[:4])
    said = road.failures["tumour__registered_version"]
    assert [gate for gate in gates if f"gate {gate} has not judged" in said] == gates
    post_passing(clinic, *gates)
    again = clinic.run("registered_version", "deployed_endpoint")
    assert again.failures == {"tumour__registered_version": said}
    assert clinic.registry.versions("tumour") == []
    # The gates may still judge, in a run of their own stages; then all is as if they had at once.
    assert clinic.run(*LIFECYCLE[:4]).success
    assert clinic.run("registered_version").success
