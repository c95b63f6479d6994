"""Signed checkpoints of the audit chain: how long it was and how it ended, kept outside its database.

A chain of hashes alone cannot tell that its end was cut off, or that somebody computed all hashes anew.
A checkpoint can, because it is signed with a key that whoever writes to the database does not have.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_assets.digests import canonical_json
from mlops_assets.governance.signatures import Signer, Verifier
from mlops_assets.home import in_turn, write_atomically

# Of the checkpoints before the newest one in this many stays, so that the file grows slowly.
_KEPT_EVERY = 100


class Checkpoint(BaseModel):
    """What a chain was at a moment.

    Attributes:
        length: How many entries it had.
        head: Hash of the newest of them.
        at: When the checkpoint was signed, ISO 8601, UTC.
        kind: Keeps the signature from being taken for one of anything else the platform signs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    length: int
    head: str
    at: str
    kind: Literal["mlops_assets audit checkpoint"] = "mlops_assets audit checkpoint"


class SignedCheckpoint(BaseModel):
    """A checkpoint and the platform's signature of it, in hexadecimal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    checkpoint: Checkpoint
    signature: str

    def by(self, verifier: Verifier) -> bool:
        """Return whether the key signed this very checkpoint."""
        try:
            signature = bytes.fromhex(self.signature)
        except ValueError:
            return False
        return verifier.verify(_content(self.checkpoint), signature)


class CheckpointFile:
    """Checkpoints, one a line, oldest first.

    Args:
        path: The file; made with the first checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def in_turn(self) -> AbstractContextManager[None]:
        """Wait for every other writer, and keep them waiting until the block ends."""
        return in_turn(self.path.with_suffix(".lock"))

    def exists(self) -> bool:
        """Return whether there ever was a checkpoint, whoever signed it."""
        return self.path.exists()

    def read(self, verifier: Verifier) -> tuple[list[Checkpoint], list[str]]:
        """Return the checkpoints, oldest first, and a sentence for each line that vouches for nothing."""
        good, wrong = [], []
        for number, line in enumerate(self._lines(), start=1):
            signed = _parsed(line)
            if signed is not None and signed.by(verifier):
                good.append(signed.checkpoint)
            else:
                wrong.append(f"{self.path}, line {number}: no checkpoint that the platform key signed")
        return sorted(good, key=lambda checkpoint: checkpoint.length), wrong

    def signed(self, verifier: Verifier) -> list[SignedCheckpoint]:
        """Return the checkpoints that the key signed, each with its signature, oldest first."""
        found = [signed for line in self._lines() if (signed := _parsed(line)) and signed.by(verifier)]
        return sorted(found, key=lambda signed: signed.checkpoint.length)

    def newest(self, verifier: Verifier) -> Checkpoint | None:
        """Return the newest checkpoint, or None if there is none or the key did not sign it."""
        lines = self._lines()
        signed = _parsed(lines[-1]) if lines else None
        return signed.checkpoint if signed is not None and signed.by(verifier) else None

    def add(self, checkpoint: Checkpoint, signer: Signer) -> None:
        """Sign a checkpoint and make it the newest; call it in turn.

        Raises:
            StorageError: The disk is full or the folder is not writable.
        """
        lines = self._lines()
        if len(lines) > 1 and len(set(_hundreds(lines[-2:]))) == 1:
            lines.pop()
        signed = SignedCheckpoint(checkpoint=checkpoint, signature=signer.sign(_content(checkpoint)).hex())
        lines.append(canonical_json(signed.model_dump()))
        write_atomically(self.path, b"".join(line + b"\n" for line in lines))

    def _lines(self) -> list[bytes]:
        try:
            return self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return []


def _content(checkpoint: Checkpoint) -> bytes:
    return canonical_json(checkpoint.model_dump())


def _parsed(line: bytes) -> SignedCheckpoint | None:
    try:
        return SignedCheckpoint.model_validate_json(line)
    except ValidationError:
        return None


def _hundreds(lines: list[bytes]) -> Iterator[object]:
    """Yield which hundred each line's checkpoint falls in; a line that is none stays by itself."""
    for line in lines:
        signed = _parsed(line)
        yield object() if signed is None else signed.checkpoint.length // _KEPT_EVERY
