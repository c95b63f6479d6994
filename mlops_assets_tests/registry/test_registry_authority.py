"""What serves changes in one place only, with evidence, a signed release and an entry in the audit chain."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mlops_assets.errors import ApprovalError, RegistryError
from mlops_assets.governance import ssh_signatures
from mlops_assets.governance.approvals import Decision, SignedDecision, sign_decision
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.signatures import Signer
from mlops_assets.governance.traffic import Traffic, Yardsticks
from mlops_assets.home import Home
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.registry.authority import Authority
from mlops_assets.registry.decisions import Decisions
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.port import CHAMPION, EVIDENCE_TAG, PREVIOUS_CHAMPION, RELEASE_TAG, ModelVersion
from mlops_assets.registry.proof import Refused, read_evidence, read_release, write_evidence
from mlops_assets.registry.releases import release_in
from mlops_assets.registry.rollout_look import one_round
from mlops_assets.registry.rollouts import Rollouts
from mlops_assets.registry.strays import enter_strays
from mlops_assets.specs.approver import Approver
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.gate_rules import AT_THE_ENDPOINT
from mlops_assets.specs.policy import ApprovalRules, Risk
from mlops_assets.specs.policy_file import Policy, load_policy
from mlops_assets_tests.vouching import evidence_of, record_of, rules_of, subject_of

KEYS = {name: Ed25519PrivateKey.generate() for name in ("Ada", "Grace", "Mallory")}


def approver(name: str, **more: Any) -> Approver:
    line = ssh_signatures.public_line(KEYS[name])
    return Approver(name=name, key=line, identities=(f"{name.lower()}@example.com",), **more)


@dataclass
class Platform:
    """An authority with a model whose versions have evidence."""

    authority: Authority
    registry: MlflowRegistry
    signer: Signer
    model: str

    def add(self, candidate: str, risk: Risk = "limited", **changes: Any) -> ModelVersion:
        run = self.registry.client.create_run(self.registry.experiment(self.model)).info.run_id
        evidence = evidence_of(subject_of(self.model, candidate * 64), risk=risk, **changes)
        write_evidence(self.registry, run, evidence, self.signer)
        return self.registry.register(self.model, run, candidate * 64, {EVIDENCE_TAG: evidence.digest})

    def evidence(self, version: ModelVersion) -> Evidence:
        return read_evidence(self.registry, version, self.signer.verifier)

    def promote(self, version: ModelVersion) -> Any:
        evidence = self.evidence(version)
        endpoint = [record_of(g, evidence.subject, evidence.rules) for g in AT_THE_ENDPOINT]
        return self.authority.promote(version, evidence.rules, endpoint, actor="Ada")

    def back(self, to: str | None = None) -> Any:
        return self.authority.roll_back(self.model, to, actor="on-call", reason="it errs")

    @property
    def champion(self) -> str | None:
        found = self.authority.champion(self.model)
        return found.version if found else None

    @property
    def entries(self) -> list[tuple[str, Any]]:
        return [(e.action, e.detail.get("version")) for e in self.authority.audit.entries(self.model)]

    def decided(
        self,
        name: str,
        of: ModelVersion,
        decision: Literal["approve", "reject"] = "approve",
        **changes: Any,
    ) -> SignedDecision:
        made = Decision(
            model=self.model,
            version=of.version,
            candidate=of.candidate,
            evidence=self.evidence(of).digest,
            decision=decision,
            reason="looked at it",
            at=utc_now(),
        )
        return sign_decision(made.model_copy(update=changes), KEYS[name])


@pytest.fixture
def platform(home: Home, registry: MlflowRegistry, model: str, tmp_path: Path) -> Platform:
    signer = Signer.for_home(home.root)
    policy = replace(load_policy(), approvers=(approver("Ada"), approver("Grace")))
    audit = AuditChain(f"sqlite:///{tmp_path / 'fleet.db'}", tmp_path / "audit", lambda: signer)
    decisions = Decisions(registry, signer.verifier, audit, policy)
    authority = Authority(registry, signer.verifier, audit, lambda: signer, decisions)
    return Platform(authority, registry, signer, model)


def test_a_promotion_leaves_a_release_and_an_entry(platform: Platform) -> None:
    version = platform.add("a")
    assert platform.promote(version).moved
    assert platform.champion == "1"
    carried = platform.registry.version(platform.model, "1")
    assert carried is not None
    release = read_release(carried, platform.signer.verifier)
    assert release is not None
    assert (release.action, release.actor) == ("promote", "Ada")
    (entry,) = platform.authority.audit.entries(platform.model)
    assert (entry.action, entry.actor, entry.evidence) == ("promote", "Ada", release.evidence)
    signed = release_in(entry, platform.signer.verifier)
    assert signed is not None
    assert signed.release == release
    assert not platform.promote(version).moved
    assert platform.entries == [("promote", "1")], "running again enters nothing twice"


def test_each_move_has_a_higher_serial_also_the_way_back(platform: Platform) -> None:
    for candidate in "ab":
        platform.promote(platform.add(candidate))
    assert platform.back().champion == "1"
    assert platform.back().champion == "2"
    serials = [
        signed.release.serial
        for entry in platform.authority.audit.entries(platform.model)
        if (signed := release_in(entry, platform.signer.verifier))
    ]
    assert len(serials) == 4
    assert serials == sorted(set(serials))
    assert platform.champion == "2"


def test_of_two_promotions_at_the_same_time_one_is_the_later(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both have read what served before; with one serial for both, the alias would choose between them."""
    platform.promote(platform.add("a"))
    one, other = platform.add("b"), platform.add("c")
    decided, set_tag = [one], platform.registry.set_tag

    def interrupted(*args: Any) -> None:
        if decided:  # the first release is signed, and not written yet
            decided.pop()
            platform.promote(other)
        set_tag(*args)

    monkeypatch.setattr(platform.registry, "set_tag", interrupted)
    platform.promote(one)
    serials = {}
    for version in (one, other):
        found = platform.registry.version(platform.model, version.version)
        assert found is not None
        release = read_release(found, platform.signer.verifier)
        assert release is not None
        serials[release.serial] = version.version
    assert len(serials) == 2
    assert platform.champion == serials[max(serials)]


