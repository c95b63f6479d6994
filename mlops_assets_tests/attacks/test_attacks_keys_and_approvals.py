"""What somebody can try with keys: sign with another one, for another purpose, twice, too late, for oneself.

A version of high risk serves when two people who had no part in it have said so about this very version.
"""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mlops_assets.errors import ApprovalError, EvidenceError, PackageError
from mlops_assets.governance import ssh_signatures
from mlops_assets.governance.approvals import SignedDecision
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.release import Release
from mlops_assets.governance.signatures import Signer
from mlops_assets.registry.port import CHAMPION, EVIDENCE_TAG, RELEASE_TAG
from mlops_assets.registry.proof import Refused, write_evidence
from mlops_assets.specs.durations import utc_now
from mlops_assets_tests.attacks.production import KEYS, Watched, approver, some
from mlops_assets_tests.fleets import Fleet
from mlops_assets_tests.vouching import evidence_of, release_of, subject_of

SECOND_KEY = Ed25519PrivateKey.generate()
TODAY = utc_now().date()
DAY = timedelta(days=1)


@pytest.fixture
def version(watched: Watched) -> str:
    """A version of high risk that Grace has approved, and nobody else."""
    made = watched.production.add(5.0, risk="high", authors=("Tim", "tim@example.com")).version
    watched.production.decisions.file(watched.production.decided("Grace", made))
    return made


def approvers(watched: Watched, *listed: Any) -> None:
    """Have the policy list these people, and Grace."""
    policy = watched.production.policy
    watched.production.policy = replace(policy, approvers=(approver("Grace"), *listed))


def stays_out(watched: Watched, version: str) -> None:
    """Assert that the version is not promoted for want of approvals, and does not serve by force either."""
    with pytest.raises(Refused, match="it is not approved: 1 of 2 approvals"):
        watched.production.promote(version)
    watched.production.crown(version)
    watched.holds("out_of_band", "never released")


def does_not_count(watched: Watched, version: str, signed: SignedDecision, said: str) -> None:
    """Assert that a decision is refused with a reason, and that it opens nothing where it got in anyhow."""
    with pytest.raises(ApprovalError, match=said):
        watched.production.decisions.file(signed)
    watched.production.audit.append(
        signed.decision.decision, "m", version=version, signed=signed.model_dump(mode="json")
    )
    stays_out(watched, version)


def test_two_people_are_enough(watched: Watched, version: str) -> None:
    """What the attacks below try to do without."""
    watched.production.decisions.file(watched.production.decided("Ada", version))
    watched.production.promote(version)
    watched.holds(None, champion=(version, 5.0))


# --- whose key --------------------------------------------------------------------------------------------


def test_an_approval_by_somebody_who_is_not_listed(watched: Watched, version: str) -> None:
    does_not_count(
        watched, version, watched.production.decided("Mallory", version), "no approver has this key"
    )


def test_an_approval_in_the_name_of_somebody_listed(watched: Watched, version: str) -> None:
    forged = watched.production.decided("Mallory", version)
    named = forged.model_copy(update={"key": watched.production.decided("Ada", version).key})
    does_not_count(watched, version, named, "the signature does not belong to what was decided")


def test_an_approval_with_an_expired_key(watched: Watched, version: str) -> None:
    approvers(watched, approver("Ada", valid_until=TODAY - DAY))
    does_not_count(watched, version, watched.production.decided("Ada", version), "the key expired on")


def test_an_approval_with_an_expired_key_dated_back_beyond_the_evidence(
    watched: Watched, version: str
) -> None:
    """It is the signer's word, so it counts by its date; but not for longer than approvals hold."""
    approvers(watched, approver("Ada", valid_until=TODAY - 30 * DAY))
    old = watched.production.decided("Ada", version, at=utc_now() - 40 * DAY)
    does_not_count(watched, version, old, "older than 7d")


