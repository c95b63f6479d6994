"""What is recorded of a small version, for the tests of audit packs: real signatures, a real chain."""

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mlops_assets import digests
from mlops_assets.governance import ssh_signatures
from mlops_assets.governance.approvals import Decision, sign_decision
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.audit_proof import prove
from mlops_assets.governance.card_facts import ColumnFacts
from mlops_assets.governance.components import Component
from mlops_assets.governance.environment import Environment
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.recorded import Recorded, ReleaseRecord
from mlops_assets.governance.release import Release
from mlops_assets.governance.signatures import Signer
from mlops_assets.specs.approver import Approver
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules
from mlops_assets_tests.governance.cards import small_spec
from mlops_assets_tests.vouching import evidence_of, release_of, rules_of, subject_of

RUN = "4a7ea615-6681-40c6-8144-5ae2b5b4790e"
SPEC = small_spec(
    card={"limits": "Not for people.", "groups": "Nobody at all.", "residual_risks": "It drifts."}
)
ENVIRONMENT = Environment(
    python="3.11.9",
    components=(Component("numpy", "2.4.6", "BSD-3-Clause", "BSD", "NumPy Developers"),),
)
FILES = {"estimator.pkl": "e" * 64, "environment.json": digests.of_bytes(ENVIRONMENT.to_bytes())}
MANIFEST = digests.canonical_json({"format": 1, "model": "small", "files": FILES})
COLUMNS = (ColumnFacts(name="a", role="feature", type="number", low="0", high="9", distinct=10),)


def approver_of(name: str, key: Ed25519PrivateKey, **changes: Any) -> Approver:
    """Return a person who may approve."""
    line = ssh_signatures.public_line(key)
    return Approver.model_validate(
        {"name": name, "key": line, "identities": [f"{name}@example.com"], **changes}
    )


def small_evidence(
    spec: ModelSpec = SPEC, rules: Rules | None = None, made_at: datetime | None = None, **changes: Any
) -> Evidence:
    """Return evidence of a candidate whose package, spec and environment are those of this file."""
    made_at = made_at or utc_now()
    facts = {
        "as_of": "2024-07-01T00:00:00",
        "window": "2024-01-01T00:00:00/2024-07-01T00:00:00",
        "trained_until": "2024-06-01T00:00:00",
        "rows": "1200",
        "rows_holdout": "200",
        "runtime": "native",
        "mlflow_run": "m" * 32,
        "dagster_run": RUN,
    }
    stages = ("raw_data", "validated_features", "trained_model", "evaluation", "registered_version")
    for number, stage in enumerate(stages, start=-len(stages)):
        start, end = (made_at + timedelta(minutes=number + later) for later in (0, 1))
        facts |= {f"{stage}.run": RUN, f"{stage}.time": f"{start.isoformat()}/{end.isoformat()}"}
    subject = subject_of(
        spec.name,
        digests.of_bytes(MANIFEST),
        spec=digests.of_json(spec.model_dump(mode="json")),
        environment=ENVIRONMENT.digest,
    )
    value = {"spec": spec.model_dump(mode="json"), "facts": facts, "made_at": made_at, **changes}
    return evidence_of(subject, rules or rules_of("minimal"), "minimal", **value)


class Platform:
    """A platform with one key and one audit chain, on which the model ``small`` lives among others.

    Args:
        folder: Where its key and its chain are.
    """

    def __init__(self, folder: Path) -> None:
        self.signer = Signer.for_home(folder)
        self.chain = AuditChain(f"sqlite:///{folder / 'fleet.db'}", folder / "audit", lambda: self.signer)
        self.person = Ed25519PrivateKey.generate()
        self.approvers = (
            approver_of("Ada", self.person),
            approver_of("Bob", Ed25519PrivateKey.generate()),
        )

    def released(
        self, evidence: Evidence, version: str = "1", serial: int = 1, **changes: Any
    ) -> ReleaseRecord:
        """Register, approve and release a version, with another model's entries in between."""
        chain, subject = self.chain, evidence.subject
        chain.append("register", "small", version=version, evidence=evidence.digest)
        chain.append("promote", "other", reason="nobody's business")
        decision = Decision(
            model="small",
            version=version,
            candidate=subject.candidate,
            evidence=evidence.digest,
            decision="approve",
            reason="in order",
            at=evidence.made_at,
        )
        signed = sign_decision(decision, self.person)
        chain.append("approve", "small", version=version, signed=signed.model_dump(mode="json"))
        value = {"approvals": (signed,), "at": evidence.made_at, "run": RUN, **changes}
        release: Release = release_of(evidence, version, serial, **value)
        record = ReleaseRecord(release, release.sealed(self.signer))
        chain.append(release.action, "small", version=version, release=record.sealed)
        chain.append("refuse", "other", reason="nobody's business either")
        return record

    def package(self, manifest: bytes, environment: Environment | None) -> dict[str, bytes]:
        """Return the files of a package that tell of it, signed."""
        made_with = {"environment.json": environment.to_bytes()} if environment else {}
        return {"manifest.json": manifest, "manifest.sig": self.signer.sign(manifest), **made_with}

    def recorded(self, evidence: Evidence, *releases: ReleaseRecord, **changes: Any) -> Recorded:
        """Return all that is recorded of the version that the newest release is of."""
        release = releases[-1] if releases else None
        value: dict[str, Any] = {
            "version": release.release.version if release else "1",
            "evidence": evidence,
            "sealed_evidence": evidence.sealed(self.signer).encode(),
            "package": self.package(MANIFEST, ENVIRONMENT),
            "release": release,
            "columns": COLUMNS,
            "columns_note": "",
            "decisions": release.release.approvals if release else (),
            "approvers": self.approvers,
            "releases": releases,
            "audit": prove(self.chain, "small", self.signer.verifier),
            "audit_length": self.chain.head().length,
            "audit_problems": tuple(self.chain.verify(self.signer.verifier)),
            "assessments": ({"version": "1", "harm": False},),
            "today": rules_of("minimal"),
        }
        return dataclasses.replace(Recorded(**value), **changes)
