"""All that is recorded of a version: what its audit pack is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops_assets.governance.approvals import SignedDecision
from mlops_assets.governance.audit_proof import Proven
from mlops_assets.governance.card_facts import ColumnFacts
from mlops_assets.governance.environment import Environment
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.release import Release
from mlops_assets.specs.approver import Approver
from mlops_assets.specs.policy import Rules
from mlops_assets.verdict import Verdict, judge


@dataclass(frozen=True)
class ReleaseRecord:
    """A release, and the text in which it is signed."""

    release: Release
    sealed: str


@dataclass(frozen=True)
class Recorded:
    """All that is recorded of a version.

    Attributes:
        version: The version in the registry.
        evidence: Its evidence, verified.
        sealed_evidence: The evidence as it was signed.
        package: Files of the packaged model by name: its manifest, the signature, what it was made with.
        release: What lets it serve, if it was released.
        columns: The columns of its snapshot.
        columns_note: Why they are not told; empty if they are.
        decisions: What people decided about it, oldest first.
        approvers: Who may approve, by today's policy.
        releases: All releases of the model, oldest first.
        audit: The model's audit entries and their proof.
        audit_length: How many entries the whole audit chain has.
        audit_problems: What is wrong with the whole audit chain.
        assessments: What monitoring found about it.
        today: What the policy demands of it today.
    """

    version: str
    evidence: Evidence
    sealed_evidence: bytes
    package: Mapping[str, bytes]
    release: ReleaseRecord | None
    columns: tuple[ColumnFacts, ...]
    columns_note: str
    decisions: tuple[SignedDecision, ...]
    approvers: tuple[Approver, ...]
    releases: tuple[ReleaseRecord, ...]
    audit: Proven
    audit_length: int
    audit_problems: tuple[str, ...]
    assessments: tuple[dict[str, Any], ...]
    today: Rules

    @property
    def environment(self) -> Environment | None:
        """What it was made with, if that was recorded."""
        content = self.package.get("environment.json")
        return Environment.from_bytes(content) if content is not None else None

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """What all gates said, under the rules of their time; those on the endpoint last."""
        endpoint = self.release.release.endpoint if self.release else ()
        gates = self.evidence.rules.gates
        return (
            *self.evidence.verdicts().values(),
            *(judge(record.measurement, gates.of(record.gate)) for record in endpoint),
        )

    @property
    def deciders(self) -> tuple[Approver, ...]:
        """Every listing of those who decided about the version: a person may have had several keys."""
        keys = {signed.key for signed in self.decisions}
        persons = {a.person for a in self.approvers if a.fingerprint in keys}
        return tuple(a for a in self.approvers if a.person in persons)
