"""What is attacked: a home in which models serve, everything that changes it, and gateways that follow it.

The model ``m`` is known by its answers: version 1 answers 1, and so on.

=========  ===============================================================================
version 1  served first
version 2  is the champion
version 3  has good evidence, and nobody released it
``weak``   an MLflow run with a signed package that answers 13 and that the gates refused
=========  ===============================================================================

The model ``n``, version 1, which answers 11, is registered beside it.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from mlflow import MlflowClient

from mlops_assets.governance import ssh_signatures
from mlops_assets.governance.approvals import Decision, SignedDecision, sign_decision
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.evidence import Evidence
from mlops_assets.home import Home
from mlops_assets.registry.authority import Authority
from mlops_assets.registry.decisions import Decisions
from mlops_assets.registry.mlflow_registry import ARTIFACT_PATH
from mlops_assets.registry.port import EVIDENCE_TAG, PREVIOUS_CHAMPION, ModelVersion, RegistryReader
from mlops_assets.registry.promotion import Move
from mlops_assets.registry.proof import read_evidence, write_evidence
from mlops_assets.registry.reading import registry_reader
from mlops_assets.serving.marks import Marks, entered_in
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.sqlite_watch import change_detector
from mlops_assets.specs.approver import Approver
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.gate_rules import AT_THE_ENDPOINT
from mlops_assets.specs.policy import Risk
from mlops_assets.specs.policy_file import Policy, load_policy
from mlops_assets_tests.fleets import Fleet, InProcess, constant, in_process
from mlops_assets_tests.vouching import evidence_of, record_of, subject_of

# Whether to take the time for all that can be asked, see docs/security.md.
LONG = "ATTACK_SEQUENCES" in os.environ
DATABASES = ("mlflow.db", "fleet.db")
ROW = {"dataframe_records": [{"x": 1.0}]}
KEYS = {name: Ed25519PrivateKey.generate() for name in ("Ada", "Grace", "Mallory")}


def approver(name: str, key: Ed25519PrivateKey | None = None, **more: Any) -> Approver:
    """Return a person whom the policy lists."""
    line = ssh_signatures.public_line(key or KEYS[name])
    return Approver(name=name, key=line, **{"identities": (f"{name.lower()}@example.com",), **more})


def some(*variants: Any) -> list[Any]:
    """Return variants of one attack; if there is no time for all, the first and the last."""
    return list(variants) if LONG else [variants[0], variants[-1]]


@dataclass
class Production:
    """A home, and what changes it by right."""

    fleet: Fleet
    policy: Policy = field(
        default_factory=lambda: replace(load_policy(), approvers=(approver("Ada"), approver("Grace")))
    )

    @property
    def home(self) -> Home:
        """Where everything is."""
        return self.fleet.home

    @property
    def registry(self) -> Any:
        """The registry, as the platform sees it."""
        return self.fleet.registry

    @cached_property
    def reader(self) -> RegistryReader:
        """The registry, as a gateway reads it."""
        return registry_reader(self.home)

    @property
    def mlflow(self) -> MlflowClient:
        """The registry, as anybody sees it who may write to it."""
        client: MlflowClient = self.fleet.registry.client
        return client

    @cached_property
    def audit(self) -> AuditChain:
        """The audit chain."""
        return AuditChain(self.home.state_url, self.home.audit_checkpoints, lambda: self.fleet.signer)

    @property
    def findings(self) -> str:
        """What ``mlops-assets audit --verify`` finds."""
        return "; ".join(self.audit.verify(self.fleet.signer.verifier))

    @property
    def decisions(self) -> Decisions:
        """What people decided, by the policy as it stands."""
        return Decisions(self.registry, self.fleet.signer.verifier, self.audit, self.policy)

    @property
    def authority(self) -> Authority:
        """What promotes and rolls back."""
        signer = self.fleet.signer
        return Authority(self.registry, signer.verifier, self.audit, lambda: signer, self.decisions)

    def add(
        self, value: float, model: str = "m", risk: Risk = "limited", onnx: bool = True, **changes: Any
    ) -> ModelVersion:
        """Register a candidate that every gate vouches for, as the road does."""
        run, candidate = self.trained(value, model, onnx)
        evidence = evidence_of(subject_of(model, candidate), risk=risk, **changes)
        write_evidence(self.registry, run, evidence, self.fleet.signer)
        return self.fleet.registry.register(model, run, candidate, {EVIDENCE_TAG: evidence.digest})

    def trained(self, value: float, model: str = "m", onnx: bool = True) -> tuple[str, str]:
        """Train and sign a package that answers ``value``; return its run and its digest."""
        run = self.fleet.train(constant(model, value), onnx=onnx)
        return run, self.fleet.trained_package(run).digest

    def version(self, version: str, model: str = "m") -> ModelVersion:
        """Return a version that exists."""
        found = self.fleet.registry.version(model, version)
        assert found is not None
        return found

    def evidence(self, version: str, model: str = "m") -> Evidence:
        """Return a version's evidence."""
        return read_evidence(self.registry, self.version(version, model), self.fleet.signer.verifier)

    def promote(self, version: str, model: str = "m") -> Move:
        """Promote a version as the deployment does when it was found in order at the endpoint."""
        evidence = self.evidence(version, model)
        endpoint = [record_of(gate, evidence.subject, evidence.rules) for gate in AT_THE_ENDPOINT]
        rules = self.policy.tiers[evidence.risk]
        return self.authority.promote(self.version(version, model), rules, endpoint, actor="deployer")

    def roll_back(self, to: str | None = None) -> Move:
        """Roll back as somebody on call does."""
        return self.authority.roll_back("m", to, actor="on-call", reason="it errs")

    def decided(
        self,
        name: str,
        version: str,
        decision: Literal["approve", "reject"] = "approve",
        *,
        key: Ed25519PrivateKey | None = None,
        at: datetime | None = None,
        **changes: str,
    ) -> SignedDecision:
        """Return what a person signed about a version of ``m``."""
        evidence = self.evidence(version)
        said = {
            "model": "m",
            "version": version,
            "candidate": evidence.subject.candidate,
            "evidence": evidence.digest,
            "decision": decision,
            "reason": "looked at it",
            "at": at or utc_now(),
        }
        return sign_decision(Decision.model_validate({**said, **changes}), key or KEYS[name])

    @contextmanager
    def gateway(self, remembers: bool = True, tells_changes: bool = True) -> Iterator[InProcess]:
        """Start a gateway on this home; one that remembers nothing is a new machine."""
        verifier = self.fleet.signer.verifier
        marks = Marks(
            self.home.served if remembers else None, entered_in(self.audit, verifier), verifier=verifier
        )
        prover = Prover(verifier, lambda: self.policy)
        log = self.home.root / "log.db"
        changed = change_detector(self.registry.uri) if tells_changes else None
        with in_process(self.fleet, log, marks, prover, changed, registry=self.reader) as inside:
            yield inside

    def package(self, version: str, model: str = "m") -> Path:
        """Return where the artifact store keeps a version's package."""
        return self.artifacts(self.version(version, model).run_id) / ARTIFACT_PATH / "data" / "package"

    def artifacts(self, run_id: str) -> Path:
        """Return where the artifact store keeps what a run logged."""
        return Path(self.mlflow.get_run(run_id).info.artifact_uri.removeprefix("file://"))

    def evidence_file(self, version: str, model: str = "m") -> Path:
        """Return where the artifact store keeps a version's evidence."""
        found = self.version(version, model)
        return self.artifacts(found.run_id) / "evidence" / f"{found.tags[EVIDENCE_TAG]}.json"

    def by_hand(self, run_id: str, model: str = "m", **tags: str) -> str:
        """Make a version of a run as with the MLflow UI; return its number."""
        named = {name.replace("_", "."): value for name, value in tags.items()}
        made = self.mlflow.create_model_version(model, f"runs:/{run_id}/{ARTIFACT_PATH}", run_id, tags=named)
        return str(made.version)

    def crown(self, version: str, model: str = "m") -> None:
        """Point the alias ``champion`` at a version, as with the MLflow UI."""
        self.mlflow.set_registered_model_alias(model, "champion", version)