def test_an_alias_moved_by_hand_makes_nobody_champion_and_is_put_right_by_the_next_move(
    platform: Platform,
) -> None:
    for candidate in "abc":
        version = platform.add(candidate)
        if candidate != "c":
            platform.promote(version)
    for hand in ("1", "3"):
        platform.registry.set_alias(platform.model, CHAMPION, hand)
        assert platform.champion == "2"
    platform.promote(version)
    assert platform.registry.aliases()[platform.model] == {CHAMPION: "3", PREVIOUS_CHAMPION: "2"}
    platform.registry.set_alias(platform.model, CHAMPION, "1")
    assert platform.back().champion == "2"
    assert platform.registry.aliases()[platform.model] == {CHAMPION: "2", PREVIOUS_CHAMPION: "3"}
    platform.registry.set_alias(platform.model, CHAMPION, "1")
    assert not platform.back(to="2").moved
    assert platform.registry.aliases()[platform.model][CHAMPION] == "2"


def test_who_takes_the_release_away_takes_nothing_back(platform: Platform) -> None:
    for candidate in "ab":
        platform.promote(platform.add(candidate))
    platform.registry.client.delete_model_version_tag(platform.model, "2", RELEASE_TAG)
    platform.registry.set_alias(platform.model, CHAMPION, "1")
    assert platform.champion == "2"


def test_whoever_may_write_to_the_audit_database_makes_nobody_champion(platform: Platform) -> None:
    for candidate in "ab":
        platform.promote(platform.add(candidate))
    platform.authority.audit.append("promote", platform.model, version="1", release="{}")
    assert platform.champion == "2"
    first = platform.authority.audit.entries(platform.model)[0]
    platform.authority.audit.append("promote", platform.model, version="1", release=first.detail["release"])
    assert platform.champion == "2"


def test_a_version_without_good_evidence_is_not_promoted_and_the_try_is_entered(platform: Platform) -> None:
    platform.promote(platform.add("a"))
    old = platform.add("b", made_at=utc_now() - timedelta(days=5000))
    with pytest.raises(Refused, match="version 2 is refused: the evidence expired on"):
        platform.promote(old)
    assert platform.champion == "1"
    assert platform.entries == [("promote", "1"), ("refuse", "2")]
    (refusal,) = platform.authority.audit.entries(platform.model, last=1)
    assert refusal.detail["kinds"] == ["expired"]


