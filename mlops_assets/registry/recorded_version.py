"""Gather all that is recorded of a version: in the registry, the audit chain, snapshots and monitoring."""

from dataclasses import dataclass

from mlops_assets.data.snapshots import read_snapshot
from mlops_assets.errors import DataError, EvidenceError, RegistryError
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.audit_proof import prove
from mlops_assets.governance.card_facts import ColumnFacts
from mlops_assets.governance.column_profile import profile_columns
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.recorded import Recorded, ReleaseRecord
from mlops_assets.governance.signatures import Verifier
from mlops_assets.governance.version_facts import spec_of
from mlops_assets.home import Home
from mlops_assets.monitoring.fleet_state import FleetState
from mlops_assets.registry.decisions import Decisions
from mlops_assets.registry.mlflow_registry import ARTIFACT_PATH
from mlops_assets.registry.port import EVIDENCE_TAG, RELEASE_TAG, ModelVersion, Registry
from mlops_assets.registry.proof import read_evidence, read_release
from mlops_assets.registry.releases import MOVES, release_in
from mlops_assets.training.manifest import MANIFEST, SIGNATURE, Manifest
from mlops_assets.training.package import ENVIRONMENT


@dataclass(frozen=True)
class Records:
    """Where a platform keeps its records.

    Args:
        home: Where snapshots are.
        registry: Where versions are.
        verifier: The platform's public key.
        audit: What changed production.
        decisions: What people decided.
        state: What monitoring found.
    """

    home: Home
    registry: Registry
    verifier: Verifier
    audit: AuditChain
    decisions: Decisions
    state: FleetState

    def of(self, version: ModelVersion) -> Recorded:
        """Return all that is recorded of a version.

        Raises:
            EvidenceError: Something that the platform signed is missing or altered.
            RegistryError: The registry cannot be reached.
            StorageError: The audit chain or the state cannot be read.
        """
        self.audit.vouch()  # so that every entry can be proven
        evidence = read_evidence(self.registry, version, self.verifier)
        release = read_release(version, self.verifier)
        columns, note = self._columns(evidence)
        policy = self.decisions.policy
        return Recorded(
            version=version.version,
            evidence=evidence,
            sealed_evidence=self._kept(version, f"evidence/{version.tags[EVIDENCE_TAG]}.json"),
            package=self._package(version),
            release=ReleaseRecord(release, version.tags[RELEASE_TAG]) if release else None,
            columns=columns,
            columns_note=note,
            decisions=tuple(self.decisions.of(version)),
            approvers=policy.approvers,
            releases=self._releases(version.model),
            audit=prove(self.audit, version.model, self.verifier),
            audit_length=self.audit.head().length,
            audit_problems=tuple(self.audit.verify(self.verifier)),
            assessments=tuple(
                # The report lies on a machine that is nobody's business.
                found.model_dump(mode="json", exclude={"report"})
                for found in self.state.assessments(version.model)
                if found.version == version.version
            ),
            today=policy.tiers[evidence.risk],
        )

    def _kept(self, version: ModelVersion, path: str) -> bytes:
        content = self.registry.read_statement(version.run_id, path)
        if content is None:
            raise RegistryError(
                f"{version.model} version {version.version}: {path} is gone from the registry"
            )
        return content

    def _package(self, version: ModelVersion) -> dict[str, bytes]:
        """Return what tells of the package: neither the model itself nor rows of data."""
        folder = f"{ARTIFACT_PATH}/data/package"
        found = {name: self._kept(version, f"{folder}/{name}") for name in (MANIFEST, SIGNATURE)}
        if not self.verifier.verify(found[MANIFEST], found[SIGNATURE]):
            name = f"{version.model} version {version.version}"
            raise EvidenceError(f"{name}: its package is not signed with the platform key")
        if ENVIRONMENT in Manifest.from_bytes(found[MANIFEST]).files:
            found[ENVIRONMENT] = self._kept(version, f"{folder}/{ENVIRONMENT}")
        return found

    def _columns(self, evidence: Evidence) -> tuple[tuple[ColumnFacts, ...], str]:
        """Return what the columns of its snapshot hold, or why that cannot be told."""
        subject = evidence.subject
        try:
            rows = read_snapshot(self.home.snapshot(subject.model, subject.data), subject.data)
        except DataError:
            said = f"What its columns held cannot be told: snapshot {subject.data[:12]} is gone or altered."
            return (), said
        return profile_columns(rows, spec_of(evidence).data), ""

    def _releases(self, model: str) -> tuple[ReleaseRecord, ...]:
        entries = (entry for entry in self.audit.entries(model) if entry.action in MOVES)
        found = (release_in(entry, self.verifier) for entry in entries)
        return tuple(ReleaseRecord(signed.release, signed.text) for signed in found if signed)
