"""A release lets one version serve: other versions, packages, gates or people do not count."""

from datetime import timedelta
from typing import Any

import pytest

from mlops_assets.errors import EvidenceError
from mlops_assets.governance.evidence import Evidence, Objection
from mlops_assets.governance.release import Release, release_objections
from mlops_assets.governance.signatures import Signer
from mlops_assets.specs.gate_rules import AT_THE_ENDPOINT
from mlops_assets_tests.vouching import CANDIDATE, evidence_of, record_of, release_of, rules_of

EVIDENCE = evidence_of()


def found(release: Release, evidence: Evidence = EVIDENCE, **changes: Any) -> list[Objection]:
    asked = {
        "model": "small",
        "version": "1",
        "candidate": CANDIDATE,
        "mlflow_run": "run",
        "rules": evidence.rules,
        "approvers": (),
        **changes,
    }
    return list(release_objections(release, evidence, **asked))


def test_a_release_lets_its_version_serve() -> None:
    assert found(release_of(EVIDENCE)) == []


@pytest.mark.parametrize(
    ("what", "value"), [("model", "other"), ("version", "2"), ("candidate", "d" * 64), ("mlflow_run", "x")]
)
def test_a_release_for_something_else_does_not(what: str, value: str) -> None:
    (objection,) = found(release_of(EVIDENCE), **{what: value})
    assert objection.kind == "other_candidate"
    assert objection.message.startswith(f"the release is for {what} ")


def test_a_release_rests_on_the_very_evidence_it_names() -> None:
    (objection,) = found(release_of(EVIDENCE), evidence_of(owner="team:other"))
    assert objection.message.startswith("the release is for evidence ")


@pytest.mark.parametrize("gate", AT_THE_ENDPOINT)
def test_the_endpoint_has_to_be_found_in_order(gate: str) -> None:
    rules, subject = EVIDENCE.rules, EVIDENCE.subject
    others = tuple(r for r in release_of(EVIDENCE).endpoint if r.gate != gate)
    good = record_of(gate, subject, rules)
    (limit,) = rules.gates.of(gate).limits()
    cases = {
        "missing_gate": others,
        "duplicate_gate": (*others, good, good),
        "other_candidate": (*others, good.model_copy(update={"subject": "e" * 64})),
        "failed_gate": (*others, record_of(gate, subject, rules, **{limit: 1e9})),
    }
    for kind, endpoint in cases.items():
        assert [o.kind for o in found(release_of(EVIDENCE, endpoint=endpoint))] == [kind]


def test_high_risk_does_not_serve_without_people() -> None:
    evidence = evidence_of(risk="high")
    (objection,) = found(release_of(evidence), evidence)
    assert objection.kind == "not_approved"
    assert objection.message == "it is not approved: 0 of 2 approvals; waiting for 2 more"


def test_people_who_were_needed_then_are_needed_now() -> None:
    evidence = evidence_of(risk="high")
    nobody = rules_of("limited")
    assert [o.kind for o in found(release_of(evidence), evidence, rules=nobody)] == ["not_approved"]


def test_what_was_sealed_is_read_again(signer: Signer) -> None:
    release = release_of(EVIDENCE, action="rollback", lapsed_until=EVIDENCE.made_at + timedelta(days=7))
    assert Release.unsealed(release.sealed(signer), signer.verifier) == release


def test_evidence_is_no_release(signer: Signer) -> None:
    with pytest.raises(EvidenceError, match="states 'evidence/1', not 'release/1'"):
        Release.unsealed(EVIDENCE.sealed(signer), signer.verifier)
