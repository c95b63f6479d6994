"""The platform's Ed25519 key: it signs every packaged model, and nothing unsigned is loaded.

The private key comes from ``MLOPS_SIGNING_KEY`` (PEM) in production; the embedded default makes one on
first use, readable by its owner only, and lays the public key beside it, to be handed to whoever verifies. A
gateway needs the public key alone (``MLOPS_VERIFY_KEY``, PEM).
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.digests import of_bytes
from mlops_assets.errors import PackageError, StorageError
from mlops_assets.home import Home, write_atomically, write_secret_once

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

_PRIVATE = Path("keys", "platform_ed25519.pem")
_PUBLIC = Path("keys", "platform_ed25519.pub.pem")


class Signer:
    """Signs bytes with the platform key."""

    def __init__(self, key: "Ed25519PrivateKey") -> None:
        self._key = key

    @classmethod
    def for_home(cls, root: Path) -> "Signer":
        """Return the signer of a home; makes the key of the embedded default on first use.

        Raises:
            PackageError: ``MLOPS_SIGNING_KEY``, or the home's key file, holds no Ed25519 private key; the
                former is not the platform's; or there was a key and it is gone.
            StorageError: The home cannot be written.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
            load_pem_private_key,
        )

        pem = os.environ.get("MLOPS_SIGNING_KEY", "").encode()
        file = root / _PRIVATE
        if not pem and not file.exists():
            _require_first(root)
            made = Ed25519PrivateKey.generate().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            )
            write_secret_once(file, made)
        try:
            key = load_pem_private_key(pem or _own_content(file), password=None)
        except (ValueError, TypeError, OSError, UnsupportedAlgorithm) as error:
            raise PackageError(f"{_named(pem, file)} holds no usable private key: {error}") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise PackageError(f"{_named(pem, file)} must hold an Ed25519 key")
        signer = cls(key)
        if pem:
            _require_same(signer, root)
        elif not (public := root / _PUBLIC).exists():
            with suppress(StorageError):  # a courtesy: who may only read the key still signs
                write_atomically(public, signer.verifier.pem)
        return signer

    @classmethod
    def if_given(cls, root: Path) -> "Signer | None":
        """Return the signer of a home, or None to a process that was given the public key only.

        Raises:
            PackageError: As for :meth:`for_home`.
            StorageError: As for :meth:`for_home`.
        """
        if os.environ.get("MLOPS_VERIFY_KEY") and not os.environ.get("MLOPS_SIGNING_KEY"):
            return None
        return cls.for_home(root)

    def sign(self, content: bytes) -> bytes:
        """Return the 64-byte signature of ``content``."""
        return self._key.sign(content)

    @property
    def verifier(self) -> "Verifier":
        """The counterpart that checks this key's signatures."""
        return Verifier(self._key.public_key())


class Verifier:
    """Checks signatures made with the platform key."""

    def __init__(self, key: "Ed25519PublicKey") -> None:
        self._key = key

    @classmethod
    def for_home(cls, root: Path) -> "Verifier":
        """Return the verifier of a home: ``MLOPS_VERIFY_KEY``, else the signing key's public half.

        Raises:
            PackageError: ``MLOPS_VERIFY_KEY`` holds no Ed25519 public key.
        """
        pem = os.environ.get("MLOPS_VERIFY_KEY", "").encode()
        return cls.from_pem(pem, "MLOPS_VERIFY_KEY") if pem else Signer.for_home(root).verifier

    @classmethod
    def handed_over(cls, file: Path | None, root: Path) -> "Verifier":
        """Return the verifier of somebody who was handed a public key, and makes none.

        Args:
            file: The key's PEM file; ``MLOPS_VERIFY_KEY``, else the home's public key, if None.
            root: The home.

        Raises:
            PackageError: There is no such key, or it is no Ed25519 public key.
        """
        pem = os.environ.get("MLOPS_VERIFY_KEY", "").encode()
        if file is None and pem:
            return cls.from_pem(pem, "MLOPS_VERIFY_KEY")
        file = file or root / _PUBLIC
        try:
            return cls.from_pem(file.read_bytes(), str(file))
        except OSError as error:
            hint = "give the platform's public key with --key FILE or in MLOPS_VERIFY_KEY"
            raise PackageError(f"cannot read the key {file}: {error.strerror}; {hint}") from error

    @classmethod
    def from_pem(cls, pem: bytes, name: str) -> "Verifier":
        """Return the verifier of a public key.

        Args:
            pem: The key.
            name: Where it is from, for the error message.

        Raises:
            PackageError: It is no Ed25519 public key.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise PackageError(f"{name} holds no usable public key: {error}") from error
        if not isinstance(key, Ed25519PublicKey):
            raise PackageError(f"{name} must hold an Ed25519 key")
        return cls(key)

    @property
    def pem(self) -> bytes:
        """The public key, to be handed over."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key as PEM, to tell it from others."""
        return of_bytes(self.pem)

    def verify(self, content: bytes, signature: bytes) -> bool:
        """Return whether ``signature`` was made over ``content`` with the platform key."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(signature, content)
        except InvalidSignature:
            return False
        return True


def _own_content(file: Path) -> bytes:
    """Return what a private key file holds, if it is its owner's alone: whoever reads it is the platform.

    Raises:
        PackageError: Others may read or write it.
    """
    mode = file.stat().st_mode & 0o777
    if mode & 0o077:
        raise PackageError(
            f"{file} is open to others (mode {mode:04o}); run chmod 600 {file} and, if others may have read "
            "it, delete it and train anew"
        )
    return file.read_bytes()


def _require_first(root: Path) -> None:
    """Refuse to make a key for a home in which one has signed already: nobody would believe the new one.

    Raises:
        PackageError: There is a public key without its private half, or an audit chain without any.
    """
    left = [root / _PUBLIC, *Home(root).audit_checkpoints.glob("*.jsonl")]
    made = next((file for file in left if file.exists()), None)
    # Looked for again: another process may have made both just now.
    if made is not None and not (root / _PRIVATE).exists():
        raise PackageError(
            f"the platform's signing key is gone: {made} was made with it, and there is neither "
            f"{root / _PRIVATE} nor MLOPS_SIGNING_KEY; restore it, or begin anew in another MLOPS_HOME: "
            "what a new key signs is not believed beside what the old one has"
        )


def _require_same(signer: Signer, root: Path) -> None:
    """Refuse a key from the environment that nobody would believe.

    Raises:
        PackageError: Its public half is not the one that is known here.
    """
    given, file = bool(os.environ.get("MLOPS_VERIFY_KEY")), root / _PUBLIC
    if not given and not file.exists():
        return
    if Verifier.handed_over(None, root).fingerprint != signer.verifier.fingerprint:
        name = "MLOPS_VERIFY_KEY" if given else str(file)
        hint = "" if given else f", or, if it is to be replaced, remove {file} and train every model anew"
        raise PackageError(
            f"MLOPS_SIGNING_KEY is not the private half of {name}: gateways would not believe what it signs, "
            f"nor runs what was signed before; give the key that belongs to it{hint}"
        )


def _named(pem: bytes, file: Path) -> str:
    return "MLOPS_SIGNING_KEY" if pem else str(file)
