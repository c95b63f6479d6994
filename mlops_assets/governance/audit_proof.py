"""Proof that one model's entries are in the audit chain, which shows nothing of other models.

An entry's hash is made of the hash before it and the digest of the entry's text. So from an entry to the
next signed checkpoint it is enough to know the digests of the texts in between: the hashes follow from them,
and the last one has to be what the platform signed. What a proof cannot tell is that no entry of the model
was left out among those digests; that is the word of whoever signed the pack.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_assets.digests import of_bytes
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.audit_entry import Entry, link
from mlops_assets.governance.checkpoints import SignedCheckpoint
from mlops_assets.governance.signatures import Verifier


class Stretch(BaseModel):
    """A part of the chain that ends with a signed checkpoint.

    Attributes:
        first: Number of its first entry.
        previous: Hash of the entry before that.
        digests: SHA-256 of the text of each of its entries.
        checkpoint: What the platform signed about its end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: int
    previous: str
    digests: tuple[str, ...]
    checkpoint: SignedCheckpoint

    def hashes(self) -> Iterator[tuple[int, str, str]]:
        """Yield each entry's number, the digest of its text, and the hash before it."""
        previous = self.previous
        for seq, digest in enumerate(self.digests, start=self.first):
            yield seq, digest, previous
            previous = link(previous, digest)

    @property
    def end(self) -> str:
        """The hash with which it ends."""
        last = self.previous
        for digest in self.digests:
            last = link(last, digest)
        return last


class Proven(NamedTuple):
    """A model's entries as they were written, and what proves that they are in the chain."""

    texts: tuple[str, ...]
    stretches: tuple[Stretch, ...]


def prove(chain: AuditChain, model: str, verifier: Verifier) -> Proven:
    """Return a model's entries with their proof.

    An entry that was written after the newest checkpoint has none yet; the next entry's checkpoint covers it.

    Args:
        chain: The audit chain.
        model: Model name.
        verifier: The platform's public key.
    """
    entries = chain.entries(model)
    stretches, covered = [], 0
    signed = chain.checkpoints.signed(verifier)
    for entry in entries:
        checkpoint = next((c for c in signed if c.checkpoint.length >= entry.seq), None)
        if checkpoint is None or entry.seq <= covered:
            continue
        covered = checkpoint.checkpoint.length
        digests = tuple(of_bytes(text.encode()) for text in chain.texts(entry.seq, covered))
        stretches.append(
            Stretch(first=entry.seq, previous=entry.previous, digests=digests, checkpoint=checkpoint)
        )
    return Proven(tuple(entry.text for entry in entries), tuple(stretches))


def proof_objections(
    texts: Sequence[str], stretches: Sequence[Stretch], model: str, verifier: Verifier
) -> Iterator[str]:
    """Yield why entries are not proven to be in the chain; nothing if they are.

    Args:
        texts: The entries' texts, in order.
        stretches: The parts of the chain that hold them.
        model: The model that they have to be about.
        verifier: The platform's public key.
    """
    places: dict[int, tuple[str, str]] = {}
    for stretch in stretches:
        checkpoint = stretch.checkpoint.checkpoint
        if not stretch.checkpoint.by(verifier):
            yield f"the checkpoint at entry {checkpoint.length} is not signed with the platform key"
        elif (stretch.first + len(stretch.digests) - 1, stretch.end) != (checkpoint.length, checkpoint.head):
            yield f"the chain from entry {stretch.first} on does not end as signed on {checkpoint.at}"
        else:
            places |= {seq: (digest, previous) for seq, digest, previous in stretch.hashes()}
    last = 0
    for text in texts:
        try:
            entry = Entry.model_validate_json(text)
        except ValidationError:
            yield f"what follows entry {last} is no entry"
            continue
        if entry.model != model:
            yield f"entry {entry.seq} is about {entry.model}"
        if entry.seq <= last:
            yield f"entry {entry.seq} is out of order"
        if entry.seq not in places:
            yield f"entry {entry.seq} is not covered by a signed checkpoint"
        elif places[entry.seq] != (of_bytes(text.encode()), entry.previous):
            yield f"entry {entry.seq} is not the one in the chain"
        last = entry.seq
