"""What a registered version has to show: its evidence, and to serve as champion its release."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from mlops_assets.errors import EvidenceError
from mlops_assets.governance.evidence import Evidence, Kind, Objection, objections
from mlops_assets.governance.release import Release, release_objections
from mlops_assets.governance.signatures import Signer, Verifier
from mlops_assets.governance.traffic import Traffic
from mlops_assets.registry.port import (
    EVIDENCE_TAG,
    RELEASE_TAG,
    TRAFFIC_TAG,
    ModelVersion,
    Registry,
    RegistryReader,
)
from mlops_assets.specs.approver import Approver
from mlops_assets.specs.policy import Rules

_LAPSED = ("expired", "other_policy")
_DIGEST = re.compile("[0-9a-f]{64}")

_Signed = TypeVar("_Signed", Release, Traffic)


class Refused(EvidenceError):
    """A version that may not do what it was asked to.

    Attributes:
        objections: Why.
    """

    def __init__(self, name: str, objections: tuple[Objection, ...]) -> None:
        super().__init__(f"{name} is refused: " + "; ".join(map(str, objections)))
        self.objections = objections


def write_evidence(registry: Registry, run_id: str, evidence: Evidence, signer: Signer) -> None:
    """Keep a candidate's evidence beside its package."""
    registry.write_statement(run_id, f"evidence/{evidence.digest}.json", evidence.sealed(signer).encode())


def read_evidence(
    registry: RegistryReader, version: ModelVersion, verifier: Verifier, named: str | None = None
) -> Evidence:
    """Return a version's evidence; its signature is verified, what it says is not yet looked at.

    Args:
        registry: Where it is.
        version: The version.
        verifier: The platform's public key.
        named: Digest of the evidence that is meant; the newest if None.

    Raises:
        Refused: It has none, or none that the platform signed, or other than is named.
        RegistryError: The registry cannot be reached.
    """
    named = named or version.tags.get(EVIDENCE_TAG)
    if not named:
        raise refused(version, "missing_evidence", "it has no evidence")
    if not _DIGEST.fullmatch(named):
        said = f"its tag {EVIDENCE_TAG} is {named[:20]!r}, which names no evidence"
        raise refused(version, "missing_evidence", said)
    content = registry.read_statement(version.run_id, f"evidence/{named}.json")
    if content is None:
        raise refused(version, "missing_evidence", f"its evidence {named[:12]} is gone")
    try:
        evidence = Evidence.unsealed(content, verifier)
    except EvidenceError as error:
        raise refused(version, "bad_signature", f"its evidence {error}") from error
    if evidence.digest != named:
        said = f"its evidence {named[:12]} was exchanged for {evidence.digest[:12]}"
        raise refused(version, "other_candidate", said)
    return evidence


@dataclass(frozen=True)
class _SignedTag(Generic[_Signed]):
    """A tag of a version that holds a signed statement about it.

    Args:
        tag: Its name.
        called: What the statement is called.
        kind: What it is.
        terms: Tells the release that it is, or rests on.
    """

    tag: str
    called: str
    kind: type[_Signed]
    terms: Callable[[_Signed], Release]

    def read(self, version: ModelVersion, verifier: Verifier) -> _Signed | None:
        """Return what a version carries, or None.

        Raises:
            Refused: It carries one that the platform did not sign, or that is for another version.
        """
        content = version.tags.get(self.tag)
        if not content:
            return None
        try:
            found = self.kind.unsealed(content, verifier)
        except EvidenceError as error:
            raise refused(version, "bad_signature", f"its {self.called} {error}") from error
        terms = self.terms(found)
        if (terms.model, terms.version) != (version.model, version.version):
            said = f"its {self.called} is for {terms.model} version {terms.version}"
            raise refused(version, "other_candidate", said)
        return found

    def carried(self, version: ModelVersion, verifier: Verifier) -> _Signed | None:
        """Return what a version carries if it is one of ours; see :meth:`read`."""
        try:
            return self.read(version, verifier)
        except Refused:
            return None


