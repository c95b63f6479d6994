"""Which release and which traffic record hold, by what the audit chain says and the platform signed."""

from dataclasses import dataclass
from functools import lru_cache

from mlops_assets.errors import EvidenceError
from mlops_assets.governance.audit_entry import Entry
from mlops_assets.governance.audit_reading import AuditReader
from mlops_assets.governance.release import Release
from mlops_assets.governance.signatures import Verifier
from mlops_assets.governance.traffic import Traffic

MOVES = ("promote", "rollback")
ROLLOUT = "rollout"
DRILLED = "drill"


@dataclass(frozen=True)
class SignedRelease:
    """A release and the text that was signed."""

    release: Release
    text: str


def release_in(entry: Entry, verifier: Verifier) -> SignedRelease | None:
    """Return the release that an audit entry holds, if the platform signed it."""
    text = str(entry.detail.get("release"))
    release = _unsealed(text, verifier.pem)
    return SignedRelease(release, text) if release is not None and release.model == entry.model else None


@lru_cache(20_000)
def _unsealed(text: str, key: bytes) -> Release | None:
    """Return the release that a text is under a key; every tick asks for the same ones of all models."""
    try:
        return Release.unsealed(text, Verifier.from_pem(key, "the platform's key"))
    except EvidenceError:
        return None


def latest_releases(
    audit: AuditReader, verifier: Verifier, model: str | None = None, after: int = 0
) -> dict[str, SignedRelease]:
    """Return the latest release of each model that the audit chain holds.

    That is the one with the greatest serial of those that the platform signed, wherever it stands. So
    whoever may write to the audit database makes nobody champion: neither by an entry that holds nothing
    nor by an old release entered again.

    Args:
        audit: The audit chain.
        verifier: The platform's public key.
        model: Of this model only.
        after: Only of entries with a higher number.
    """
    found: dict[str, SignedRelease] = {}
    for entry in audit.newest_first(MOVES, model, after):
        known, claimed = found.get(entry.model), entry.detail.get("serial")
        # Nearly always the first is the latest, and the others' signatures need not be verified.
        if known is not None and not (isinstance(claimed, int) and claimed > known.release.serial):
            continue
        signed = release_in(entry, verifier)
        if signed is not None and (known is None or signed.release.serial > known.release.serial):
            found[entry.model] = signed
    return found


def latest_traffic(
    audit: AuditReader, verifier: Verifier, model: str | None = None, after: int = 0
) -> dict[str, Traffic]:
    """Return the latest traffic record of each model in the audit chain; see :func:`latest_releases`."""
    found: dict[str, Traffic] = {}
    for entry in audit.newest_first((ROLLOUT,), model, after):
        known, claimed = found.get(entry.model), entry.detail.get("serial")
        if known is not None and not (isinstance(claimed, int) and claimed > known.serial):
            continue
        traffic = traffic_in(entry, verifier)
        if traffic is not None and (known is None or traffic.serial > known.serial):
            found[entry.model] = traffic
    return found


def traffic_in(entry: Entry, verifier: Verifier) -> Traffic | None:
    """Return the traffic record that an audit entry holds, if the platform signed it."""
    try:
        traffic = Traffic.unsealed(str(entry.detail.get("traffic")), verifier)
    except EvidenceError:
        return None
    return traffic if traffic.model == entry.model else None