def test_an_approval_with_a_revoked_key(watched: Watched, version: str) -> None:
    approvers(watched, approver("Ada", revoked_on=TODAY))
    does_not_count(watched, version, watched.production.decided("Ada", version), "the key was revoked on")


def test_an_approval_with_a_revoked_key_dated_back(watched: Watched, version: str) -> None:
    approvers(watched, approver("Ada", revoked_on=TODAY - DAY))
    back = watched.production.decided("Ada", version, at=utc_now() - 3 * DAY)
    does_not_count(watched, version, back, "the key was revoked on")


def test_an_approval_given_before_the_key_was_revoked(watched: Watched, version: str) -> None:
    watched.production.decisions.file(watched.production.decided("Ada", version))
    approvers(watched, approver("Ada", revoked_on=TODAY))
    stays_out(watched, version)


def test_an_approval_with_a_key_that_is_not_valid_yet(watched: Watched, version: str) -> None:
    approvers(watched, approver("Ada", valid_from=TODAY + 2 * DAY))
    does_not_count(watched, version, watched.production.decided("Ada", version), "not valid before")


def test_the_same_person_with_two_keys(watched: Watched, version: str) -> None:
    approvers(watched, approver("grace ", SECOND_KEY, identities=("grace@old.example.com",)))
    watched.production.decisions.file(watched.production.decided("Grace", version, key=SECOND_KEY))
    stays_out(watched, version)


def test_the_same_key_under_two_names_is_no_policy(watched: Watched, version: str) -> None:
    approvers(watched, approver("Ada", KEYS["Grace"]))
    with pytest.raises(ApprovalError, match="the key of Ada is already that of Grace"):
        watched.production.promote(version)
    assert watched.answer() == ("2", 2.0)


def test_the_same_approval_many_times(watched: Watched, version: str) -> None:
    for hours in range(5):
        at = utc_now() - timedelta(hours=hours)
        watched.production.audit.append(
            "approve",
            "m",
            version=version,
            signed=watched.production.decided("Grace", version, at=at).model_dump(mode="json"),
        )
    stays_out(watched, version)


def test_the_platforms_own_key_does_not_approve(watched: Watched, version: str) -> None:
    """Runs have it; people's consent is not theirs to give."""
    key: Ed25519PrivateKey = watched.production.fleet.signer._key
    does_not_count(
        watched, version, watched.production.decided("Ada", version, key=key), "no approver has this key"
    )


def test_a_member_of_another_team(watched: Watched, version: str) -> None:
    policy = watched.production.policy
    high = policy.tiers["high"]
    asked = high.model_copy(update={"approvals": high.approvals.model_copy(update={"teams": ("team:risk",)})})
    tiers = {**policy.tiers, "high": asked}
    listed = (approver("Grace", teams=("team:risk",)), approver("Ada", teams=("team:sales",)))
    watched.production.policy = replace(policy, tiers=tiers, approvers=listed)
    does_not_count(watched, version, watched.production.decided("Ada", version), "not in team:risk")


# --- own work ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known_as", some("tim@example.com", "TIM@EXAMPLE.COM", "Tim", " tim ", "ｔｉｍ"))
def test_an_author_approves_their_own_work(watched: Watched, version: str, known_as: str) -> None:
    approvers(watched, approver("Ada", identities=(known_as,)))
    signed = watched.production.decided("Ada", version)
    does_not_count(watched, version, signed, "an author cannot approve their own work")


def test_an_author_approves_their_own_work_with_a_second_key(watched: Watched, version: str) -> None:
    listed = (
        approver("Ada", identities=("tim@example.com",)),
        approver("Ada", SECOND_KEY, identities=("ada@home.example.com",)),
    )
    approvers(watched, *listed)
    signed = watched.production.decided("Ada", version, key=SECOND_KEY)
    does_not_count(watched, version, signed, "an author cannot approve their own work")


