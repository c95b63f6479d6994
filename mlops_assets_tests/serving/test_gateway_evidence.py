"""What the gateway serves has valid evidence and the newest release, whatever the registry's aliases say."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.governance.signatures import Signer
from mlops_assets.registry.port import CHALLENGER, CHAMPION, EVIDENCE_TAG, RELEASE_TAG
from mlops_assets.registry.proof import read_evidence, write_evidence
from mlops_assets.serving.marks import Mark, Marks
from mlops_assets.specs.durations import utc_now
from mlops_assets_tests.vouching import evidence_of, record_of, rules_of

ROW = {"dataframe_records": [{"x": 1.0}]}


@pytest.fixture
def inside(own_fleet: Any, gateway_in_process: Any) -> Any:
    with gateway_in_process(own_fleet) as made:
        yield made


def champion(inside: Any) -> str | None:
    inside.settle()
    route = inside.router.table.routes.get("m")
    return route.champion if route else None


def problems(inside: Any) -> list[tuple[str, str | None]]:
    return [(p.kind, p.version) for p in inside.router.table.problems]


def told(inside: Any) -> str:
    return " ".join(p.message for p in inside.router.table.problems)


def with_evidence(fleet: Any, version: str, evidence: Any, signer: Signer | None = None) -> None:
    """Give a version other evidence, signed by the platform unless by somebody else."""
    run = fleet.registry.version("m", version).run_id
    write_evidence(fleet.registry, run, evidence, signer or fleet.signer)
    fleet.registry.set_tag("m", version, EVIDENCE_TAG, evidence.digest)


def evidence(fleet: Any, version: str) -> Any:
    return read_evidence(fleet.registry, fleet.registry.version("m", version), fleet.signer.verifier)


def test_an_alias_moved_by_hand_changes_nothing_but_is_reported(inside: Any, own_fleet: Any) -> None:
    own_fleet.promote("m", "1")
    assert champion(inside) == "1"
    own_fleet.registry.set_alias("m", CHAMPION, "2")  # evidence it has, but nobody released it
    assert champion(inside) == "1"
    assert problems(inside) == [("out_of_band", "2")]
    assert "never released; its alias was moved out of band" in told(inside)
    assert inside.client.post("/models/m/invocations", json=ROW).json()["predictions"] == [1.0]
    own_fleet.registry.set_alias("m", CHAMPION, "1")
    assert champion(inside) == "1"
    assert problems(inside) == []


def test_an_alias_moved_back_by_hand_to_what_served_before_changes_nothing(
    inside: Any, own_fleet: Any
) -> None:
    own_fleet.hand_over("m", "1")
    assert champion(inside) == "1"
    own_fleet.hand_over("m", "2")
    assert champion(inside) == "2"
    own_fleet.registry.set_alias("m", CHAMPION, "1")
    assert champion(inside) == "2"
    assert problems(inside) == [("out_of_band", "1")]
    assert "release 1 of version 1 was followed by release 2 of version 2" in told(inside)
    own_fleet.hand_over("m", "1")  # by the platform it is the way back
    assert champion(inside) == "1"
    assert problems(inside) == []


def test_a_release_of_another_version_is_worth_nothing(inside: Any, own_fleet: Any) -> None:
    own_fleet.promote("m", "1")
    assert champion(inside) == "1"
    stolen = own_fleet.registry.version("m", "1").tags[RELEASE_TAG]
    own_fleet.registry.set_tag("m", "2", RELEASE_TAG, stolen)
    own_fleet.registry.set_alias("m", CHAMPION, "2")
    assert champion(inside) == "1"
    assert "its release is for m version 1" in told(inside)


@pytest.mark.parametrize("content", ["", "{}", "nonsense", "[]"])
def test_a_release_that_is_none_is_worth_nothing(inside: Any, own_fleet: Any, content: str) -> None:
    own_fleet.promote("m", "1")
    assert champion(inside) == "1"
    own_fleet.registry.set_tag("m", "2", RELEASE_TAG, content)
    own_fleet.registry.set_alias("m", CHAMPION, "2")
    assert champion(inside) == "1"
    assert len(problems(inside)) == 1


def test_taking_the_release_away_takes_nothing_back(inside: Any, own_fleet: Any) -> None:
    own_fleet.hand_over("m", "1")
    own_fleet.hand_over("m", "2")
    assert champion(inside) == "2"
    own_fleet.registry.client.delete_model_version_tag("m", "2", RELEASE_TAG)
    own_fleet.registry.set_alias("m", CHAMPION, "1")
    assert champion(inside) == "2"
    own_fleet.registry.set_alias("m", CHAMPION, "2")
    assert champion(inside) == "2"
    assert problems(inside) == []


def _unknown_key(fleet: Any, tmp_path: Path) -> None:
    # Not the same content: that would take the place of the good one, which other tests read.
    changed = evidence(fleet, "2").model_copy(update={"owner": "team:mallory"})
    with_evidence(fleet, "2", changed, Signer.for_home(tmp_path / "stranger"))


def _of_another_candidate(fleet: Any, tmp_path: Path) -> None:
    with_evidence(fleet, "2", evidence(fleet, "1"))


def _without(gate: str) -> Any:
    def change(fleet: Any, tmp_path: Path) -> None:
        good = evidence(fleet, "2")
        with_evidence(
            fleet, "2", good.model_copy(update={"gates": tuple(r for r in good.gates if r.gate != gate)})
        )

    return change


def _failed(gate: str, **figures: float) -> Any:
    def change(fleet: Any, tmp_path: Path) -> None:
        good = evidence(fleet, "2")
        kept = tuple(r for r in good.gates if r.gate != gate)
        bad = record_of(gate, good.subject, good.rules, **figures)
        with_evidence(fleet, "2", good.model_copy(update={"gates": (*kept, bad)}))

    return change


def _twice(fleet: Any, tmp_path: Path) -> None:
    good = evidence(fleet, "2")
    with_evidence(fleet, "2", good.model_copy(update={"gates": (*good.gates, good.gates[0])}))


def _expired(fleet: Any, tmp_path: Path) -> None:
    good = evidence(fleet, "2")
    with_evidence(fleet, "2", good.model_copy(update={"made_at": utc_now() - timedelta(days=5000)}))


def _under_a_lax_policy(fleet: Any, tmp_path: Path) -> None:
    good = evidence(fleet, "2")
    lax = rules_of(calibration={"max_error": 1.0})
    kept = tuple(r for r in good.gates if r.gate != "calibration")
    passed_then = record_of("calibration", good.subject, lax)
    with_evidence(fleet, "2", evidence_of(good.subject, lax, gates=(*kept, passed_then)))


def _not_required_then(fleet: Any, tmp_path: Path) -> None:
    good = evidence(fleet, "2")
    lax = rules_of(calibration={"required": False})
    kept = tuple(r for r in good.gates if r.gate != "calibration")
    with_evidence(fleet, "2", evidence_of(good.subject, lax, gates=kept))


def _gone(fleet: Any, tmp_path: Path) -> None:
    fleet.registry.set_tag("m", "2", EVIDENCE_TAG, "f" * 64)


def _no_tag(fleet: Any, tmp_path: Path) -> None:
    fleet.registry.client.delete_model_version_tag("m", "2", EVIDENCE_TAG)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_no_tag, "it has no evidence"),
        (_gone, "its evidence ffffffffffff is gone"),
        (_unknown_key, "is not signed with the platform key"),
        (_of_another_candidate, "the evidence is of m candidate"),
        (_without("label_noise"), "gate label_noise has not judged"),
        (_failed("calibration", max_error=0.9), "gate calibration refused"),
        (_failed("calibration", max_error=float("nan")), "is not a number"),
        (_twice, "judged 2 times in one record"),
        (_expired, "the evidence expired on"),
        (_under_a_lax_policy, "passed under a policy looser than today's"),
        (_not_required_then, "gate calibration has not judged"),
    ],
)
def test_evidence_that_is_not_in_order_lets_nothing_load(
    inside: Any, own_fleet: Any, tmp_path: Path, change: Any, said: str
) -> None:
    own_fleet.promote("m", "1")
    assert champion(inside) == "1"
    change(own_fleet, tmp_path)
    own_fleet.registry.set_alias("m", CHAMPION, "2")
    assert champion(inside) == "1"
    assert problems(inside) == [("evidence_refused", "2")]
    assert said.replace("passed under", "under") in told(inside)
    own_fleet.registry.set_alias("m", CHAMPION, "1")
    own_fleet.registry.set_alias("m", CHALLENGER, "2")
    inside.settle()
    refused = inside.client.post("/v2/models/m/versions/2/infer", json={})
    assert refused.status_code == 404, "not even by its number"


def test_a_gateway_that_starts_finds_what_served_by_right_although_the_alias_was_moved(
    own_fleet: Any, gateway_in_process: Any, tmp_path: Path
) -> None:
    own_fleet.hand_over("m", "1")
    own_fleet.hand_over("m", "2")
    signed = own_fleet.registry.version("m", "2").tags[RELEASE_TAG]
    own_fleet.registry.set_alias("m", CHAMPION, "1")
    marks = Marks(None, lambda: {"m": Mark("2", 2, signed)})
    with gateway_in_process(own_fleet, marks=marks) as inside:
        assert champion(inside) == "2"
        assert problems(inside) == [("out_of_band", "1")]
    own_fleet.registry.set_alias("m", CHAMPION, "3")
    with gateway_in_process(own_fleet, marks=marks, log_path=tmp_path / "log") as inside:
        assert champion(inside) == "2"
        assert problems(inside) == [("out_of_band", "3")]


def test_marks_are_remembered_and_a_broken_file_is_no_obstacle(tmp_path: Path) -> None:
    file = tmp_path / "served.json"
    Marks(file).set("m", Mark("3", 7, "signed"))
    assert Marks(file).of("m") == Mark("3", 7, "signed")
    marks = Marks(file, lambda: {"m": Mark("2", 5, "older")})
    assert marks.catch_up() == []
    assert marks.of("m") == Mark("3", 7, "signed")
    marks = Marks(file, lambda: {"m": Mark("4", 9, "newer")})
    assert marks.catch_up() == ["m"]
    assert marks.of("m") == Marks(file).of("m") == Mark("4", 9, "newer")
    for broken in ("", "[]", "{", '{"m": {}}', '{"m": 3}'):
        file.write_text(broken)
        assert Marks(file).of("m") is None
