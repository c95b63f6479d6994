"""What somebody without any right does to an estate: one function an attack, steered by two numbers."""

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

from mlops_assets.governance.release import Release
from mlops_assets.registry.port import (
    CANDIDATE_TAG,
    CHALLENGER,
    CHAMPION,
    EVIDENCE_TAG,
    PREVIOUS_CHAMPION,
    RELEASE_TAG,
)
from mlops_assets_tests.attacks.estate import MODEL, STRANGER, Estate, packages

ALIASES = (CHAMPION, CHAMPION, PREVIOUS_CHAMPION, CHALLENGER)
TAGS = (RELEASE_TAG, EVIDENCE_TAG, CANDIDATE_TAG)
NONSENSE = ("", "{}", "../../x", "f" * 64, '{"kind":"release/1"}')

# --- the registry -------------------------------------------------------------------------------------------


def an_alias_is_moved(estate: Estate, n: int, m: int) -> None:
    if (version := estate.pick(n)) is not None:
        estate.registry.set_alias(MODEL, ALIASES[m % 4], version.version)


def an_alias_is_deleted(estate: Estate, n: int, m: int) -> None:
    if MODEL in estate.registry.models():
        estate.registry.delete_alias(MODEL, ALIASES[n % 4])


def a_tag_is_copied(estate: Estate, n: int, m: int) -> None:
    one, other, tag = estate.pick(n), estate.pick(m), TAGS[(n + m) % 3]
    if one and other and tag in one.tags:
        estate.registry.set_tag(MODEL, other.version, tag, one.tags[tag])


def a_tag_is_deleted(estate: Estate, n: int, m: int) -> None:
    if (version := estate.pick(n)) is not None:
        estate.registry.delete_tag(MODEL, version.version, TAGS[m % 3])


def a_tag_is_overwritten(estate: Estate, n: int, m: int) -> None:
    if (version := estate.pick(n)) is not None:
        estate.registry.set_tag(MODEL, version.version, TAGS[m % 3], NONSENSE[m % 5])


def an_older_release_is_put_back(estate: Estate, n: int, m: int) -> None:
    if (version := estate.pick(n)) is not None and estate.moves:
        old = estate.moves[m % len(estate.moves)].release
        estate.registry.set_tag(MODEL, version.version, RELEASE_TAG, old)


def a_release_is_forged(estate: Estate, n: int, m: int) -> None:
    if (version := estate.pick(n)) is None or not estate.moves:
        return
    like = json.loads(estate.moves[m % len(estate.moves)].release)["value"]
    named = {"version": version.version, "candidate": version.candidate, "mlflow_run": version.run_id}
    forged = Release.model_validate({**like, **named, "serial": like["serial"] + 10**9})
    estate.registry.set_tag(MODEL, version.version, RELEASE_TAG, forged.sealed(STRANGER))


def a_version_is_made_by_hand(estate: Estate, n: int, m: int) -> None:
    if (like := estate.pick(m)) is not None:
        run = sorted(estate.runs)[n % len(estate.runs)]
        estate.registry.create_version(MODEL, run, like.tags)


def a_version_is_deleted(estate: Estate, n: int, m: int) -> None:
    if (version := estate.pick(n)) is not None:
        estate.registry.delete_version(MODEL, version.version)


def the_model_is_registered_anew(estate: Estate, n: int, m: int) -> None:
    """With the versions it had, in the order they had, or another one."""
    versions = estate.registry.versions(MODEL)
    if not versions:
        return
    estate.registry.delete_model(MODEL)
    if n % 2:
        random.Random(n).shuffle(versions)
    estate.registry.create_model(MODEL)
    for version in versions:
        estate.registry.create_version(MODEL, version.run_id, version.tags)
    if m % 3:
        an_alias_is_moved(estate, n, 0)


def the_model_is_deleted(estate: Estate, n: int, m: int) -> None:
    if MODEL in estate.registry.models():
        estate.registry.delete_model(MODEL)


def the_model_is_renamed_and_back(estate: Estate, n: int, m: int) -> None:
    if MODEL in estate.registry.models():
        estate.registry.rename_model(MODEL, "elsewhere")
        estate.registry.rename_model("elsewhere", MODEL)


# --- the artifact store -------------------------------------------------------------------------------------


def packages_are_exchanged(estate: Estate, n: int, m: int) -> None:
    runs, kept = sorted(estate.registry.packages), estate.registry.packages
    one, other = runs[n % len(runs)], runs[m % len(runs)]
    kept[one], kept[other] = kept[other], kept[one]


