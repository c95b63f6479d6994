"""An Ed25519 public key as OpenSSH writes it: the line of an ``id_ed25519.pub``.

Parsing needs no cryptography, so a policy that names keys is checked as cheaply as any spec.
"""

import base64
import hashlib
import re
from typing import Annotated

from pydantic import AfterValidator

KEY_TYPE = "ssh-ed25519"
KEY_BYTES = 32
_HOW = "give the line of an id_ed25519.pub (ssh-keygen -t ed25519 makes one)"


def ssh_string(content: bytes) -> bytes:
    """Return ``content`` as SSH's wire format has it: its length in four bytes, then itself (RFC 4251)."""
    return len(content).to_bytes(4, "big") + content


def public_key_blob(key: bytes) -> bytes:
    """Return the wire form of an Ed25519 public key (RFC 8709).

    Args:
        key: The key's 32 bytes.
    """
    return ssh_string(KEY_TYPE.encode()) + ssh_string(key)


def parse_public_key(line: str) -> bytes:
    """Return the 32 bytes of the key in ``ssh-ed25519 AAAA… comment``.

    Raises:
        ValueError: The line is no such key; the message never repeats it, for it may be a secret.
    """
    if "PRIVATE KEY" in line:
        raise ValueError(f"this is a private key, which stays with its owner; {_HOW}")
    if len(line.strip().splitlines()) != 1:
        raise ValueError(f"this is not one line; {_HOW}")
    kind, encoded, *_comment = [*line.split(maxsplit=2), ""]
    if kind != KEY_TYPE:
        typed = re.fullmatch(r"(ssh|ecdsa|sk)-[\w@.-]{1,50}", kind, re.ASCII)
        what = f"keys of type {kind} are not accepted" if typed else "this is no OpenSSH public key"
        raise ValueError(f"{what}; {_HOW}")
    try:
        blob = base64.b64decode(encoded, validate=True)
    except ValueError:
        blob = b""
    key = blob[-KEY_BYTES:]
    if blob != public_key_blob(key) or len(key) != KEY_BYTES:
        raise ValueError(f"the {KEY_TYPE} key is incomplete or altered; {_HOW}")
    return key


def fingerprint(line: str) -> str:
    """Return ``SHA256:…``, the key's name as ``ssh-keygen -l`` prints it.

    Raises:
        ValueError: The line is no Ed25519 public key.
    """
    digest = hashlib.sha256(public_key_blob(parse_public_key(line))).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _well_formed(line: str) -> str:
    parse_public_key(line)
    return line.strip()


PublicKeyLine = Annotated[str, AfterValidator(_well_formed)]
