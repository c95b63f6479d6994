"""One model, whoever changes it by right, and a gateway; and what may serve, worked out apart from them.

The registry is one in memory that does what MLflow does (``test_memory_registry.py``). The rest is real: the
gateway's router, the authority, evidence, releases, approvals, the audit chain, signed packages. What may
serve is worked out apart from them, from bytes (``oracle.py``).
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mlops_assets.data.features import FeatureView, types_of
from mlops_assets.errors import MlopsError
from mlops_assets.governance.approvals import Decision, sign_decision
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.evidence import Evidence, objections
from mlops_assets.governance.signatures import Signer
from mlops_assets.registry import authority as authority_module
from mlops_assets.registry import decisions as decisions_module
from mlops_assets.registry.authority import Authority
from mlops_assets.registry.decisions import Decisions
from mlops_assets.registry.port import (
    CHAMPION,
    EVIDENCE_TAG,
    RELEASE_TAG,
    ModelVersion,
)
from mlops_assets.registry.proof import Refused, write_evidence
from mlops_assets.serving import proving, routing
from mlops_assets.serving.marks import Marks, entered_in
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.routing import Router
from mlops_assets.specs.gate_rules import AT_THE_ENDPOINT, EVIDENT
from mlops_assets.specs.policy import Risk, Rules
from mlops_assets.specs.policy_file import Policy, load_policy
from mlops_assets.training.manifest import Manifest
from mlops_assets.training.package_writer import write_package
from mlops_assets_tests.attacks import oracle
from mlops_assets_tests.attacks.memory_registry import Files, MemoryRegistry
from mlops_assets_tests.attacks.production import approver
from mlops_assets_tests.fleets import constant
from mlops_assets_tests.vouching import evidence_of, record_of, subject_of

MODEL = "m"
SIGNER, STRANGER = Signer(Ed25519PrivateKey.generate()), Signer(Ed25519PrivateKey.generate())
KEY = SIGNER._key.public_key()
PEOPLE = {name: Ed25519PrivateKey.generate() for name in ("Ada", "Grace", "Mallory")}
LISTED = tuple(approver(name, PEOPLE[name]) for name in ("Ada", "Grace"))
START = datetime(2026, 1, 1)
RISKS: tuple[Risk, ...] = ("limited", "high")
CANDIDATES = 8


@cache
def packages() -> list[tuple[str, Files]]:
    """Return signed packages that answer 0, 1, 2 and so on, each with its digest."""
    made = []
    for value in range(CANDIDATES):
        training = constant(MODEL, float(value))
        view = FeatureView(training.inputs)
        features = view.compute(training.frame)
        manifest = Manifest(
            model=MODEL,
            task="regression",
            inputs=training.inputs,
            feature_names=tuple(features.columns),
            feature_types=types_of(features),
            feature_function=None,
            classes=(),
            runtime="native: small",
            time_column="at",
            target="y",
            lineage={},
        )
        with tempfile.TemporaryDirectory() as folder:
            estimator = training.estimator.fit(features, training.frame["y"])
            package = write_package(Path(folder), estimator, view, manifest, None, training.frame, SIGNER)
            made.append((package.digest, {f.name: f.read_bytes() for f in Path(folder).iterdir()}))
    return made


@dataclass(frozen=True)
class Moved:
    """What the authority did, and the bytes it rested on."""

    version: str
    run_id: str
    candidate: str
    release: str
    evidence: bytes

    @property
    def evidence_digest(self) -> str:
        return str(json.loads(self.release)["value"]["evidence"])


class AtOnce:
    """Loads in the same thread, so that each run of a sequence is like the last."""

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


class Estate:
    """One model, whoever changes it by right, and a gateway."""

    def __init__(self) -> None:
        shared = Path("/dev/shm")
        self.root = Path(tempfile.mkdtemp(prefix="estate-", dir=shared if shared.is_dir() else None))
        self.patch = pytest.MonkeyPatch()
        # Whatever fails here, no clock stays patched: else the tests after it would fail for nothing.
        with ExitStack() as undone:
            undone.callback(self.end)
            self._begin()
            undone.pop_all()

    def _begin(self) -> None:
        self.now, self.ticks = START, 0.0
        for module in (authority_module, decisions_module, proving):
            self.patch.setattr(module, "utc_now", lambda: self.now)
        self.patch.setattr(routing, "time", SimpleNamespace(monotonic=lambda: self.ticks))
        self.limit, self.days_valid, self.revoked = 0.08, 400, False
        self.registry = MemoryRegistry()
        self.audit = AuditChain(f"sqlite:///{self.root / 'fleet.db'}", self.root / "audit", lambda: SIGNER)
        self.runs: dict[str, int] = {}
        self.original: dict[str, bytes] = {}
        self.decided: list[Any] = []
        self.moves: list[Moved] = []
        self.backup: list[Any] = []
        self.served: tuple[str, str] | None = None
        self.high = -1
        self.tampered = False
        self.start_gateway()
        for candidate in range(3):
            version = self.register(candidate, 0.02, "limited")
            assert version is not None
            if candidate < 2:
                assert self.promote(version)
        self.follow()
        assert self.served == ("2", packages()[1][0])

    def end(self) -> None:
        """Forget everything."""
        self.patch.undo()
        shutil.rmtree(self.root)

    # --- by right -----------------------------------------------------------------------------------------

    @property
    def policy(self) -> Policy:
        policy = load_policy()
        tiers = {risk: self.tier(policy, risk) for risk in RISKS}
        revoked = self.now.date() if self.revoked else None
        listed = tuple(a.model_copy(update={"revoked_on": revoked}) if a.name == "Ada" else a for a in LISTED)
        return replace(policy, tiers={**policy.tiers, **tiers}, approvers=listed)

    def tier(self, policy: Policy, risk: Risk) -> Rules:
        rules = policy.tiers[risk]
        gates = rules.gates.model_copy(
            update={"calibration": rules.gates.calibration.model_copy(update={"max_error": self.limit})}
        )
        evidence = rules.evidence.model_copy(update={"lifetime": timedelta(days=self.days_valid)})
        return rules.model_copy(update={"gates": gates, "evidence": evidence})

    @property
    def decisions(self) -> Decisions:
        return Decisions(self.registry, SIGNER.verifier, self.audit, self.policy)

    @property
    def authority(self) -> Authority:
        return Authority(self.registry, SIGNER.verifier, self.audit, lambda: SIGNER, self.decisions)

    def pick(self, n: int) -> ModelVersion | None:
        """Return one of the versions, if there are any."""
        versions = self.registry.versions(MODEL)
        return versions[n % len(versions)] if versions else None

    def register(self, candidate: int, error: float, risk: Risk, age: int = 0) -> ModelVersion | None:
        digest, files = packages()[candidate]
        evidence = self.vouched(digest, error, risk, age)
        if list(objections(evidence, digest, MODEL, self.policy.tiers[risk], self.now)):
            return None  # the road refuses it
        run = f"run {len(self.runs)}"
        self.runs[run] = candidate
        self.registry.packages[run] = dict(files)
        return self.registry.register(MODEL, run, digest, {EVIDENCE_TAG: self.kept(run, evidence)})

    def vouched(self, digest: str, error: float, risk: Risk, age: int) -> Evidence:
        rules, subject = self.policy.tiers[risk], subject_of(MODEL, digest)
        made = self.now - timedelta(days=age)
        gates = tuple(
            record_of(g, subject, rules, made, **({"max_error": error} if g == "calibration" else {}))
            for g in EVIDENT
        )
        return evidence_of(subject, rules, risk, gates=gates, made_at=made)

    def kept(self, run: str, evidence: Evidence) -> str:
        write_evidence(self.registry, run, evidence, SIGNER)
        (name,) = (n for n in self.registry.statements[run] if evidence.digest in n)
        self.original[evidence.digest] = self.registry.statements[run][name]
        return evidence.digest

    def renew(self, n: int, error: float) -> None:
        """Give a version new evidence, as the road does."""
        version = self.pick(n)
        if version is None or version.run_id not in self.runs:
            return
        digest, _ = packages()[self.runs[version.run_id]]
        evidence = self.vouched(digest, error, "limited", 0)
        if not list(objections(evidence, digest, MODEL, self.policy.tiers["limited"], self.now)):
            self.registry.set_tag(MODEL, version.version, EVIDENCE_TAG, self.kept(version.run_id, evidence))

    def promote(self, version: ModelVersion) -> bool:
        """Promote as the deployment does; return whether it was allowed."""
        try:
            content = self.registry.read_statement(
                version.run_id, f"evidence/{version.tags.get(EVIDENCE_TAG)}.json"
            )
            evidence = Evidence.unsealed(content or b"", SIGNER.verifier)
            endpoint = [record_of(g, evidence.subject, evidence.rules, self.now) for g in AT_THE_ENDPOINT]
            rules = self.policy.tiers[evidence.risk]
            with self.watching():
                self.authority.promote(version, rules, endpoint, actor="deployer")
        except MlopsError:
            return False
        return True

    def roll_back(self, n: int | None) -> None:
        """Roll back as somebody on call does, to a version or to the one before."""
        version = self.pick(n) if n is not None else None
        with suppress(MlopsError), self.watching():
            to = version.version if version else None
            self.authority.roll_back(MODEL, to, actor="on-call", reason="it errs")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note down what the authority moved, by the release that it has left on a version."""
        self.now += timedelta(minutes=1)
        before = {v.version: v.tags.get(RELEASE_TAG) for v in self.registry.versions(MODEL)}
        yield
        for version in self.registry.versions(MODEL):
            release = version.tags.get(RELEASE_TAG)
            if release is None or release == before.get(version.version):
                continue
            said = oracle.statement("release/1", release, KEY)
            assert said is not None
            # On what it rests the authority has read just now, so it is there.
            content = self.registry.read_statement(version.run_id, f"evidence/{said['evidence']}.json")
            assert content is not None
            self.moves.append(Moved(version.version, version.run_id, version.candidate, release, content))
            self.tampered = False

    def decide(self, n: int, name: str, decision: Any) -> None:
        """Have a person decide about a version."""
        version = self.pick(n)
        named = version.tags.get(EVIDENCE_TAG) if version else None
        if version is None or not named or not version.candidate:
            return
        made = Decision(
            model=MODEL,
            version=version.version,
            candidate=version.candidate,
            evidence=named,
            decision=decision,
            reason="looked at it",
            at=self.now,
        )
        signed = sign_decision(made, PEOPLE[name])
        self.decided.append(signed.model_dump(mode="json"))
        with suppress(MlopsError):
            self.decisions.file(signed)

    def start_gateway(self) -> None:
        """Start the gateway, again maybe."""
        entered = entered_in(self.audit, SIGNER.verifier)
        self.router = Router(
            self.registry,
            Prover(SIGNER.verifier, lambda: self.policy),
            Marks(self.root / "served.json", entered),
        )
        self.router._loads._threads.shutdown()
        self.router._loads._threads = AtOnce()  # type: ignore[assignment]
        self.served = None

    def mend_store(self) -> None:
        """Put back what the store held."""
        for run, candidate in self.runs.items():
            self.registry.packages[run] = dict(packages()[candidate][1])
        for kept in self.registry.statements.values():
            for name in kept:
                digest = Path(name).stem
                if digest in self.original:
                    kept[name] = self.original[digest]

    # --- what holds -----------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Have the gateway look until nothing is loading, a minute after it looked last."""
        self.ticks += 120.0
        self.router.follow()
        for _ in range(20):
            if not self.router._loads.pending:
                break
            self.router.follow()
        else:
            raise AssertionError(f"it loads again and again: {list(self.router._loads.pending)}")
        self.look()

    def look(self) -> None:
        """Hold what serves against what may serve."""
        serving = self.serving()
        if serving is not None:
            allowed = [
                place
                for place, moved in enumerate(self.moves)
                if (moved.version, moved.candidate) == serving and place >= self.high
            ]
            assert allowed, f"version {serving} serves, and what served before was promoted after it"
            if serving != self.served:
                proven = [place for place in allowed if self.objection(self.moves[place]) is None]
                assert proven, f"{serving} took over: {[self.objection(self.moves[p]) for p in allowed]}"
                self.high = proven[-1]
        self.served = serving
        if self.moves and self.is_there(self.moves[-1]):
            latest = self.moves[-1]
            assert serving == (latest.version, latest.candidate), (
                f"{latest.version} was promoted and is in order"
            )
            self.high = len(self.moves) - 1
        model = self.registry.models().get(MODEL)
        named = model.aliases.get(CHAMPION) if model else None
        if named is not None and named != (serving[0] if serving else None):
            assert self.router.table.problems, f"the alias names {named}, and nobody is told"

    def answers_as_it_was_signed(self) -> None:
        """Ask what serves, whose answer tells which it is."""
        serving = self.serving()
        if serving is None:
            return
        assert serving == self.served
        resident = self.router.table.resolve(MODEL, None)
        (value,) = (n for n, (digest, _) in enumerate(packages()) if digest == serving[1])
        frame = constant(MODEL, 0.0).rows.head(1)
        assert resident.package.predict(frame).tolist() == [float(value)]

    def serving(self) -> tuple[str, str] | None:
        route = self.router.table.routes.get(MODEL)
        if route is None or route.champion is None:
            return None
        return route.champion, route.loaded[route.champion].package.digest

    def objection(self, moved: Moved) -> str | None:
        """Return why a version may not take over now, by the bytes it was promoted with."""
        release = oracle.statement("release/1", moved.release, KEY)
        evidence = oracle.statement("evidence/1", moved.evidence, KEY)
        if release is not None:
            release["approvals"] = [signed for signed in release["approvals"] if signed in self.decided]
        return oracle.objection(release, evidence, moved.candidate, self.demands(), self.now)

    def is_there(self, moved: Moved) -> bool:
        """Return whether a version may take over, and all that it takes to know so is where it was."""
        found = self.registry.version(MODEL, moved.version)
        if found is None or (found.run_id, found.candidate) != (moved.run_id, moved.candidate):
            return False
        carried = found.tags.get(RELEASE_TAG) == moved.release
        named = self.registry.by_alias(MODEL, CHAMPION)
        known = not self.tampered or (carried and named is not None and named.version == moved.version)
        digest = moved.evidence_digest
        files = self.registry.packages.get(moved.run_id, {})
        return (
            known
            and self.objection(moved) is None
            and (found.tags.get(EVIDENCE_TAG) == digest or carried)
            and self.registry.read_statement(moved.run_id, f"evidence/{digest}.json") == moved.evidence
            and oracle.package_digest(files, KEY) == moved.candidate
        )

    def demands(self) -> oracle.Demands:
        policy = self.policy
        limits = {
            risk: {
                gate: {name: value for name, (_, value) in rules.gates.of(gate).limits().items()}
                for gate in EVIDENT
                if rules.gates.of(gate).required
            }
            for risk, rules in policy.tiers.items()
        }
        revoked: dict[str, date] = {a.fingerprint: a.revoked_on for a in policy.approvers if a.revoked_on}
        return oracle.Demands(
            limits,
            {risk: rules.evidence.lifetime for risk, rules in policy.tiers.items()},
            {risk: rules.approvals.needed for risk, rules in policy.tiers.items()},
            {a.fingerprint: a.name for a in policy.approvers},
            revoked,
        )

    def what_is_done_by_right_serves(self) -> None:
        """Whatever was done before: a good candidate that is registered and promoted by right serves."""
        version = self.register(CANDIDATES - 1, 0.01, "limited")
        assert version is not None
        try:
            assert self.promote(version)
        except Refused as error:  # pragma: no cover
            raise AssertionError(str(error)) from error
        self.follow()
        assert self.served == (version.version, version.candidate)
