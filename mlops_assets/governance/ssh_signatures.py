"""Signatures by people, with the Ed25519 key they already have.

The format is OpenSSH's SSHSIG (its ``PROTOCOL.sshsig``), namespace ``mlops-assets``, hash SHA-512: what
``ssh-keygen -Y sign -n mlops-assets`` makes and ``ssh-keygen -Y verify`` checks. So an approval can be
verified with a tool that is on every machine and knows nothing of us.
"""

import base64
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import ApprovalError
from mlops_assets.specs.ssh_public_key import KEY_TYPE, parse_public_key, public_key_blob, ssh_string

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NAMESPACE = "mlops-assets"
PASSPHRASE_VARIABLE = "MLOPS_KEY_PASSPHRASE"

_MAGIC = b"SSHSIG"
_VERSION = (1).to_bytes(4, "big")
_RESERVED = b""
_HASH = "sha512"
_SIGNATURE_BYTES = 64
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_WIDTH = 70
_LARGEST_KEY_FILE = 64 * 1024


class PassphraseNeededError(ApprovalError):
    """The key is encrypted and no passphrase was given: ask its owner, then try again."""


def load_private_key(path: Path, passphrase: str | None = None) -> "Ed25519PrivateKey":
    """Return the private key of an OpenSSH key file such as ``~/.ssh/id_ed25519``.

    Args:
        path: The file; as with ssh, nobody but its owner may have access to it.
        passphrase: Opens an encrypted key; ``MLOPS_KEY_PASSPHRASE`` if not given.

    Raises:
        PassphraseNeededError: The key is encrypted and there is no passphrase.
        ApprovalError: The file cannot be read, is open to others, is no Ed25519 key, or the passphrase
            does not open it.
    """
    from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_ssh_private_key

    content = _private_content(path)
    key: object
    try:
        key = load_ssh_private_key(content, None)
    except TypeError:  # encrypted
        passphrase = passphrase or os.environ.get(PASSPHRASE_VARIABLE)
        if not passphrase:
            raise PassphraseNeededError(
                f"{path} is protected by a passphrase; type it when asked, or set {PASSPHRASE_VARIABLE}"
            ) from None
        try:
            key = load_ssh_private_key(content, passphrase.encode())
        except (ValueError, InvalidTag):
            raise ApprovalError(f"the passphrase does not open {path}") from None
        except UnsupportedAlgorithm as error:
            raise ApprovalError(f"{path} cannot be decrypted: {error}") from error
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise ApprovalError(
            f"{path} is no {KEY_TYPE} private key in OpenSSH's format; ssh-keygen -t ed25519 makes one"
        )
    return key


def public_line(key: "Ed25519PrivateKey") -> str:
    """Return a key's public half as OpenSSH writes it, without comment."""
    blob = public_key_blob(key.public_key().public_bytes_raw())
    return f"{KEY_TYPE} {base64.b64encode(blob).decode()}"


def sign(key: "Ed25519PrivateKey", content: bytes) -> str:
    """Return the armored SSHSIG signature of ``content``."""
    return _armored(key.public_key().public_bytes_raw(), key.sign(_signed_form(content)))


def verify(armored: str, content: bytes, public_key: str) -> bool:
    """Return whether ``armored`` is a signature over ``content`` made with a public key's other half.

    Only the one form that ``ssh-keygen`` writes is accepted. A signature by another key, in another
    namespace, with another hash or in another form is none.

    Args:
        armored: An SSHSIG signature, from ``-----BEGIN`` to ``-----END``.
        content: What was signed.
        public_key: ``ssh-ed25519 AAAA… comment``; a malformed one verifies nothing.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    text = armored.strip()
    try:
        key = parse_public_key(public_key)
        signature = base64.b64decode("".join(text.split("\n")[1:-1]))[-_SIGNATURE_BYTES:]
    except ValueError:
        return False
    # All but the last 64 bytes is known beforehand, so nothing needs to be parsed: it must be the same.
    if text != _armored(key, signature):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, _signed_form(content))
    except InvalidSignature:
        return False
    return True


def _signed_form(content: bytes) -> bytes:
    """Return what the key really signs: the digest, bound to the namespace and the hash's name."""
    parts = (NAMESPACE.encode(), _RESERVED, _HASH.encode(), hashlib.sha512(content).digest())
    return _MAGIC + b"".join(map(ssh_string, parts))


def _armored(public: bytes, signature: bytes) -> str:
    typed = ssh_string(KEY_TYPE.encode()) + ssh_string(signature)
    parts = (public_key_blob(public), NAMESPACE.encode(), _RESERVED, _HASH.encode(), typed)
    text = base64.b64encode(_MAGIC + _VERSION + b"".join(map(ssh_string, parts))).decode()
    lines = (text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH))
    return "\n".join((_BEGIN, *lines, _END))


def _private_content(path: Path) -> bytes:
    """Return what a private key file holds, if it is its owner's alone."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(_LARGEST_KEY_FILE)
    except OSError as error:
        raise ApprovalError(f"cannot read the key {path}: {error.strerror}") from error
    # ssh's own rule: a file of somebody else's is theirs to protect.
    if status.st_uid == os.getuid() and status.st_mode & 0o077:
        mode = f"{status.st_mode & 0o777:04o}"
        raise ApprovalError(f"{path} is open to others (mode {mode}); run chmod 600 {path}, then try again")
    if content.startswith((b"ssh-", b"ecdsa-", b"sk-")):
        raise ApprovalError(
            f"{path} is a public key; give the private one, which lies beside it without .pub"
        )
    return content
