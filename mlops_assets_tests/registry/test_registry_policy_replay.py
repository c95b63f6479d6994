"""A changed policy, replayed over a live fleet, says of each version what the gateway would say of it."""

import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mlops_assets.governance.approvals import Decision, sign_decision
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.ssh_signatures import public_line
from mlops_assets.home import Home
from mlops_assets.registry.authority import Authority
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.policy_replay import Standing, live_versions, replay
from mlops_assets.registry.port import CHALLENGER, CHAMPION, EVIDENCE_TAG, ModelVersion
from mlops_assets.registry.proof import Refused, write_evidence
from mlops_assets.resources import Platform
from mlops_assets.serving.proving import Prover
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.gate_rules import AT_THE_ENDPOINT
from mlops_assets.specs.policy_file import Policy, policy_of
from mlops_assets_tests.vouching import CANDIDATE, evidence_of, record_of, subject_of

_PERSON = Ed25519PrivateKey.from_private_bytes(bytes([1] * 32))
_APPROVERS = f"""\
approvers:
  - {{name: Ada, key: {public_line(_PERSON)}, identities: [ada@example.org]}}
"""
_TODAY = f"""\
all:
  gates:
    feature_verification: {{required: true, max_leakage: 0.9}}
    metric_thresholds: {{required: true}}
  approvals: {{needed: 0}}
  evidence: {{lifetime: 400d}}
{_APPROVERS}"""


