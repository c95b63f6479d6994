"""A release is approved by enough entitled persons who looked at exactly this, and by nothing else."""

import random
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import ApprovalError
from mlops_assets.governance.approvals import (
    CLOCK_SKEW,
    ApprovalState,
    Decision,
    SignedDecision,
    judge_approvals,
    sign_decision,
)
from mlops_assets.governance.ssh_signatures import public_line
from mlops_assets.specs.approver import Approver

NOW = datetime(2024, 6, 1, 12)
DAY = timedelta(days=1)
LIFETIME = timedelta(days=30)
SUBJECT = {"model": "flight_delay", "version": "7", "candidate": "c" * 64, "evidence": "e" * 64}


def private_key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number] * 32))


def approver(name: str, number: int, **said: Any) -> Approver:
    identities = said.pop("identities", [f"{name.lower()}@example.com"])
    key = public_line(private_key(number))
    return Approver.model_validate({"name": name, "key": key, "identities": identities, **said})


def decide(
    number: int, decision: str = "approve", at: datetime = NOW - DAY, **changes: Any
) -> SignedDecision:
    values = {**SUBJECT, "decision": decision, "reason": "looked at it", "at": at, **changes}
    return sign_decision(Decision.model_validate(values), private_key(number))


ADA, GRACE, ALAN = 1, 2, 3
ADAS_OLD_KEY, EXPIRED, NOT_YET, REVOKED, AUTHOR, OUTSIDER, STRANGER = range(4, 11)
RISK = ["team:risk"]
APPROVERS = (
    approver("Ada", ADA, teams=RISK),
    approver("Grace", GRACE, teams=[*RISK, "team:legal"]),
    approver("Alan", ALAN, teams=RISK),
    approver("ADA", ADAS_OLD_KEY, teams=RISK, identities=["ada@old.example.com"]),
    approver("Edsger", EXPIRED, teams=RISK, valid_until="2024-05-30"),
    approver("Nora", NOT_YET, teams=RISK, valid_from="2024-06-01"),
    approver("Rosa", REVOKED, teams=RISK, revoked_on="2024-06-01"),
    approver("Tim", AUTHOR, teams=RISK, identities=["Tim@Example.com", "tim"]),
    approver("Olga", OUTSIDER, teams=["team:legal"]),
)
PERSONS = {approver.fingerprint: approver.person for approver in APPROVERS}


def judge(decisions: Sequence[SignedDecision], **changes: Any) -> ApprovalState:
    asked: dict[str, Any] = {
        **SUBJECT,
        "approvers": APPROVERS,
        "needed": 1,
        "authors": ["TIM@example.COM", "root"],
        "now": NOW,
        "from_teams": RISK,
        "lifetime": LIFETIME,
        **changes,
    }
    return judge_approvals(decisions, **asked)


def swapped(signed: SignedDecision, **changes: Any) -> SignedDecision:
    """Return a signed decision that says something else than what was signed."""
    return signed.model_copy(update={"decision": signed.decision.model_copy(update=changes)})


BAD = {
    "an unknown key": (decide(STRANGER), "no approver has this key"),
    "another's signature": (
        decide(ADA).model_copy(update={"signature": decide(STRANGER).signature}),
        "the signature does not belong to what was decided",
    ),
    "no signature": (decide(ADA).model_copy(update={"signature": ""}), "the signature does not belong"),
    "another's name on it": (decide(STRANGER).model_copy(update={"key": decide(ADA).key}), "signature"),
    "a rejection made an approval": (swapped(decide(ADA, "reject"), decision="approve"), "signature"),
    "an old one made new": (swapped(decide(ADA, at=NOW - 90 * DAY), at=NOW - DAY), "signature"),
    "one for another version, redirected": (swapped(decide(ADA, version="6"), version="7"), "signature"),
    "an altered reason": (swapped(decide(ADA), reason="whatever"), "signature"),
    "another model": (decide(ADA, model="bike_demand"), "about another model"),
    "another version": (decide(ADA, version="6"), "about another version"),
    "another candidate": (decide(ADA, candidate="d" * 64), "about another candidate"),
    "other evidence": (decide(ADA, evidence="f" * 64), "about another evidence"),
    "an expired key": (decide(EXPIRED, at=datetime(2024, 5, 31)), "the key expired on 2024-05-30"),
    "a key not valid yet": (decide(NOT_YET), "the key was not valid before 2024-06-01"),
    "a revoked key": (decide(REVOKED, at=NOW), "the key was revoked on 2024-06-01"),
    "a revoked key, dated back": (decide(REVOKED, at=NOW - 20 * DAY), "the key was revoked on 2024-06-01"),
    "an author": (decide(AUTHOR), "an author cannot approve their own work"),
    "somebody from elsewhere": (decide(OUTSIDER), "not in team:risk"),
    "the future": (decide(ADA, at=NOW + CLOCK_SKEW + timedelta(seconds=1)), "dated in the future"),
    "long ago": (decide(ADA, at=NOW - LIFETIME - timedelta(seconds=1)), "older than 30d"),
}
bad_decisions = st.lists(st.sampled_from([signed for signed, _ in BAD.values()]))
good_decisions = st.lists(st.sampled_from([decide(ADA), decide(GRACE), decide(ALAN), decide(ADAS_OLD_KEY)]))
entitled = st.builds(
    decide,
    st.sampled_from([ADA, GRACE, ALAN, ADAS_OLD_KEY]),
    st.sampled_from(["approve", "reject"]),
    st.integers(0, 4).map(lambda hours: NOW - timedelta(hours=hours)),
)


