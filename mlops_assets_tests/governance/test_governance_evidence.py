"""Evidence lets a candidate go on only if every required gate vouches for this very candidate, today."""

import json
import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import EvidenceError
from mlops_assets.governance.envelope import seal
from mlops_assets.governance.evidence import Evidence, Objection, objections
from mlops_assets.governance.signatures import Signer
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.gate_rules import EVIDENT
from mlops_assets.specs.policy import Rules
from mlops_assets.specs.strictness import loosenings
from mlops_assets_tests.vouching import CANDIDATE, evidence_of, record_of, rules_of, subject_of


def found(evidence: Evidence, rules: Rules | None = None, **changes: Any) -> list[Objection]:
    asked = {"candidate": CANDIDATE, "model": "small", "now": utc_now(), **changes}
    return objections(evidence, rules=rules or evidence.rules, **asked)


def with_gate(gate: str, **changes: Any) -> Evidence:
    """Return evidence in which one gate's record is another."""
    evidence = evidence_of()
    other = record_of(gate, evidence.subject, evidence.rules).model_copy(update=changes)
    kept = tuple(record for record in evidence.gates if record.gate != gate)
    return evidence.model_copy(update={"gates": (*kept, other)})


def measuring(gate: str, value: float | None, evidence: Evidence | None = None) -> Evidence:
    """Return evidence in which one gate measured something else for its first limit."""
    evidence = evidence or evidence_of()
    name = next(iter(evidence.rules.gates.of(gate).limits()))
    other = record_of(gate, evidence.subject, evidence.rules, **{name: value})
    kept = tuple(record for record in evidence.gates if record.gate != gate)
    return evidence.model_copy(update={"gates": (*kept, other)})


def beyond(gate: str, rules: Rules) -> float:
    way, limit = next(iter(rules.gates.of(gate).limits().values()))
    return limit + 1 if way == "lower" else limit - 1


def test_a_candidate_that_every_gate_vouches_for_goes_on() -> None:
    assert found(evidence_of()) == []


@pytest.mark.parametrize("gate", EVIDENT)
def test_one_gate_is_enough_to_refuse_each_way_with_its_own_message(gate: str) -> None:
    evidence = evidence_of()
    rules, subject = evidence.rules, evidence.subject.judged_by(gate)[:12]

    kept = tuple(record for record in evidence.gates if record.gate != gate)
    missing = found(evidence.model_copy(update={"gates": kept}))
    assert missing == [Objection("missing_gate", f"gate {gate} has not judged {subject}")]

    twice = (*evidence.gates, record_of(gate, evidence.subject, rules))
    duplicate = found(evidence.model_copy(update={"gates": twice}))
    assert duplicate == [Objection("duplicate_gate", f"gate {gate} judged 2 times in one record")]

    (failed,) = found(measuring(gate, beyond(gate, rules)))
    assert failed.kind == "failed_gate"
    assert failed.message.startswith(f"gate {gate} refused {subject}: ")

    (not_measured,) = found(measuring(gate, None))
    assert not_measured.kind == "failed_gate"
    assert "was not measured" in not_measured.message

    (not_a_number,) = found(measuring(gate, math.nan))
    assert not_a_number.kind == "not_a_number"
    assert "is not a number" in not_a_number.message

    (other,) = found(with_gate(gate, subject="e" * 64))
    assert other == Objection("other_candidate", f"gate {gate} judged small {'e' * 12}, not {subject}")

    (elsewhere,) = found(with_gate(gate, model="other"))
    assert elsewhere.kind == "other_candidate"


@pytest.mark.parametrize("gate", EVIDENT)
def test_a_policy_that_became_stricter_counts_at_once_and_one_that_became_looser_changes_nothing(
    gate: str,
) -> None:
    evidence = evidence_of()
    way, limit = next(iter(evidence.rules.gates.of(gate).limits().values()))
    name = next(iter(evidence.rules.gates.of(gate).limits()))
    step = 1 if way == "higher" else -1
    if "." in name:
        pytest.skip("thresholds are the spec's")
    (stricter,) = found(evidence, rules_of(**{gate: {name: limit + step}}))
    assert stricter.kind == "other_policy"
    assert stricter.message.startswith(
        f"gate {gate} passed {evidence.subject.judged_by(gate)[:12]} under a policy"
    )
    assert found(evidence, rules_of(**{gate: {name: limit - step}})) == []


def test_a_gate_that_measured_with_less_certainty_than_is_asked_for_today_has_to_measure_again() -> None:
    (objection,) = found(evidence_of(), rules_of(metric_thresholds={"confidence": 0.99}))
    assert objection == Objection(
        "other_policy",
        "gate metric_thresholds measured under a looser policy (confidence 0.9, not 0.99); evaluate again",
    )


