"""What it takes to verify the audit chain, beside merely reading its rows.

    python benchmarks/audit.py [ENTRIES]

The peer is a plain table that is believed as it stands: the same rows read by the same SQLAlchemy from the
same SQLite file, and not looked at. Entries are like those of promotions, and every hundredth has its signed
checkpoint. Seconds of wall time in one process, the median of five. Beside it, what an entry costs to
write on a chain of that length, durable and signed, in milliseconds.
"""

import sys
import tempfile
from pathlib import Path

import sqlalchemy as sa
from timing import median_seconds

from mlops_assets.digests import of_json
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.audit_entry import EMPTY, Entry, Head
from mlops_assets.governance.checkpoints import Checkpoint
from mlops_assets.governance.signatures import Signer

_ROUNDS = 5
_LIMIT_SECONDS = 5.0
_AT = "2026-01-02T03:04:05Z"


def main(entries: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        signer = Signer.for_home(folder)
        url = f"sqlite:///{folder / 'fleet.db'}"
        chain = AuditChain(url, folder / "audit", lambda: signer)
        fill(chain, sa.create_engine(url), signer, entries)
        verified = median_seconds(lambda: _in_order(chain, signer), _ROUNDS)
        read = median_seconds(lambda: _read(sa.create_engine(url)), _ROUNDS)
        append = median_seconds(
            lambda: chain.append("promote", "model_0001", reason="passed its gates", version="7"), _ROUNDS
        )
    print(f"{entries} entries: verified in {verified:.2f} s; read and believed in {read:.2f} s; ")
    print(f"ratio {verified / read:.1f}; limit {_LIMIT_SECONDS:g} s, used {verified / _LIMIT_SECONDS:.0%}; ")
    print(f"one more entry {append * 1000:.1f} ms")


def fill(chain: AuditChain, engine: sa.Engine, signer: Signer, entries: int) -> None:
    """Write a chain as its writers would have, in one transaction instead of one for each entry."""
    head, rows = EMPTY, []
    chain.head()  # makes the table
    chain.checkpoints.add(Checkpoint(length=0, head=EMPTY.hash, at=_AT), signer)
    for seq in range(1, entries + 1):
        entry = Entry(
            seq=seq,
            at=_AT,
            actor="mlops",
            action="promote",
            model=f"model_{seq % 1000:04d}",
            reason="passed its gates",
            evidence=of_json(seq),
            detail={"version": str(seq), "previous": str(seq - 1), "dagster_run": of_json(-seq)[:36]},
            previous=head.hash,
        )
        head = Head(seq, entry.linked)
        shown = {"action": "promote", "model": f"model_{seq % 1000:04d}"}
        rows.append({"seq": seq, **shown, "body": entry.text, "hash": head.hash})
        if seq % 100 == 0 or seq == entries:
            chain.checkpoints.add(Checkpoint(length=seq, head=head.hash, at=_AT), signer)
    statement = "INSERT INTO audit_chain VALUES (:seq, :action, :model, :body, :hash)"
    with engine.begin() as connection:
        connection.execute(sa.text(statement), rows)


def _in_order(chain: AuditChain, signer: Signer) -> None:
    if findings := chain.verify(signer.verifier):
        raise SystemExit(findings[0])


def _read(engine: sa.Engine) -> None:
    query = "SELECT seq, action, model, body, hash FROM audit_chain ORDER BY seq"
    with engine.begin() as connection:
        for row in connection.execute(sa.text(query)):
            row.body  # noqa: B018


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
