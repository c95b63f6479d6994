"""Whether a version may serve, worked out from bytes: with hashes, signatures and comparisons of numbers.

Written apart from the platform, and simply: nothing of it is imported here, so that a mistake over there is
not made here too.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

GRACE = timedelta(days=7)


@dataclass(frozen=True)
class Demands:
    """What the policy says at a moment.

    Attributes:
        limits: By risk, gate and limit; only gates that are required.
        lifetime: By risk, how long evidence holds.
        approvals: By risk, how many people have to approve.
        approvers: Name of the person by the fingerprint of a key.
        revoked: From which day on a key counts no more, by fingerprint.
    """

    limits: dict[str, dict[str, dict[str, float]]]
    lifetime: dict[str, timedelta]
    approvals: dict[str, int]
    approvers: dict[str, str]
    revoked: dict[str, date]


def package_digest(files: dict[str, bytes], key: Ed25519PublicKey) -> str | None:
    """Return the digest of a package whose manifest is signed and whose files are those it names."""
    manifest, signature = files.get("manifest.json"), files.get("manifest.sig")
    if manifest is None or signature is None or not _signed(key, signature, manifest):
        return None
    for name, digest in json.loads(manifest)["files"].items():
        if name not in files or hashlib.sha256(files[name]).hexdigest() != digest:
            return None
    return hashlib.sha256(manifest).hexdigest()


def statement(kind: str, content: bytes | str | None, key: Ed25519PublicKey) -> Any:
    """Return what a signed statement of a kind says, or None if it is none."""
    try:
        read = json.loads(content or "")
        value = json.dumps(read["value"], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        signed = f"mlops-assets {kind}\n{value}".encode()
        good = read["kind"] == kind and _signed(key, base64.b64decode(read["signature"]), signed)
    except (ValueError, KeyError, TypeError):
        return None
    return read["value"] if good else None


def objection(release: Any, evidence: Any, candidate: str, demands: Demands, now: datetime) -> str | None:
    """Return why a release with its evidence lets a candidate not serve now; None if it does.

    Args:
        release: What the release says.
        evidence: What the evidence says.
        candidate: Digest of the package at hand.
        demands: Today's policy.
        now: The present.
    """
    if not release or not evidence:
        return "unsigned"
    if release["candidate"] != candidate or evidence["subject"]["candidate"] != candidate:
        return "another candidate"
    if release["model"] != evidence["subject"]["model"]:
        return "another model"
    if _approvals(release, evidence, demands) < _needed(evidence, demands):
        return "not approved"
    lapsed = _lapsed(evidence, demands, now)
    until = release["lapsed_until"]
    if lapsed and not (release["action"] == "rollback" and until and now <= datetime.fromisoformat(until)):
        return lapsed
    return None


def _lapsed(evidence: Any, demands: Demands, now: datetime) -> str | None:
    risk = evidence["risk"]
    made = min(
        datetime.fromisoformat(at) for at in (evidence["made_at"], *(g["at"] for g in evidence["gates"]))
    )
    if now - made > min(demands.lifetime[risk], _duration(evidence["rules"]["evidence"]["lifetime"])):
        return "expired"
    for gate, limits in demands.limits[risk].items():
        (record,) = (g for g in evidence["gates"] if g["measurement"]["gate"] == gate)
        figures = {f["limit"]: f["value"] for f in record["measurement"]["figures"]}
        for name, limit in limits.items():
            kept = figures[name] <= limit if name.startswith("max_") else figures[name] >= limit
            if not kept:
                return f"{gate} {name}"
    return None


def _needed(evidence: Any, demands: Demands) -> int:
    return max(demands.approvals[evidence["risk"]], evidence["rules"]["approvals"]["needed"])


def _approvals(release: Any, evidence: Any, demands: Demands) -> int:
    """Return how many people had approved when it was released; -1 if somebody had rejected."""
    at = datetime.fromisoformat(release["approved_at"] or release["at"])
    last: dict[str, tuple[str, str]] = {}
    for signed in release["approvals"]:
        said, person = signed["decision"], demands.approvers.get(signed["key"])
        revoked = demands.revoked.get(signed["key"])
        named = ("candidate",) if said["decision"] == "reject" else ("candidate", "version", "evidence")
        about = all(said[name] == release[name] for name in named)
        if person is None or not about or (revoked is not None and revoked <= at.date()):
            continue
        last[person] = max(last.get(person, ("", "")), (said["at"], said["decision"]))
    decided = [decision for _, decision in last.values()]
    return -1 if "reject" in decided else len(decided)


def _duration(value: str) -> timedelta:
    """Return a duration that was written as so many days or hours, or by ISO 8601 as days."""
    text = value.strip("P")
    return (
        timedelta(days=float(text[:-1].rstrip("D")))
        if text[-1] in "dD"
        else timedelta(hours=float(text[:-1]))
    )


def _signed(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True
