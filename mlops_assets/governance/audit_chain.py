"""The audit chain: everything that changed production or tried to, each entry tied to the one before it.

An entry's hash covers the hash before it and, by its digest, the entry's whole text. So an entry that is
edited, removed, moved or slipped in breaks the chain, and signed checkpoints outside the database tell if
its end was cut off or all of its hashes were computed anew.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import to_jsonable_python

from mlops_assets.actor import os_user
from mlops_assets.database import Database
from mlops_assets.digests import canonical_json
from mlops_assets.errors import AuditError
from mlops_assets.governance.audit_entry import EMPTY, Entry, Head, entry_of, objections
from mlops_assets.governance.checkpoints import Checkpoint, CheckpointFile
from mlops_assets.governance.signatures import Signer, Verifier
from mlops_assets.specs.durations import utc_now

if TYPE_CHECKING:
    import sqlalchemy as sa

_MOST_FINDINGS = 100
# One transaction keeps no more rows than this in memory, however long the chain.
_ROWS_AT_ONCE = 5_000
_NOT_SIGNED = "; no new one is signed; run mlops-assets audit --verify"

log = logging.getLogger("mlops_assets.audit")


class AuditChain:
    """An append-only chain of entries; any number of threads, processes and machines may write to it.

    Args:
        url: SQLAlchemy URL of the database.
        checkpoints: Folder of the checkpoints; should not lie where the database does.
        signer: Gives the key that signs checkpoints, or None to a writer that has none. Asked when an entry
            is appended, so that who only reads needs no key.
    """

    def __init__(
        self, url: str, checkpoints: Path, signer: Callable[[], Signer | None] = lambda: None
    ) -> None:
        self._database = Database(url, "audit chain", _declare)
        self._signer = signer
        self.checkpoints = CheckpointFile(checkpoints / "checkpoints.jsonl")

    def append(
        self,
        action: str,
        model: str,
        *,
        actor: str | None = None,
        reason: str = "",
        evidence: str = "",
        **detail: Any,
    ) -> Entry:
        """Add an entry, and sign that the chain now ends with it.

        A process that is killed in between leaves a chain that is longer than its checkpoint, which is
        in order; the next entry's checkpoint covers both.

        Args:
            action: What was done or tried, in one word.
            model: Model name.
            actor: Who did it; the user that runs this process if None.
            reason: Why.
            evidence: Digest of what it rests on.
            **detail: What else is known: JSON values, times and dates.

        Raises:
            AuditError: The detail is no JSON.
            StorageError: The database or the checkpoints cannot be written.
        """
        try:
            plain = to_jsonable_python(detail)
            canonical_json(plain)
        except ValueError as error:
            raise AuditError(f"audit entry {action!r} of {model}: its detail is not JSON: {error}") from error
        signer = self._signer()
        if signer is not None:
            self._begin_checkpoints(signer)
        table = self._table
        with self._database.begin_alone() as connection:
            head = self._head(connection)
            written = Entry(
                seq=head.length + 1,
                at=_now(),
                actor=_encodable(actor or os_user()),
                action=action,
                model=model,
                reason=_encodable(reason),
                evidence=evidence,
                detail=plain,
                previous=head.hash,
            )
            entry = written.model_copy(update={"hash": written.linked})
            row = {"seq": entry.seq, "action": action, "model": model, "body": entry.text, "hash": entry.hash}
            connection.execute(table.insert().values(row))
        if signer is not None:
            self._vouch(signer)
        return entry

    def head(self) -> Head:
        """Return the chain's length and its newest entry's hash."""
        with self._database.begin() as connection:
            return self._head(connection)

    def has(self, head: Head) -> bool:
        """Return whether the chain still is what it was when it ended so, or has grown from there."""
        with self._database.begin() as connection:
            return self._hash(connection, head.length) == head.hash

    def entries(self, model: str | None = None, after: int = 0, last: int | None = None) -> list[Entry]:
        """Return entries, oldest first.

        Args:
            model: Of this model only.
            after: Only entries with a higher number.
            last: At most so many, the newest.
        """
        table = self._table
        query = table.select().where(table.c.seq > after).order_by(table.c.seq.desc()).limit(last)
        if model is not None:
            query = query.where(table.c.model == model)
        with self._database.begin() as connection:
            return [entry_of(row) for row in connection.execute(query)][::-1]

    def texts(self, first: int, last: int) -> list[str]:
        """Return the texts of a range of entries as they stand, whatever was done to them."""
        table = self._table
        query = table.select().where(table.c.seq.between(first, last)).order_by(table.c.seq)
        with self._database.begin() as connection:
            return [str(row.body) for row in connection.execute(query)]

    def newest(self, model: str, actions: Iterable[str]) -> Entry | None:
        """Return the newest entry of a model with one of these actions, or None."""
        table = self._table
        of_these = (table.c.model == model) & table.c.action.in_(list(actions))
        query = table.select().where(of_these).order_by(table.c.seq.desc()).limit(1)
        with self._database.begin() as connection:
            row = connection.execute(query).first()
        return None if row is None else entry_of(row)

    def newest_first(
        self, actions: Iterable[str], model: str | None = None, after: int = 0
    ) -> Iterator[Entry]:
        """Yield the entries with one of these actions, the newest first, and few at a time from the database.

        Args:
            actions: What was done.
            model: Of this model only.
            after: Only entries with a higher number.
        """
        table = self._table
        query = table.select().where(table.c.action.in_(list(actions)), table.c.seq > after)
        if model is not None:
            query = query.where(table.c.model == model)
        newest = query.order_by(table.c.seq.desc()).execution_options(yield_per=_ROWS_AT_ONCE)
        with self._database.begin() as connection:
            yield from map(entry_of, connection.execute(newest))

    def newest_by_model(self, actions: Iterable[str]) -> dict[str, Entry]:
        """Return each model's newest entry with one of these actions, in one query."""
        import sqlalchemy as sa

        table = self._table
        of_these = table.c.action.in_(list(actions))
        newest = sa.select(sa.func.max(table.c.seq)).where(of_these).group_by(table.c.model)
        with self._database.begin() as connection:
            rows = connection.execute(table.select().where(table.c.seq.in_(newest)))
            return {row.model: entry_of(row) for row in rows}

    def verify(self, verifier: Verifier) -> list[str]:
        """Return what is wrong with the chain, at most a hundred sentences; none if it is as it was written.

        What nothing can tell from honest work is an entry that was added after the newest checkpoint by
        somebody with the right to add entries; and a database and its checkpoints that were both
        put back to what they were at an earlier time.
        """
        return list(islice(self._findings(verifier), _MOST_FINDINGS))

    def _findings(self, verifier: Verifier) -> Iterator[str]:
        # Before the entries: one that is added meanwhile must not look like one that was removed.
        checkpoints, wrong = self.checkpoints.read(verifier)
        yield from wrong
        signed = {checkpoint.length: checkpoint for checkpoint in checkpoints}
        head, vouched, contradicted = EMPTY, 0, None
        with self._database.begin() as connection:
            for row in self._rows(connection):
                if not isinstance(row.seq, int):  # in a table that was made anew, without its types
                    yield f"what follows entry {head.length} has no number"
                    continue
                yield from objections(row, head)
                head = Head(row.seq, row.hash)
                checkpoint = signed.get(row.seq)
                if checkpoint is not None and contradicted is None:
                    if checkpoint.head == row.hash:
                        vouched = row.seq
                    else:
                        contradicted = checkpoint
        if contradicted is not None:
            said = f"entry {contradicted.length} is not the one that was signed on {contradicted.at}"
            yield f"{said}; those up to entry {vouched} are" if vouched else said
        if checkpoints and checkpoints[-1].length > head.length:
            newest = checkpoints[-1]
            yield (
                f"the chain ends with entry {head.length}, but on {newest.at} it ended with entry "
                f"{newest.length}: its end was cut off"
            )
        if head.length and not checkpoints:
            yield (
                f"no checkpoint in {self.checkpoints.path} vouches for any entry: the file was removed, or "
                f"MLOPS_AUDIT_CHECKPOINTS named another folder when the entries were written"
            )

    def vouch(self) -> None:
        """Sign how the chain ends now, if it continues what was signed before and there is a key for it.

        Entries of writers without a key, and one after which its writer was killed, have no checkpoint yet.
        """
        if (signer := self._signer()) is not None:
            self._vouch(signer)

    def _begin_checkpoints(self, signer: Signer) -> None:
        """Vouch for the empty chain before its first entry, so that none ever comes without a checkpoint.

        A chain with entries and no checkpoint is a finding and must stay one; so it gets none here.
        """
        if self.checkpoints.exists():
            return
        with self.checkpoints.in_turn():
            if not self.checkpoints.exists() and self.head() == EMPTY:
                self.checkpoints.add(Checkpoint(length=0, head=EMPTY.hash, at=_now()), signer)

    def _vouch(self, signer: Signer) -> None:
        """Sign how the chain ends now, unless it contradicts the checkpoint before.

        Otherwise the first honest entry after a manipulation would seal it.
        """
        with self.checkpoints.in_turn():
            last = self.checkpoints.newest(signer.verifier)
            if last is None:
                log.warning("%s does not end with a checkpoint of ours%s", self.checkpoints.path, _NOT_SIGNED)
                return
            before = head = Head(last.length, last.head)
            with self._database.begin() as connection:
                found = self._hash(connection, last.length) != last.head
                for row in self._rows(connection, after=last.length):
                    found = found or any(objections(row, head))
                    head = Head(row.seq, row.hash)
            if found:
                log.warning("the audit chain is not as it was on %s%s", last.at, _NOT_SIGNED)
            elif head != before:
                self.checkpoints.add(Checkpoint(length=head.length, head=head.hash, at=_now()), signer)

    @property
    def _table(self) -> "sa.Table":
        return self._database.tables["audit_chain"]

    def _head(self, connection: "sa.Connection") -> Head:
        table = self._table
        newest = table.select().order_by(table.c.seq.desc()).limit(1)
        row = connection.execute(newest).first()
        return EMPTY if row is None else Head(row.seq, row.hash)

    def _hash(self, connection: "sa.Connection", seq: int) -> str | None:
        """Return the hash of an entry as it stands, or None if there is no such entry."""
        if seq == 0:
            return EMPTY.hash
        row = connection.execute(self._table.select().where(self._table.c.seq == seq)).first()
        return None if row is None else str(row.hash)

    def _rows(self, connection: "sa.Connection", after: int | None = None) -> Iterable["sa.Row[Any]"]:
        query = self._table.select().order_by(self._table.c.seq)
        if after is not None:
            query = query.where(self._table.c.seq > after)
        return connection.execute(query.execution_options(yield_per=_ROWS_AT_ONCE))


def _declare(metadata: "sa.MetaData") -> None:
    import sqlalchemy as sa

    # The text is the entry. The columns beside it are for finding it, and must say the same.
    sa.Table(
        "audit_chain",
        metadata,
        sa.Column(
            "seq", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False
        ),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Index("audit_chain_by_model", "model", "seq"),
    )


def _now() -> str:
    return f"{utc_now().isoformat()}Z"


def _encodable(text: str) -> str:
    """Return text without what a terminal of another encoding may put in: it must keep no entry out."""
    return text.encode(errors="replace").decode()