@dataclass(frozen=True)
class Saved:
    """A home as it was once, to which it can be put back while connections to its databases stay open.

    A home for each attack would cost each of them a second: MLflow builds all its queries anew.
    """

    home: Path
    copy: Path

    @classmethod
    def of(cls, home: Path, copy: Path) -> "Saved":
        """Save a home."""
        shutil.copytree(home, copy)
        return cls(home, copy)

    def restore(self) -> None:
        """Put everything back."""
        for name in DATABASES:
            paths = self.copy / name, self.home / name
            with closing(sqlite3.connect(paths[0])) as saved, closing(sqlite3.connect(paths[1])) as database:
                saved.backup(database)
        for old in self.home.iterdir():
            if not old.name.startswith(DATABASES):
                shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        shutil.copytree(
            self.copy, self.home, ignore=lambda _, names: set(names) & set(DATABASES), dirs_exist_ok=True
        )


def established(root: Path) -> Production:
    """Make a home as told above."""
    made = Production(Fleet(Home(root)))
    for value in (1.0, 2.0, 3.0):
        version = made.add(value)
        if value < 3:
            made.promote(version.version)
    made.add(11.0, "n")
    # The way back is known without; and no gateway has to load a version that few attacks are about.
    made.mlflow.delete_registered_model_alias("m", PREVIOUS_CHAMPION)
    made.trained(13.0)
    return made