@pytest.mark.parametrize(("alone", "kinds"), [(0.96, []), (0.9, ["other_policy"])])
def test_what_won_with_an_expectation_is_judged_by_the_rows_alone_once_the_policy_weighs_it_no_more(
    alone: float, kinds: list[str]
) -> None:
    weighing = rules_of(champion_comparison={"weighs_expectation": True})
    evidence = evidence_of(rules=weighing)
    figures = {"confidence": alone, "weighed_confidence": 0.97}
    record = record_of("champion_comparison", evidence.subject, weighing, **figures)
    kept = tuple(r for r in evidence.gates if r.gate != "champion_comparison")
    evidence = evidence.model_copy(update={"gates": (*kept, record)})
    assert found(evidence) == []
    assert [o.kind for o in found(evidence, rules_of())] == kinds
    # And what was measured before anything was weighed stays good under a policy that does.
    assert found(evidence_of(), weighing) == []


def test_a_gate_that_is_required_since_today_has_to_be_there() -> None:
    then = rules_of(cost={"required": False})
    evidence = evidence_of(rules=then)
    without = evidence.model_copy(update={"gates": tuple(r for r in evidence.gates if r.gate != "cost")})
    assert found(without) == []
    assert [o.kind for o in found(without, rules_of())] == ["missing_gate"]


def test_evidence_grows_old_by_the_shorter_of_both_lifetimes() -> None:
    evidence = evidence_of()
    lifetime = evidence.rules.evidence.lifetime
    assert found(evidence, now=evidence.made_at + lifetime) == []
    (expired,) = found(evidence, now=evidence.made_at + lifetime + timedelta(seconds=1))
    assert expired.kind == "expired"
    assert f"expired on {evidence.made_at + lifetime:%Y-%m-%d}" in expired.message
    short = evidence.rules.model_copy(
        update={"evidence": evidence.rules.evidence.model_copy(update={"lifetime": timedelta(days=1)})}
    )
    assert [o.kind for o in found(evidence, short, now=utc_now() + timedelta(days=2))] == ["expired"]


def test_signing_old_records_again_does_not_make_them_younger() -> None:
    lifetime = rules_of().evidence.lifetime
    long_ago = utc_now() - lifetime - timedelta(days=1)
    assert [o.kind for o in found(with_gate("calibration", at=long_ago))] == ["expired"]
    assert found(with_gate("champion_comparison", at=long_ago)) == []


def test_evidence_from_the_future_is_no_evidence() -> None:
    assert found(evidence_of(made_at=utc_now() + timedelta(minutes=4))) == []
    (objection,) = found(evidence_of(made_at=utc_now() + timedelta(hours=1)))
    assert "dated in the future" in objection.message


@pytest.mark.parametrize(("what", "value"), [("candidate", "d" * 64), ("model", "other")])
def test_evidence_of_something_else_is_not_even_looked_at(what: str, value: str) -> None:
    (objection,) = found(evidence_of(), **{what: value})
    assert objection.kind == "other_candidate"


def test_what_was_sealed_is_read_again_and_known_by_the_same_digest(signer: Signer) -> None:
    evidence = evidence_of(risk="high")
    read = Evidence.unsealed(evidence.sealed(signer), signer.verifier)
    assert read == evidence
    assert read.digest == evidence.digest
    assert read.policy == evidence.policy


def test_evidence_that_another_key_signed_is_refused(signer: Signer, tmp_path: Any) -> None:
    stranger = Signer.for_home(tmp_path)
    with pytest.raises(EvidenceError, match="is not signed with the platform key"):
        Evidence.unsealed(evidence_of().sealed(stranger), signer.verifier)


@given(st.data())
def test_a_change_of_any_byte_is_found(signer: Signer, data: st.DataObject) -> None:
    sealed = bytearray(SEALED.setdefault("bytes", evidence_of(subject_of()).sealed(signer).encode()))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != sealed[place]))
    try:
        read = Evidence.unsealed(bytes(sealed), signer.verifier)
    except EvidenceError:
        return
    # The only bytes that do not count are those that JSON or base64 read the same.
    assert read == Evidence.unsealed(SEALED["bytes"], signer.verifier)


SEALED: dict[str, bytes] = {}


def test_a_statement_of_another_kind_is_no_evidence(signer: Signer) -> None:
    sealed = json.loads(evidence_of().sealed(signer))
    with pytest.raises(EvidenceError, match="states 'release/1', not 'evidence/1'"):
        Evidence.unsealed(json.dumps({**sealed, "kind": "release/1"}).encode(), signer.verifier)
    for broken in (b"", b"[]", b"{}", b"null", b'{"kind": 1}', b"[" * 100_000, b"\xff"):
        with pytest.raises(EvidenceError):
            Evidence.unsealed(broken, signer.verifier)


def test_evidence_that_was_signed_before_costs_were_compared_is_what_it_was(signer: Signer) -> None:
    value = evidence_of().plain()
    del value["rules"]["rollout"]["guards"]["cost"]
    read = Evidence.unsealed(seal("evidence/1", value, signer), signer.verifier)
    assert read.plain() == value
    assert Evidence.unsealed(read.sealed(signer), signer.verifier) == read
    assert not list(loosenings(evidence_of().rules.rollout, read.rules.rollout))