@pytest.mark.parametrize(("signed", "said"), BAD.values(), ids=BAD)
def test_a_decision_that_does_not_count_is_told_why(signed: SignedDecision, said: str) -> None:
    state = judge([signed])
    assert not state.approved
    assert not state.rejected
    assert state.given == 0
    assert state.counted == ()
    (objection,) = state.objections
    assert said in objection
    assert state.summary == "0 of 1 approval; waiting for one more from team:risk"


@given(bad_decisions)
def test_no_decisions_that_do_not_count_ever_approve(decisions: list[SignedDecision]) -> None:
    state = judge(decisions)
    assert (state.approved, state.given, state.counted) == (False, 0, ())
    assert len(state.objections) == len(set(decisions))


@given(good_decisions, bad_decisions, st.integers(0, 5))
def test_bad_decisions_neither_help_nor_hurt_good_ones(
    good: list[SignedDecision], bad: list[SignedDecision], needed: int
) -> None:
    alone, together = judge(good, needed=needed), judge([*bad, *good], needed=needed)
    assert together.given == alone.given == len({PERSONS[signed.key] for signed in good})
    assert together.approved == alone.approved == (alone.given >= needed)


@given(st.lists(entitled), bad_decisions, st.integers(0, 3), st.randoms(use_true_random=False))
def test_neither_order_nor_repetition_matters(
    entitled: list[SignedDecision], bad: list[SignedDecision], needed: int, chance: random.Random
) -> None:
    decisions = [*entitled, *bad]
    again = [*decisions, *(chance.choice(decisions) for _ in decisions)]
    chance.shuffle(again)
    assert judge(again, needed=needed) == judge(decisions, needed=needed)


@given(st.lists(entitled), st.integers(0, 3))
def test_each_persons_last_word_counts_once(decisions: list[SignedDecision], needed: int) -> None:
    words: dict[str, tuple[datetime, bool]] = {}
    for signed in decisions:
        said = (signed.decision.at, signed.decision.decision == "reject")
        person = PERSONS[signed.key]
        words[person] = max(words.get(person, said), said)
    for_it = sum(not rejects for _, rejects in words.values())
    state = judge(decisions, needed=needed)
    assert state.given == for_it
    assert state.rejected == (for_it < len(words))
    assert state.approved == (for_it == len(words) and for_it >= needed)
    assert len(state.counted) + len(state.objections) == len(set(decisions))


@given(st.lists(entitled), entitled)
def test_a_further_approval_never_counts_for_more_than_one(
    decisions: list[SignedDecision], further: SignedDecision
) -> None:
    before, after = judge(decisions), judge([*decisions, further])
    assert after.given - before.given <= 1