@dataclass
class Live:
    """A home of its own with versions in it, and policies beside it."""

    platform: Platform
    folder: Path
    today: Policy

    def policy(self, text: str) -> Policy:
        (self.folder / "new.yaml").write_text(text)
        return policy_of(self.folder / "new.yaml")

    @property
    def authority(self) -> Authority:
        return self.platform.authority

    def register(self, model: str, leakage: float = 0.5, **changes: Any) -> ModelVersion:
        """Register a version with such evidence."""
        candidate = f"{len(self.platform.registry.versions(model)):064d}"
        return self.register_with(self.evidence(model, leakage, candidate, **changes))

    def evidence(
        self, model: str, leakage: float = 0.5, candidate: str = CANDIDATE, **changes: Any
    ) -> Evidence:
        """Return evidence of features that tell that much of the target; all else is as it has to be."""
        rules = self.today.tiers["limited"]
        subject = subject_of(model, candidate)
        evidence = evidence_of(subject, rules)
        measured = record_of("feature_verification", subject, rules, max_leakage=leakage)
        gates = tuple(measured if r.gate == measured.gate else r for r in evidence.gates)
        return evidence.model_copy(update={"gates": gates, **changes})

    def register_with(self, evidence: Evidence) -> ModelVersion:
        registry, model = self.platform.registry, evidence.subject.model
        run = registry.client.create_run(registry.experiment(model)).info.run_id
        write_evidence(registry, run, evidence, self.platform.signer)
        tags = {EVIDENCE_TAG: evidence.digest}
        version = registry.register(model, run, evidence.subject.candidate, tags)
        self.platform.audit.append("register", model, version=version.version)
        return version

    def promote(self, version: ModelVersion) -> None:
        rules = self.today.tiers["limited"]
        subject = subject_of(version.model, candidate=version.candidate)
        endpoint = [record_of(gate, subject, rules) for gate in AT_THE_ENDPOINT]
        self.authority.promote(version, rules, endpoint, actor="tests")

    def approve(self, version: ModelVersion) -> None:
        decision = Decision(
            model=version.model,
            version=version.version,
            candidate=version.candidate,
            evidence=version.tags[EVIDENCE_TAG],
            decision="approve",
            reason="seen",
            at=utc_now(),
        )
        self.platform.decisions.file(sign_decision(decision, _PERSON))

    def standing(self, text: str) -> Standing:
        """Return how the one live version stands under a policy."""
        (found,) = self.standings(text)
        return found

    def standings(self, text: str) -> list[Standing]:
        return list(replay(self.authority, self.today, self.policy(text), utc_now()))


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database, made once; making it takes longer than any test here."""
    home = Home(tmp_path_factory.mktemp("template"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        MlflowRegistry(home).make_database()
    return home.root / "mlflow.db"


@pytest.fixture
def live(empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Live:
    for name in ("MLFLOW_TRACKING_URI", "MLOPS_STATE_URL", "MLOPS_AUDIT_CHECKPOINTS"):
        monkeypatch.delenv(name, raising=False)
    (file := tmp_path / "today.yaml").write_text(_TODAY)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MLOPS_POLICY", str(file))
    shutil.copy(empty_database, Home.from_environment().prepare().root)
    return Live(Platform(), tmp_path, policy_of(file))


def kinds(standing: Standing) -> tuple[list[str], list[str]]:
    return [o.kind for o in standing.today], [o.kind for o in standing.new]


def test_the_same_policy_lets_everybody_pass_as_before(live: Live) -> None:
    live.promote(live.register("m"))
    found = live.standing(_TODAY)
    assert (found.live.role, found.risk, found.outcome) == ("champion", "limited", "passes")
    assert kinds(found) == ([], [])


def test_who_no_longer_keeps_a_limit_is_told_with_the_figure_and_others_pass(live: Live) -> None:
    live.promote(live.register("close", leakage=0.85))
    live.promote(live.register("far", leakage=0.2))
    stops, passes = live.standings(_TODAY.replace("0.9}", "0.8}"))
    assert (stops.live.version.model, stops.outcome) == ("close", "stops")
    (objection,) = stops.new
    assert objection.kind == "other_policy"
    assert "under a policy looser than today's: max_leakage 0.85 breaks ≤ 0.8" in str(objection)
    assert (passes.live.version.model, passes.outcome) == ("far", "passes")


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("metric_thresholds: {required: true}", "metric_thresholds: {confidence: 0.999}", "other_policy"),
        ("lifetime: 400d", "lifetime: 0d", "expired"),
        ("needed: 0", "needed: 1", "not_approved"),
    ],
)
def test_whatever_else_a_policy_may_ask_is_replayed_too(
    before: str, after: str, kind: str, live: Live
) -> None:
    version = live.register("m", made_at=utc_now() - timedelta(hours=1))
    live.promote(version)
    assert kinds(live.standing(_TODAY.replace(before, after))) == ([], [kind])


def test_who_fails_today_is_told_apart_from_who_would_stop_passing(live: Live) -> None:
    live.promote(live.register("m", leakage=0.85))
    live.today = live.policy(_TODAY.replace("0.9}", "0.8}"))
    # Another file, because a policy is known by its file.
    (other := live.folder / "other.yaml").write_text(_TODAY.replace("0.9}", "0.7}"))
    (fails,) = replay(live.authority, live.today, policy_of(other), utc_now())
    assert (fails.outcome, kinds(fails)) == ("fails", (["other_policy"], ["other_policy"]))
    (starts,) = replay(live.authority, live.today, policy_of(live.folder / "today.yaml"), utc_now())
    assert (starts.outcome, kinds(starts)) == ("starts", (["other_policy"], []))


def test_a_version_whose_evidence_is_gone_fails_under_any_policy(live: Live) -> None:
    evidence = live.evidence("m")
    version = live.register_with(evidence)
    live.platform.registry.set_tag("m", version.version, EVIDENCE_TAG, "0" * 64)
    found = live.standing(_TODAY)
    assert (found.risk, found.outcome) == (None, "fails")
    assert kinds(found) == (["missing_evidence"], ["missing_evidence"])


def test_a_champion_is_held_against_the_evidence_it_was_released_on_and_not_against_newer(live: Live) -> None:
    version = live.register("m", leakage=0.2)
    live.promote(version)
    newer = live.evidence("m", leakage=0.85, candidate=version.candidate)
    write_evidence(live.platform.registry, version.run_id, newer, live.platform.signer)
    live.platform.registry.set_tag("m", version.version, EVIDENCE_TAG, newer.digest)
    assert live.standing(_TODAY.replace("0.9}", "0.8}")).outcome == "passes"


def test_the_champion_is_who_serves_by_right_and_not_who_the_alias_names(live: Live) -> None:
    first, second = live.register("m", leakage=0.85), live.register("m", leakage=0.2)
    live.promote(second)
    live.platform.registry.set_alias("m", CHAMPION, first.version)
    assert [(v.version.version, v.role) for v in live_versions(live.authority)] == [("2", "champion")]


def test_what_waits_and_what_is_on_trial_counts_and_each_once(live: Live) -> None:
    registry = live.platform.registry
    live.promote(live.register("m"))
    tried, waits = live.register("m"), live.register("m")
    registry.set_alias("m", CHALLENGER, tried.version)
    only_registered = live.register("other")
    registry.set_alias("other", CHALLENGER, only_registered.version)
    found = [(v.version.model, v.version.version, v.role) for v in live_versions(live.authority)]
    assert found == [
        ("m", "1", "champion"),
        ("m", waits.version, "pending"),
        ("m", tried.version, "challenger"),
        ("other", "1", "pending"),
    ]


def test_who_waits_for_people_today_still_only_waits_but_who_was_approved_may_stop_passing(
    live: Live,
) -> None:
    text = _TODAY.replace("needed: 0", "needed: 1")
    (live.folder / "asks.yaml").write_text(text)
    live.today = policy_of(live.folder / "asks.yaml")
    waits, approved = live.register("waits"), live.register("was_approved")
    live.approve(approved)
    more = live.standings(text.replace("needed: 1", "needed: 2"))
    assert {s.live.version.model: kinds(s) for s in more} == {
        waits.model: ([], []),
        approved.model: ([], ["not_approved"]),
    }
    assert "1 of 2 approvals; waiting for one more" in str(
        next(s for s in more if s.outcome == "stops").new[0]
    )


@pytest.mark.parametrize(
    "new",
    [
        _TODAY,
        _TODAY.replace("0.9}", "0.8}"),
        _TODAY.replace("needed: 0", "needed: 1"),
        _TODAY.replace("lifetime: 400d", "lifetime: 0d"),
    ],
    ids=["same", "limit", "approvals", "lifetime"],
)
def test_it_says_of_each_champion_what_the_gateway_will_say(new: str, live: Live) -> None:
    past = utc_now() - timedelta(hours=1)
    for model, leakage in (("a", 0.5), ("b", 0.85)):
        live.promote(live.register(model, leakage, made_at=past))
    policy = live.policy(new)
    prover = Prover(live.platform.verifier, lambda: policy)
    for standing in live.standings(new):
        version = standing.live.version
        refused: list[str] = []
        try:
            evidence = prover.evidence(live.platform.registry, version, version.candidate)
            prover.release(live.platform.registry, version, version.candidate, evidence)
        except Refused as error:
            refused = [o.message for o in error.objections]
        # The gateway asks for a release only once the evidence is good.
        assert [o.message for o in standing.new][: len(refused)] == refused
        assert bool(refused) == bool(standing.new)