# --- what was signed --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"candidate": "f" * 64}, "about another candidate"),
        ({"evidence": "f" * 64}, "about another evidence"),
        ({"model": "n"}, "n has no version 4"),
    ],
    ids=["another candidate", "other evidence", "another model"],
)
def test_an_approval_of_something_else(
    watched: Watched, version: str, change: dict[str, str], said: str
) -> None:
    does_not_count(watched, version, watched.production.decided("Ada", version, **change), said)


def test_the_approval_of_the_version_before_played_again(watched: Watched, version: str) -> None:
    old = watched.production.decided("Ada", version)
    watched.production.decisions.file(old)
    watched.production.promote(version)
    assert watched.answer() == (version, 5.0)
    new = watched.production.add(6.0, risk="high").version
    watched.production.decisions.file(watched.production.decided("Grace", new))
    watched.production.audit.append("approve", "m", version=new, signed=old.model_dump(mode="json"))
    with pytest.raises(Refused, match="it is not approved: 1 of 2 approvals"):
        watched.production.promote(new)
    watched.production.crown(new)
    watched.holds("out_of_band", "never released", champion=(version, 5.0))


def test_the_evidence_exchanged_after_it_was_approved(watched: Watched, version: str) -> None:
    watched.production.decisions.file(watched.production.decided("Ada", version))
    other = watched.production.evidence(version).model_copy(update={"owner": "team:mallory"})
    run = watched.production.version(version).run_id
    write_evidence(watched.production.registry, run, other, watched.production.fleet.signer)
    watched.production.mlflow.set_model_version_tag("m", version, EVIDENCE_TAG, other.digest)
    with pytest.raises(Refused, match="it is not approved: 0 of 2 approvals"):
        watched.production.promote(version)
    watched.holds(None)


def test_a_rejection_shaken_off_by_new_evidence(watched: Watched) -> None:
    """Nobody has to consent to this one; but somebody said no, and who evaluates again still hears it."""
    production, version = watched.production, watched.production.add(5.0).version
    production.decisions.file(production.decided("Ada", version, "reject"))
    other = production.evidence(version).model_copy(update={"owner": "team:mallory"})
    write_evidence(production.registry, production.version(version).run_id, other, production.fleet.signer)
    production.registry.set_tag("m", version, EVIDENCE_TAG, other.digest)
    with pytest.raises(Refused, match="rejected by Ada"):
        production.promote(version)
    watched.holds(None)


def test_a_rejection_shaken_off_by_registering_the_package_anew(watched: Watched) -> None:
    production, made = watched.production, watched.production.add(5.0)
    production.decisions.file(production.decided("Ada", made.version, "reject"))
    production.mlflow.delete_model_version("m", made.version)
    again = production.registry.register("m", made.run_id, made.candidate, made.tags).version
    assert again != made.version
    with pytest.raises(Refused, match="rejected by Ada"):
        production.promote(again)
    watched.holds(None)


def test_a_rejection_shaken_off_by_a_rollback(watched: Watched) -> None:
    """Version 1 served by right, and was found out afterwards."""
    production = watched.production
    production.decisions.file(production.decided("Ada", "1", "reject"))
    with pytest.raises(Refused, match="it was rejected by Ada"):
        production.roll_back("1")
    watched.holds(None)
    production.decisions.file(production.decided("Ada", "1", at=utc_now() + timedelta(seconds=1)))
    production.roll_back("1")
    watched.holds(None, champion=("1", 1.0))


def test_a_rejection_made_an_approval(watched: Watched, version: str) -> None:
    rejection = watched.production.decided("Ada", version, "reject")
    turned = rejection.model_copy(
        update={"decision": rejection.decision.model_copy(update={"decision": "approve"})}
    )
    does_not_count(watched, version, turned, "the signature does not belong to what was decided")


def test_an_approval_of_tomorrow(watched: Watched, version: str) -> None:
    early = watched.production.decided("Ada", version, at=utc_now() + DAY)
    does_not_count(watched, version, early, "dated in the future")