class TestCount:
    def test_two_persons_are_two_and_one_with_two_keys_is_one(self) -> None:
        assert judge([decide(ADA), decide(GRACE)], needed=2).approved
        state = judge([decide(ADA), decide(ADAS_OLD_KEY, at=NOW)], needed=2)
        assert (state.approved, state.given) == (False, 1)
        assert state.summary == "1 of 2 approvals; waiting for one more from team:risk"
        assert state.objections == (
            "approval by Ada at 2024-05-31T12:00:00Z: the same person decided again later",
        )

    def test_summaries_say_who_and_what_is_missing(self) -> None:
        both = judge([decide(GRACE, at=NOW), decide(ADA)], needed=2)
        assert both.summary == "2 of 2 approvals: Ada, Grace"
        assert judge([], needed=3, from_teams=()).summary == "0 of 3 approvals; waiting for 3 more"
        wanted = judge([], needed=2, from_teams=["team:risk", "team:legal"]).summary
        assert wanted == "0 of 2 approvals; waiting for 2 more from team:legal or team:risk"
        assert judge([], needed=0).summary == "no approval is needed"

    def test_nothing_needed_is_approved_unless_somebody_rejects(self) -> None:
        assert judge([], needed=0).approved
        assert not judge([decide(ADA, "reject")], needed=0).approved

    def test_a_member_of_one_team_is_enough_and_without_teams_everybody_is(self) -> None:
        assert judge([decide(OUTSIDER)], from_teams=["team:risk", "team:legal"]).approved
        assert judge([decide(OUTSIDER)], from_teams=()).approved

    def test_without_a_lifetime_approvals_do_not_grow_old(self) -> None:
        long_ago = decide(ADA, at=NOW - 900 * DAY)
        assert judge([long_ago], lifetime=None).approved
        assert judge([decide(ADA, at=NOW - LIFETIME)]).approved

    def test_an_author_is_known_by_any_of_their_names_under_any_of_their_keys(self) -> None:
        for author in ("ada@OLD.example.com", "ADA@example.com", "ada"):
            for key in (ADA, ADAS_OLD_KEY):
                state = judge([decide(key)], authors=[author])
                assert not state.approved
                assert "an author cannot approve" in state.objections[0]
        assert judge([decide(ADA)], authors=["adam@example.com", "example.com", ""]).approved


class TestKeys:
    def test_what_was_decided_while_a_key_was_valid_still_counts(self) -> None:
        assert judge([decide(EXPIRED, at=datetime(2024, 5, 30, 23, 59))]).approved
        assert judge([decide(NOT_YET, at=datetime(2024, 6, 1))]).approved

    def test_a_release_of_the_past_is_judged_as_of_its_own_time(self) -> None:
        before = decide(REVOKED, at=NOW - 20 * DAY)
        assert judge([before], now=datetime(2024, 5, 31, 23, 59)).approved
        assert not judge([before], now=datetime(2024, 6, 1)).approved

    def test_a_key_that_two_entries_share_is_an_error(self) -> None:
        with pytest.raises(ApprovalError, match="cannot be told apart: the key of Mallory is already"):
            judge([decide(ADA)], approvers=[*APPROVERS, approver("Mallory", ADA)])

    def test_a_clock_that_is_a_little_ahead_does_no_harm(self) -> None:
        assert judge([decide(ADA, at=NOW + CLOCK_SKEW)]).approved


class TestRejection:
    def test_one_rejection_outweighs_any_number_of_approvals(self) -> None:
        rejection = decide(ALAN, "reject", reason="too\nlate")
        state = judge([decide(ADA), decide(GRACE, at=NOW), rejection], needed=2)
        assert (state.approved, state.rejected, state.given) == (False, True, 2)
        assert state.summary == "rejected by Alan (too late)"
        assert state.approved_by == ("Ada", "Grace")
        assert state.rejected_by == ("Alan",)
        assert len(state.counted) == 3

    def test_only_the_same_person_lifts_it(self) -> None:
        rejected = decide(ADA, "reject")
        assert judge([rejected, decide(GRACE, at=NOW)]).rejected
        for key in (ADA, ADAS_OLD_KEY):
            lifted = judge([rejected, decide(key, at=NOW)])
            assert lifted.approved
            assert not lifted.rejected

    def test_a_rejection_at_the_moment_of_an_approval_wins(self) -> None:
        assert judge([decide(ADA, "reject"), decide(ADA)]).rejected

    @pytest.mark.parametrize(
        "signed",
        [decide(AUTHOR, "reject"), decide(OUTSIDER, "reject"), decide(ADA, "reject", at=NOW - 90 * DAY)],
        ids=["an author", "somebody from elsewhere", "long ago"],
    )
    def test_every_approver_may_stop_a_release_and_a_stop_does_not_grow_old(
        self, signed: SignedDecision
    ) -> None:
        assert judge([signed, decide(GRACE)]).rejected

    def test_a_rejected_package_stays_rejected_with_new_evidence_and_as_another_version(self) -> None:
        for rejected in (
            decide(ADA, "reject", evidence="f" * 64),
            decide(ADA, "reject", version="6"),
        ):
            assert judge([rejected, decide(GRACE)]).rejected
            assert not judge([rejected, decide(ADA, at=NOW), decide(GRACE)]).rejected

    @pytest.mark.parametrize(
        "signed",
        [
            decide(STRANGER, "reject"),
            decide(REVOKED, "reject"),
            decide(ADA, "reject", candidate="d" * 64),
            swapped(decide(ADA), decision="reject"),
        ],
        ids=["an unknown key", "a revoked key", "another candidate", "an approval made a rejection"],
    )
    def test_a_rejection_that_is_none_stops_nothing(self, signed: SignedDecision) -> None:
        assert judge([signed, decide(GRACE)]).approved