def a_byte_is_changed(estate: Estate, n: int, m: int) -> None:
    runs = sorted(estate.registry.packages)
    files = estate.registry.packages[runs[n % len(runs)]]
    name = sorted(files)[m % len(files)]
    content = bytearray(files[name])
    content[(n * 97 + m * 31) % len(content)] ^= 1
    files[name] = bytes(content)


def evidence_is_exchanged(estate: Estate, n: int, m: int) -> None:
    runs, kept = sorted(estate.registry.statements), estate.registry.statements
    one, other = kept[runs[n % len(runs)]], kept[runs[m % len(runs)]]
    for name in one:
        one[name] = other[sorted(other)[m % len(other)]]


def evidence_is_forged(estate: Estate, n: int, m: int) -> None:
    runs = sorted(estate.registry.statements)
    run = runs[n % len(runs)]
    kept = estate.registry.statements[run]
    name = sorted(kept)[n % len(kept)]
    if m % 2:
        kept[name] = kept[name].replace(b"0.09", b"0.01")
    else:
        digest, _ = packages()[estate.runs[run]]
        kept[name] = estate.vouched(digest, 0.0, "limited", 0).sealed(STRANGER).encode()


# --- the audit database -------------------------------------------------------------------------------------


def _entries(estate: Estate) -> list[Any]:
    estate.audit.head()
    with closing(sqlite3.connect(estate.root / "fleet.db")) as database:
        return database.execute(
            "SELECT seq, action, model, body, hash FROM audit_chain ORDER BY seq"
        ).fetchall()


def _rewrite(estate: Estate, rows: list[Any]) -> None:
    with closing(sqlite3.connect(estate.root / "fleet.db")) as database, database:
        database.execute("DELETE FROM audit_chain")
        database.executemany("INSERT INTO audit_chain VALUES (?, ?, ?, ?, ?)", rows)
    estate.tampered = True


def the_end_of_the_chain_is_cut_off(estate: Estate, n: int, m: int) -> None:
    rows = _entries(estate)
    _rewrite(estate, rows[: n % (len(rows) + 1)])


def an_entry_is_deleted(estate: Estate, n: int, m: int) -> None:
    if rows := _entries(estate):
        del rows[n % len(rows)]
        _rewrite(estate, rows)


def an_entry_is_altered(estate: Estate, n: int, m: int) -> None:
    if rows := _entries(estate):
        seq, action, model, was, digest = rows[n % len(rows)]
        text = (was.replace('"serial":1', '"serial":9'), "", "{}")[m % 3]
        rows[n % len(rows)] = (seq, action, model, text, digest)
        _rewrite(estate, rows)


def a_promotion_is_slipped_in(estate: Estate, n: int, m: int) -> None:
    release = estate.moves[n % len(estate.moves)].release if m % 3 and estate.moves else "{}"
    serial = 10**12 if m % 2 else 0
    estate.audit.append("promote", MODEL, actor="deployer", version="1", serial=serial, release=release)


def an_approval_is_forged(estate: Estate, n: int, m: int) -> None:
    if (version := estate.pick(n)) is None or not estate.decided:
        return
    like = estate.decided[m % len(estate.decided)]
    about = {"version": version.version, "candidate": version.candidate or "c", "decision": "approve"}
    forged = {**like, "decision": {**like["decision"], **about}}
    estate.audit.append("approve", MODEL, actor="Ada", version=version.version, signed=forged)


def the_database_is_saved_or_put_back(estate: Estate, n: int, m: int) -> None:
    if n % 2 or not estate.backup:
        estate.backup = _entries(estate)
    else:
        _rewrite(estate, estate.backup)


TAMPERINGS: tuple[Callable[[Estate, int, int], None], ...] = (
    an_alias_is_moved,
    an_alias_is_deleted,
    a_tag_is_copied,
    a_tag_is_deleted,
    a_tag_is_overwritten,
    an_older_release_is_put_back,
    a_release_is_forged,
    a_version_is_made_by_hand,
    a_version_is_deleted,
    the_model_is_registered_anew,
    the_model_is_deleted,
    the_model_is_renamed_and_back,
    packages_are_exchanged,
    a_byte_is_changed,
    evidence_is_exchanged,
    evidence_is_forged,
    the_end_of_the_chain_is_cut_off,
    an_entry_is_deleted,
    an_entry_is_altered,
    a_promotion_is_slipped_in,
    an_approval_is_forged,
    the_database_is_saved_or_put_back,
)