def test_an_approval_made_younger(watched: Watched, version: str) -> None:
    old = watched.production.decided("Ada", version, at=utc_now() - 30 * DAY)
    younger = old.model_copy(update={"decision": old.decision.model_copy(update={"at": utc_now()})})
    does_not_count(watched, version, younger, "the signature does not belong to what was decided")


def test_somebody_else_takes_back_a_rejection(watched: Watched, version: str) -> None:
    decisions = watched.production.decisions
    decisions.file(watched.production.decided("Ada", version, "reject"))
    decisions.file(watched.production.decided("Grace", version, at=utc_now() + timedelta(seconds=2)))
    with pytest.raises(Refused, match="rejected by Ada"):
        watched.production.promote(version)
    watched.holds(None)


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen")
@pytest.mark.parametrize("namespace", some("git", "file", "mlops-assets2", ""))
def test_a_signature_that_the_person_made_for_another_purpose(
    watched: Watched, version: str, tmp_path: Path, namespace: str
) -> None:
    """The same key signs commits: a signature over the same bytes for git approves nothing."""
    signed = watched.production.decided("Ada", version)
    key, content = tmp_path / "key", tmp_path / "content"
    key.write_bytes(KEYS["Ada"].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    key.chmod(0o600)
    content.write_bytes(signed.decision.content)
    command = ("ssh-keygen", "-Y", "sign", "-q", "-f", key, "-n", namespace or "a b", content)
    subprocess.run(command, check=True, capture_output=True)
    other = signed.model_copy(update={"signature": content.with_suffix(".sig").read_text().strip()})
    does_not_count(watched, version, other, "the signature does not belong to what was decided")


# --- the platform's key -----------------------------------------------------------------------------------


def _evidence(watched: Watched, signer: Signer) -> None:
    good = watched.production.evidence("3").model_copy(update={"owner": "team:mallory"})
    run = watched.production.version("3").run_id
    write_evidence(watched.production.registry, run, good, signer)
    watched.production.mlflow.set_model_version_tag("m", "3", EVIDENCE_TAG, good.digest)


def _release(watched: Watched, signer: Signer) -> None:
    run = watched.production.version("3").run_id
    made = release_of(watched.production.evidence("3"), "3", 10**15, mlflow_run=run)
    watched.production.mlflow.set_model_version_tag("m", "3", RELEASE_TAG, made.sealed(signer))


@pytest.mark.parametrize("forge", [_evidence, _release])
def test_what_is_signed_with_another_key(
    watched: Watched, tmp_path: Path, forge: Callable[[Watched, Signer], None]
) -> None:
    forge(watched, Signer.for_home(tmp_path / "stranger"))
    watched.production.crown("3")
    watched.holds("evidence_refused", "is not signed with the platform key")


def test_a_promotion_by_somebody_with_another_key(watched: Watched, tmp_path: Path) -> None:
    """Whoever runs the platform's code with a key of their own promotes nobody."""
    stranger = Signer.for_home(tmp_path / "stranger")
    authority = replace(watched.production.authority, signer=lambda: stranger)
    with pytest.raises(EvidenceError, match="is not signed with the platform key"):
        authority.promote(
            watched.production.version("3"), watched.production.evidence("3").rules, (), actor="mallory"
        )
    watched.holds(None)


def test_the_key_exchanged_in_the_home_makes_nothing_of_before_count(
    watched: Watched, tmp_path: Path
) -> None:
    """A gateway with another key serves nothing rather than what it cannot verify."""
    Signer.for_home(tmp_path)
    for name in ("platform_ed25519.pem", "platform_ed25519.pub.pem"):
        shutil.copy(tmp_path / "keys" / name, watched.production.home.root / "keys" / name)
    watched.production.fleet = Fleet(watched.production.home)
    with watched.production.gateway(remembers=False) as again:
        assert watched.answer(again) == 503
        assert "is not signed with the platform key" in watched.incidents(again)["package_refused"]


def test_a_statement_of_one_kind_passed_off_as_another(watched: Watched) -> None:
    signer = watched.production.fleet.signer
    evidence = watched.production.evidence("3")
    release = release_of(evidence, "3")
    with pytest.raises(EvidenceError, match="states 'release/1'"):
        Evidence.unsealed(release.sealed(signer), signer.verifier)
    renamed = release.sealed(signer).replace('"kind":"release/1"', '"kind":"evidence/1"')
    with pytest.raises(EvidenceError, match="is not signed with the platform key"):
        Evidence.unsealed(renamed, signer.verifier)
    with pytest.raises(EvidenceError, match="states 'evidence/1'"):
        Release.unsealed(evidence.sealed(signer), signer.verifier)


@pytest.mark.parametrize("mode", some(0o644, 0o640, 0o604, 0o660))
def test_the_platforms_key_readable_by_others(watched: Watched, mode: int) -> None:
    file = watched.production.home.root / "keys" / "platform_ed25519.pem"
    file.chmod(mode)
    with pytest.raises(PackageError, match=f"is open to others .mode {mode:04o}.; run chmod 600"):
        Signer.for_home(watched.production.home.root)


@pytest.mark.parametrize("mode", some(0o644, 0o640, 0o604, 0o660))
def test_a_persons_key_readable_by_others(tmp_path: Path, mode: int) -> None:
    key = tmp_path / "id_ed25519"
    key.write_bytes(KEYS["Ada"].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
    key.chmod(mode)
    with pytest.raises(ApprovalError, match="is open to others"):
        ssh_signatures.load_private_key(key)


# --- risk -------------------------------------------------------------------------------------------------


def test_evidence_of_a_lower_risk_put_in_the_place_of_that_of_a_high_one(
    watched: Watched, version: str
) -> None:
    """Nobody but the platform can sign it; and what it signed of another candidate does not fit."""
    tags = watched.production.version("3").tags
    watched.production.mlflow.set_model_version_tag("m", version, EVIDENCE_TAG, tags[EVIDENCE_TAG])
    shutil.copy(watched.production.evidence_file("3"), watched.production.evidence_file(version).parent)
    with pytest.raises(Refused, match="the evidence is of m candidate"):
        watched.production.promote(version)
    watched.production.mlflow.set_registered_model_alias("m", CHAMPION, version)
    watched.holds("evidence_refused", "the evidence is of m candidate")


def test_approvals_that_were_needed_then_are_needed_although_the_policy_was_loosened(
    watched: Watched, version: str
) -> None:
    policy = watched.production.policy
    watched.production.policy = replace(policy, tiers={**policy.tiers, "high": policy.tiers["minimal"]})
    stays_out(watched, version)


def test_evidence_made_before_the_policy_became_stricter(watched: Watched) -> None:
    """What was good enough then has to be good enough now."""
    production = watched.production
    run, candidate = production.trained(5.0)
    lax = evidence_of(subject_of("m", candidate))
    write_evidence(production.registry, run, lax, production.fleet.signer)
    version = production.registry.register("m", run, candidate, {EVIDENCE_TAG: lax.digest}).version
    rules = production.policy.tiers["limited"]
    strict = rules.gates.calibration.model_copy(update={"max_error": 0.0001})
    gates = rules.gates.model_copy(update={"calibration": strict})
    tiers = {**production.policy.tiers, "limited": rules.model_copy(update={"gates": gates})}
    production.policy = replace(production.policy, tiers=tiers)
    with pytest.raises(Refused, match="under a policy looser than today's"):
        production.promote(version)
    production.crown(version)
    assert watched.answer() == ("2", 2.0)
    assert "looser than today's" in watched.incidents()["evidence_refused"]