class TestRecord:
    def test_a_decision_survives_json_and_so_does_a_state(self) -> None:
        signed = decide(ADA, reason='Grüße "aus"\nZürich \u2028')
        assert SignedDecision.from_json(signed.model_dump_json()) == signed
        assert SignedDecision.from_json(signed.model_dump_json(indent=2).encode()) == signed
        assert judge([SignedDecision.from_json(signed.model_dump_json())]).approved
        state = judge([signed, decide(STRANGER)])
        assert ApprovalState.model_validate_json(state.model_dump_json()) == state

    def test_one_moment_has_one_form_whatever_the_zone(self) -> None:
        moments = [
            datetime(2024, 5, 31, 12),
            datetime(2024, 5, 31, 12, tzinfo=UTC),
            datetime(2024, 5, 31, 7, tzinfo=timezone(timedelta(hours=-5))),
        ]
        assert len({decide(ADA, at=moment).decision.content for moment in moments}) == 1
        assert b'"at":"2024-05-31T12:00:00Z"' in decide(ADA, at=moments[0]).decision.content

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "the record: Invalid JSON"),
            ("[]", "the record: Input should be an object"),
            ("{}", "decision: Field required"),
            (decide(ADA).model_dump_json().replace('"approve"', '"perhaps"'), "decision.decision"),
            (decide(ADA).model_dump_json().replace('"model"', '"mode"'), "decision.model: Field required"),
            (decide(ADA).model_dump_json().replace("SHA256:", "\\u001b[2J"), "key: String should match"),
            (decide(ADA).model_dump_json().replace("2024-05-31T12", "9999-99-31T12"), "decision.at"),
            (
                decide(ADA).model_dump_json().replace("2024-05-31T12:00:00Z", "0001-01-01T00:00:00+14:00"),
                "decision.at: Value error, 0001-01-01 00:00:00.14:00 is out of range",
            ),
            (decide(ADA).model_dump_json()[:-1] + ',"note":"x"}', "note: Extra inputs are not permitted"),
            (decide(ADA, reason="x").model_dump_json().replace('"x"', '" "'), "decision.reason"),
        ],
    )
    def test_what_is_no_decision_is_refused_with_a_sentence(self, text: str, said: str) -> None:
        with pytest.raises(ApprovalError, match=said.replace("[", r"\[")) as raised:
            SignedDecision.from_json(text)
        assert "\n" not in str(raised.value)

    @given(st.text() | st.recursive(st.none() | st.text(), st.lists).map(str) | st.binary())
    def test_no_text_makes_it_fail_otherwise(self, text: str | bytes) -> None:
        with pytest.raises(ApprovalError):
            SignedDecision.from_json(text)

    def test_openssh_alone_can_verify_it(self, tmp_path: Path) -> None:
        keygen = shutil.which("ssh-keygen")
        if keygen is None:
            pytest.skip("ssh-keygen is not installed (on Debian: apt-get install openssh-client)")
        signed = decide(ADA)
        (tmp_path / "signers").write_text(f"ada@example.com {APPROVERS[0].key}\n")
        (tmp_path / "signature").write_text(signed.signature)
        done = subprocess.run(
            [
                keygen,
                "-Y",
                "verify",
                "-n",
                "mlops-assets",
                "-I",
                "ada@example.com",
                "-f",
                "signers",
                "-s",
                "signature",
            ],
            cwd=tmp_path,
            input=signed.decision.content,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert signed.key in done.stdout.decode()