def test_there_is_no_way_back_to_what_never_served(platform: Platform) -> None:
    platform.promote(platform.add("a"))
    platform.add("b")
    with pytest.raises(Refused, match="it was never released, so there is no way back to it"):
        platform.back(to="2")
    assert platform.entries == [("promote", "1"), ("refuse", "2")]
    with pytest.raises(RegistryError, match="has no previous champion"):
        platform.back()


def test_the_way_back_stays_open_although_the_evidence_has_lapsed(platform: Platform) -> None:
    old = platform.add("a")
    platform.promote(old)
    platform.promote(platform.add("b"))
    move = platform.back()
    assert move.champion == "1"
    carried = platform.registry.version(platform.model, "1")
    assert carried is not None
    release = read_release(carried, platform.signer.verifier)
    assert release is not None
    assert release.lapsed_until is not None
    assert timedelta(days=6) < release.lapsed_until - release.at < timedelta(days=8)


def test_high_risk_is_promoted_when_enough_people_have_consented(platform: Platform) -> None:
    version = platform.add("a", risk="high")
    with pytest.raises(Refused, match="it is not approved: 0 of 2 approvals"):
        platform.promote(version)
    decisions = platform.authority.decisions
    assert [(v.version, s.summary) for v, s in decisions.pending()] == []  # nobody entered a registration
    platform.authority.audit.append("register", platform.model, version="1", approvals_needed=2)
    assert not decisions.file(platform.decided("Ada", version)).approved
    ((waiting, state),) = decisions.pending()
    assert (waiting.version, state.given, state.needed) == ("1", 1, 2)
    with pytest.raises(Refused, match="1 of 2 approvals"):
        platform.promote(version)
    assert decisions.file(platform.decided("Grace", version)).approved
    assert platform.promote(version).moved
    assert list(decisions.pending()) == []
    carried = platform.registry.version(platform.model, "1")
    assert carried is not None
    release = read_release(carried, platform.signer.verifier)
    assert release is not None
    assert len(release.approvals) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p, v: p.decided("Mallory", v), "no approver has this key"),
        (lambda p, v: p.decided("Ada", v, candidate="f" * 64), "about another candidate"),
        (lambda p, v: p.decided("Ada", v, evidence="f" * 64), "about another evidence"),
        (lambda p, v: p.decided("Ada", v, version="9"), "has no version 9"),
        (lambda p, v: p.decided("Ada", v, at=utc_now() + timedelta(days=1)), "dated in the future"),
        (
            lambda p, v: p.decided("Ada", v).model_copy(
                update={"decision": p.decided("Ada", v, decision="reject").decision}
            ),
            "the signature does not belong to what was decided",
        ),
    ],
)
def test_a_decision_that_does_not_count_is_refused_and_says_why(
    platform: Platform, change: Callable[..., SignedDecision], said: str
) -> None:
    version = platform.add("a", risk="high")
    with pytest.raises(ApprovalError, match=said):
        platform.authority.decisions.file(change(platform, version))
    assert platform.authority.decisions.of(version) == []


def test_a_risk_is_lowered_by_those_who_had_a_say_so_far_and_not_by_the_lower_ones_teams(
    platform: Platform,
) -> None:
    policy = platform.authority.decisions.policy
    limited, high = (
        policy.tiers[risk].model_copy(
            update={"approvals": ApprovalRules(needed=needed, teams=(team,), timeout=timedelta(days=7))}
        )
        for risk, needed, team in (("limited", 1, "team:sales"), ("high", 2, "team:risk"))
    )
    people = {"Ada": "team:risk", "Grace": "team:risk", "Mallory": "team:sales"}
    listed = tuple(approver(name, teams=(team,)) for name, team in people.items())
    tiers = {**policy.tiers, "limited": limited, "high": high}
    decisions = replace(platform.authority.decisions, policy=replace(policy, tiers=tiers, approvers=listed))
    platform.authority = replace(platform.authority, decisions=decisions)
    version = platform.add("a", rules=limited.model_copy(update={"approvals": high.approvals}))
    with pytest.raises(ApprovalError, match="not in team:risk"):
        decisions.file(platform.decided("Mallory", version))
    for name in ("Ada", "Grace"):
        state = decisions.file(platform.decided(name, version))
    assert state.approved
    evidence = platform.evidence(version)
    endpoint = [record_of(g, evidence.subject, limited) for g in AT_THE_ENDPOINT]
    assert platform.authority.promote(version, limited, endpoint, actor="Tim").moved


