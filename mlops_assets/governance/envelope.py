"""Signed statements: a canonical JSON value, what kind of statement it is, and the platform's signature.

The kind is signed along with the value, so that a signature over one kind of statement never vouches for
another.
"""

import base64
import json
from typing import Any

from mlops_assets.digests import canonical_json, of_bytes
from mlops_assets.errors import EvidenceError
from mlops_assets.governance.signatures import Signer, Verifier


def seal(kind: str, value: Any, signer: Signer) -> bytes:
    """Return a JSON value as a signed statement of a kind.

    Args:
        kind: What it states, such as ``evidence/1``.
        value: Plain JSON, without NaN.
        signer: The platform key.
    """
    return _statement(kind, value, signer.sign(_signed_bytes(kind, value)))


def unseal(kind: str, content: bytes, verifier: Verifier) -> Any:
    """Return the value of a signed statement; only the one form that :func:`seal` writes is one.

    Args:
        kind: What it has to state.
        content: What :func:`seal` returned.
        verifier: The platform's public key.

    Raises:
        EvidenceError: It is no statement of that kind, or not signed with the platform key.
    """
    try:
        read = json.loads(content)
        found, value, signature = read["kind"], read["value"], base64.b64decode(read["signature"])
        signed, only_form = _signed_bytes(kind, value), _statement(found, value, signature)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise EvidenceError(f"is no signed statement ({type(error).__name__})") from error
    if found != kind:
        raise EvidenceError(f"states {str(found)[:40]!r}, not {kind!r}")
    if content != only_form or not verifier.verify(signed, signature):
        raise EvidenceError("is not signed with the platform key")
    return value


def digest(kind: str, value: Any) -> str:
    """Return the digest by which a statement is known, whoever signed it."""
    return of_bytes(_signed_bytes(kind, value))


def _statement(kind: str, value: Any, signature: bytes) -> bytes:
    return canonical_json({"kind": kind, "value": value, "signature": base64.b64encode(signature).decode()})


def _signed_bytes(kind: str, value: Any) -> bytes:
    return b"mlops-assets " + kind.encode() + b"\n" + canonical_json(value)
