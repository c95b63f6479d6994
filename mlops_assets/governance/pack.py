"""The audit pack of a version: all that is recorded of it, in one archive that the platform signs.

Nothing in it is made for the occasion. What is signed is in it as it was signed; what is derived (model card,
tables, bill of materials, lineage) follows from that. The same record gives the same bytes.
"""

import uuid
from collections.abc import Iterator
from typing import Any, ClassVar

from mlops_assets import digests
from mlops_assets.errors import EvidenceError
from mlops_assets.governance.archive import archived
from mlops_assets.governance.card_facts import CardFacts
from mlops_assets.governance.documents import data_sheet, model_card
from mlops_assets.governance.environment import Environment
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.lineage_events import lineage_events
from mlops_assets.governance.measured_tables import (
    FIGURES,
    GROUPS,
    as_csv,
    as_json,
    figure_rows,
    group_rows,
)
from mlops_assets.governance.pack_index import index
from mlops_assets.governance.recorded import Recorded
from mlops_assets.governance.sbom import sbom
from mlops_assets.governance.signatures import Signer
from mlops_assets.governance.ssh_signatures import NAMESPACE
from mlops_assets.governance.statement import Sealed
from mlops_assets.governance.version_facts import version_facts
from mlops_assets.specs.approver import Approver
from mlops_assets.specs.secrets import holds_secret
from mlops_assets.version import __version__

PACK = "pack/1"
MANIFEST = "manifest.json"


class PackManifest(Sealed):
    """What a pack is, and the digest of every other file in it: the one thing that is signed anew.

    Attributes:
        model: Model name.
        version: The version it is about.
        candidate: Digest of that version's package.
        evidence: Digest of its evidence.
        audit_length: How many entries the audit chain had when the pack was made.
        platform: Version of the platform that made it.
        files: SHA-256 of each file, by name.
    """

    kind: ClassVar[str] = PACK

    model: str
    version: str
    candidate: str
    evidence: str
    audit_length: int
    platform: str
    files: dict[str, str]


def make_pack(recorded: Recorded, signer: Signer) -> bytes:
    """Return the audit pack of a version: a ZIP archive.

    Raises:
        EvidenceError: The record is of another form than today's, or its spec holds what looks like a secret.
    """
    files = dict(_files(recorded))
    files["README.md"] = index(recorded, sorted(files))
    _require_no_secret(files["spec.json"])
    evidence = recorded.evidence
    manifest = PackManifest(
        model=evidence.subject.model,
        version=recorded.version,
        candidate=evidence.subject.candidate,
        evidence=evidence.digest,
        audit_length=recorded.audit_length,
        platform=__version__,
        files={name: digests.of_bytes(content) for name, content in files.items()},
    )
    return archived({**files, MANIFEST: manifest.sealed(signer).encode()})


def _files(recorded: Recorded) -> Iterator[tuple[str, bytes]]:
    evidence, environment = recorded.evidence, recorded.environment
    yield "evidence.json", recorded.sealed_evidence
    yield from ((f"package/{name}", content) for name, content in recorded.package.items())
    yield "spec.json", as_json(evidence.spec)
    yield "policy/then.json", as_json(evidence.rules.model_dump(mode="json"))
    yield "policy/today.json", as_json(recorded.today.model_dump(mode="json"))
    yield from _people(recorded)
    yield from _history(recorded)
    yield from _measured(recorded)
    facts = version_facts(
        evidence,
        recorded.version,
        verdicts=recorded.verdicts,
        decisions=recorded.decisions,
        approvers=recorded.approvers,
        environment=environment.versions if environment else {},
        columns=recorded.columns,
        columns_note=recorded.columns_note,
    )
    yield from _documents(facts)
    release = recorded.release.release if recorded.release else None
    events = lineage_events(evidence, recorded.version, release, recorded.verdicts)
    yield "lineage/openlineage.json", as_json(events)
    if environment:
        yield "sbom.cdx.json", as_json(_bill(facts, environment, evidence))


def _documents(facts: CardFacts) -> Iterator[tuple[str, bytes]]:
    for name, document in (("model_card", model_card(facts)), ("data_sheet", data_sheet(facts))):
        yield f"card/{name}.html", document.html.encode()
        yield f"card/{name}.md", document.markdown.encode()
    yield "metrics/groups.csv", as_csv(GROUPS, group_rows(facts.by_group))


def _measured(recorded: Recorded) -> Iterator[tuple[str, bytes]]:
    yield "metrics/figures.csv", as_csv(FIGURES, figure_rows(recorded.verdicts))
    for verdict in recorded.verdicts:
        told = {"gate": verdict.gate, "passed": verdict.passed, **verdict.model_dump(mode="json")}
        yield f"gates/{verdict.gate}.json", as_json(told)
    if recorded.assessments:
        yield "monitoring/assessments.json", as_json(recorded.assessments)


def _bill(facts: CardFacts, environment: Environment, evidence: Evidence) -> dict[str, Any]:
    named = uuid.uuid5(uuid.NAMESPACE_URL, f"urn:mlops-assets:{evidence.digest}")
    return sbom(
        environment.components,
        facts,
        serial_number=f"urn:uuid:{named}",
        timestamp=f"{evidence.made_at.isoformat()}Z",
    )


def _people(recorded: Recorded) -> Iterator[tuple[str, bytes]]:
    """Yield each decision in the very bytes that were signed, its signature, and whose keys are whose."""
    for number, signed in enumerate(recorded.decisions, start=1):
        name = f"approvals/{number:02d}-{signed.decision.decision}.json"
        yield name, signed.decision.content
        yield f"{name}.sig", f"{signed.signature.strip()}\n".encode()
    if recorded.deciders:
        listed = [approver.model_dump(mode="json") for approver in recorded.deciders]
        yield "approvals/approvers.json", as_json(listed)
        lines = (_allowed_signer(approver) for approver in recorded.deciders)
        yield "approvals/allowed_signers", "".join(f"{line}\n" for line in lines).encode()


def _allowed_signer(approver: Approver) -> str:
    """Return a line of ssh-keygen's file of allowed signers, in which a key goes by its fingerprint."""
    kind, key = approver.key.split()[:2]
    return f'{approver.fingerprint} namespaces="{NAMESPACE}" {kind} {key}'


def _history(recorded: Recorded) -> Iterator[tuple[str, bytes]]:
    if recorded.release:
        yield "release.json", recorded.release.sealed.encode()
    for record in recorded.releases:
        release = record.release
        name = f"{release.serial:04d}-{release.action}-version-{release.version}"
        yield f"releases/{name}.json", record.sealed.encode()
    yield "audit/entries.jsonl", "".join(f"{text}\n" for text in recorded.audit.texts).encode()
    stretches = [stretch.model_dump(mode="json") for stretch in recorded.audit.stretches]
    yield "audit/proof.json", as_json(stretches)
    chain = {"length": recorded.audit_length, "problems": list(recorded.audit_problems)}
    yield "audit/chain.json", as_json(chain)


def _require_no_secret(spec: bytes) -> None:
    if holds_secret(spec.decode(errors="replace")):
        raise EvidenceError(
            "the recorded spec holds a private key or a URL with a password; no pack is written. "
            "Take it out of the spec (data.source.url_env names a variable) and register a new version"
        )