def test_nobody_approves_their_own_work(platform: Platform) -> None:
    version = platform.add("a", risk="high", authors=("ADA@example.com", "root"))
    with pytest.raises(ApprovalError, match="an author cannot approve their own work"):
        platform.authority.decisions.file(platform.decided("Ada", version))


def test_a_rejection_stops_what_others_approved(platform: Platform) -> None:
    version = platform.add("a", risk="high")
    decisions = platform.authority.decisions
    for name in ("Ada", "Grace"):
        decisions.file(platform.decided(name, version))
    assert decisions.file(
        platform.decided("Grace", version, "reject", at=utc_now() + timedelta(seconds=1))
    ).rejected
    with pytest.raises(Refused, match="rejected by Grace"):
        platform.promote(version)


def test_a_key_revoked_since_counts_for_nothing_new(platform: Platform) -> None:
    version = platform.add("a", risk="high")
    for name in ("Ada", "Grace"):
        platform.authority.decisions.file(platform.decided(name, version))
    gone = approver("Ada", revoked_on=utc_now().date())
    policy: Policy = replace(load_policy(), approvers=(gone, approver("Grace")))
    platform.authority = replace(
        platform.authority, decisions=replace(platform.authority.decisions, policy=policy)
    )
    with pytest.raises(Refused, match="1 of 2 approvals"):
        platform.promote(version)


def test_an_alias_that_was_moved_by_hand_is_entered_once_each_time(platform: Platform) -> None:
    one, two = platform.add("a"), platform.add("b")
    assert enter_strays(platform.authority) == []
    platform.promote(one)
    assert enter_strays(platform.authority) == []
    platform.registry.set_alias(platform.model, CHAMPION, two.version)
    for _ in range(2):
        assert [each.model for each in enter_strays(platform.authority)] == [platform.model]
    platform.registry.delete_alias(platform.model, CHAMPION)
    assert [each.model for each in enter_strays(platform.authority)] == [platform.model]
    platform.promote(two)
    assert enter_strays(platform.authority) == []
    entries = platform.authority.audit.entries(platform.model)
    assert [(e.action, e.detail.get("alias")) for e in entries if e.action == "out_of_band"] == [
        ("out_of_band", two.version),
        ("out_of_band", None),
    ]
    assert "by right version 1 serves" in entries[1].reason


def test_a_rejection_ends_the_way_of_a_version_that_was_approved(platform: Platform, tmp_path: Path) -> None:
    platform.promote(platform.add("a"))
    version = platform.add("b", risk="high", rules=rules_of("high", at_once=False))
    decisions, rollouts = platform.authority.decisions, Rollouts(platform.authority)
    evidence = platform.evidence(version)
    endpoint = [record_of(g, evidence.subject, evidence.rules) for g in AT_THE_ENDPOINT]
    with pytest.raises(Refused, match="it is not approved"):
        rollouts.begin(version, evidence.rules, endpoint, Yardsticks(), actor="Ada")
    for name in ("Ada", "Grace"):
        decisions.file(platform.decided(name, version))
    traffic = rollouts.begin(version, evidence.rules, endpoint, Yardsticks(), actor="Ada")
    assert (traffic.percent, traffic.paired, rollouts.rejection(traffic)) == (0, True, None)
    with pytest.raises(Refused, match="where people have to consent, nobody may leave them out"):
        rollouts.hasten(traffic, (), {}, actor="Ada", reason="it is urgent")

    decisions.file(platform.decided("Grace", version, "reject", at=utc_now() + timedelta(seconds=1)))
    (turn,) = one_round(rollouts, PredictionLog(tmp_path / "log"), actor="sensor")
    assert isinstance(turn.moved, Traffic)
    assert (turn.moved.state, rollouts.running(platform.model)) == ("ended", None)
    assert "rejected by Grace" in turn.moved.reason
    assert turn.reverted
    assert platform.champion == "1"


def test_a_version_that_was_taken_back_does_not_return_by_a_run(platform: Platform) -> None:
    platform.promote(platform.add("a"))
    second = platform.add("b")
    platform.promote(second)
    platform.back()
    with pytest.raises(Refused, match=r"it was taken back on .* \(it errs\); to return to it run"):
        platform.promote(second)
    assert platform.champion == "1"
    assert platform.back("2").champion == "2"
    assert not platform.promote(second).moved