_release = _SignedTag(RELEASE_TAG, "release", Release, lambda release: release)
_traffic = _SignedTag(TRAFFIC_TAG, "traffic record", Traffic, lambda traffic: traffic.terms)
read_release, carried_release = _release.read, _release.carried
read_traffic, carried_traffic = _traffic.read, _traffic.carried


def require_evidence(
    registry: RegistryReader,
    version: ModelVersion,
    candidate: str,
    verifier: Verifier,
    rules: Callable[[Evidence], Rules],
    now: datetime,
    named: str | None = None,
) -> Evidence:
    """Return a version's evidence if it is good enough to load the version.

    Args:
        registry: Where it is.
        version: The version.
        candidate: Digest of the package at hand, computed from its bytes.
        verifier: The platform's public key.
        rules: Tells what today's policy demands of what the evidence is about.
        now: The present, naive UTC.
        named: Digest of the evidence that is meant; the newest if None.

    Raises:
        Refused: Says every reason why not.
        RegistryError: The registry cannot be reached.
    """
    evidence = read_evidence(registry, version, verifier, named)
    require_good(evidence, version, candidate, verifier, rules(evidence), now)
    return evidence


def require_good(
    evidence: Evidence,
    version: ModelVersion,
    candidate: str,
    verifier: Verifier,
    rules: Rules,
    now: datetime,
) -> None:
    """Require that evidence is good enough for a version; see :func:`require_evidence`.

    Raises:
        Refused: Says every reason why it is not.
    """
    found = objections(evidence, candidate, version.model, rules, now)
    lapsed = all(o.kind in _LAPSED for o in found)
    if found and not (lapsed and _is_way_back(version, evidence, verifier, now)):
        raise Refused(_name(version), tuple(found))


def require_release(
    version: ModelVersion,
    candidate: str,
    evidence: Evidence,
    verifier: Verifier,
    rules: Rules,
    approvers: Sequence[Approver],
) -> Release:
    """Return the release that lets a version serve as champion.

    Args:
        version: The version.
        candidate: Digest of the package at hand, computed from its bytes.
        evidence: Its evidence, verified.
        verifier: The platform's public key.
        rules: What today's policy demands of it.
        approvers: Who may approve, by today's policy.

    Raises:
        Refused: It has none, or not one for this package under today's policy.
    """
    release = read_release(version, verifier)
    if release is None:
        raise refused(version, "out_of_band", "it was never released; its alias was moved out of band")
    require_terms(release, version, candidate, evidence, rules, approvers)
    return release


def require_terms(
    terms: Release,
    version: ModelVersion,
    candidate: str,
    evidence: Evidence,
    rules: Rules,
    approvers: Sequence[Approver],
    *,
    on_trial: bool = False,
) -> None:
    """Require that a version may answer callers by the terms of a release; see :func:`require_release`.

    Args:
        terms: The release, its signature verified.
        version: The version.
        candidate: Digest of the package at hand, computed from its bytes.
        evidence: Its evidence, verified.
        rules: What today's policy demands of it.
        approvers: Who may approve, by today's policy.
        on_trial: Whether the version is on its way only; see :func:`release_objections`.

    Raises:
        Refused: They would not let the version serve.
    """
    found = release_objections(
        terms,
        evidence,
        model=version.model,
        version=version.version,
        candidate=candidate,
        mlflow_run=version.run_id,
        rules=rules,
        approvers=approvers,
        on_trial=on_trial,
    )
    if reasons := tuple(found):
        raise Refused(_name(version), reasons)


def _is_way_back(version: ModelVersion, evidence: Evidence, verifier: Verifier, now: datetime) -> bool:
    """Return whether a rollback lets this version load although its evidence has lapsed since."""
    release = carried_release(version, verifier)
    return (
        release is not None
        and release.action == "rollback"
        and release.evidence == evidence.digest
        and release.lapsed_until is not None
        and now <= release.lapsed_until
    )


def refused(version: ModelVersion, kind: Kind, message: str) -> Refused:
    """Return the refusal of a version for one reason."""
    return Refused(_name(version), (Objection(kind, message),))


def _name(version: ModelVersion) -> str:
    return f"{version.model} version {version.version}"
