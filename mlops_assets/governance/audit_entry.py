"""An entry of the audit chain: its text, its hash, and whether a row still is what was written."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_assets.digests import canonical_json, of_bytes

if TYPE_CHECKING:
    import sqlalchemy as sa


class Head(NamedTuple):
    """How a chain ends: the number of its entries, and the hash of the newest."""

    length: int
    hash: str


EMPTY = Head(0, "0" * 64)


class Entry(BaseModel):
    """What was done, by whom, when, why and on what evidence.

    Attributes:
        seq: Number in the chain: 1, 2, 3 and so on.
        at: When, ISO 8601, UTC, by the clock of the machine that wrote it.
        actor: Who: the system's user that ran the process, or whoever it acted for.
        action: What, in one word, such as ``promote``.
        model: Model name.
        reason: Why, in the words of whoever did it.
        evidence: Digest of what it rests on, such as the candidate that passed the gates.
        detail: What else is known, as JSON.
        previous: Hash of the entry before; zeros for the first.
        hash: What the next entry names; see :func:`link`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seq: int
    at: str
    actor: str
    action: str
    model: str
    reason: str
    evidence: str
    detail: dict[str, Any]
    previous: str
    hash: str = ""

    @property
    def text(self) -> str:
        """What is kept and hashed: canonical JSON of everything but the hash."""
        return canonical_json(self.model_dump(exclude={"hash"})).decode()

    @property
    def linked(self) -> str:
        """The hash that belongs to the text and to the entry before."""
        return link(self.previous, of_bytes(self.text.encode()))


def link(previous: str, digest: str) -> str:
    """Return an entry's hash.

    A digest stands for the text, so that a chain can be followed without showing every text in it.

    Args:
        previous: Hash of the entry before, 64 hex digits.
        digest: SHA-256 of the entry's text, 64 hex digits.
    """
    return of_bytes(f"{previous}{digest}".encode())


def objections(row: "sa.Row[Any]", before: Head) -> Iterator[str]:
    """Yield what is wrong with an entry as it stands after the one before it."""
    missing = range(before.length + 1, row.seq)
    if missing:
        one, first, last = len(missing) == 1, missing[0], missing[-1]
        yield f"entry {first} is missing" if one else f"entries {first} to {last} are missing"
    if row.seq <= before.length:
        yield f"entry {row.seq} is one too many"
    if not isinstance(row.body, str):
        yield f"entry {row.seq} holds no text"
        return
    try:
        entry = Entry.model_validate_json(row.body)
    except ValidationError:
        yield f"entry {row.seq} is not as it was written: its text is that of no entry"
        return
    if link(entry.previous, of_bytes(row.body.encode())) != row.hash:
        yield f"entry {row.seq} is not as it was written: its text and its hash do not belong together"
        return
    for column in ("seq", "action", "model"):
        shown, written = getattr(row, column), getattr(entry, column)
        if shown != written:
            yield f"entry {row.seq} shows {column} {shown!r}, but was written with {written!r}"
    if entry.previous != before.hash and not missing:
        yield f"entry {row.seq} was not written after the entry that stands before it"


def entry_of(row: Any) -> Entry:
    """Return a row's entry; one that was made unreadable says so, and keeps no other from being shown."""
    try:
        return Entry.model_validate_json(row.body).model_copy(update={"hash": row.hash})
    except ValidationError:
        unknown = dict.fromkeys(("at", "actor", "evidence", "previous"), "")
        said = "(this entry was made unreadable; run mlops-assets audit --verify)"
        known = {"seq": row.seq, "action": str(row.action), "model": str(row.model), "hash": str(row.hash)}
        return Entry(**known, **unknown, reason=said, detail={})