@dataclass
class Watched:
    """A production with a gateway that ran before the attack began.

    Attributes:
        production: What is attacked.
        gateway: The gateway.
        weak: The run that the gates refused.
    """

    production: Production
    gateway: InProcess
    weak: str

    def answer(self, gateway: InProcess | None = None, model: str = "m") -> tuple[str, float] | int:
        """Return which version answers and what, or the status with which nobody does."""
        gateway = gateway or self.gateway
        gateway.settle()
        answered = gateway.client.post(f"/models/{model}/invocations", json=ROW)
        if answered.status_code != 200:
            return int(answered.status_code)
        body = answered.json()
        return body["version"], body["predictions"][0]

    def incidents(self, gateway: InProcess | None = None) -> dict[str, str]:
        """Return what the gateway reports as wrong, by kind."""
        found = (gateway or self.gateway).client.get("/v2/health/ready").json()["problems"]
        return {problem["kind"]: problem["message"] for problem in found}

    def holds(
        self,
        incident: str | None,
        said: str = "",
        *,
        champion: tuple[str, float] = ("2", 2.0),
        restarted: tuple[str, float] | int | None = None,
        audit: str = "",
    ) -> None:
        """Assert that an attack changed nothing that serves, and that it is reported.

        It is asked of the gateway that was there before, and of one on another machine that remembers
        nothing but what the audit chain says; with ATTACK_SEQUENCES set, also of one that was started again.

        Args:
            incident: What kind of incident the gateway reports; None if there is nothing to report.
            said: What its message says.
            champion: Which version answers, and what.
            restarted: The same after a restart, if the attack makes the champion unloadable.
            audit: What the verification of the audit chain says; nothing if it is as it was written.
        """
        assert self.answer() == champion
        self._reported(self.gateway, incident, said)
        expected = champion if restarted is None else restarted
        for remembers in (False, True) if LONG else (False,):
            with self.production.gateway(remembers) as again:
                assert self.answer(again) == expected, f"with a memory: {remembers}"
                if expected == champion:
                    self._reported(again, incident, said)
        findings = self.production.findings
        assert audit in findings if audit else not findings

    def _reported(self, gateway: InProcess, incident: str | None, said: str) -> None:
        incidents = self.incidents(gateway)
        if incident is None:
            assert incidents == {}
        else:
            assert said in incidents.get(incident, ""), incidents

    def promotes(self, value: float = 5.0) -> None:
        """Assert that what is done by right still gets through."""
        version = self.production.add(value).version
        self.production.promote(version)
        assert self.answer() == (version, value)
        assert self.incidents() == {}
