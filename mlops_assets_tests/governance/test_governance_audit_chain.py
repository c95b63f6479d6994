"""The audit chain: one chain whoever writes to it, and no change to it goes unseen."""

import json
import multiprocessing
import os
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.digests import canonical_json, of_bytes
from mlops_assets.errors import AuditError, StorageError
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.audit_entry import EMPTY, link
from mlops_assets.governance.signatures import Signer
from mlops_assets_tests.together import together

ENTRIES = 9


class Audited:
    """A chain in SQLite below a folder, its key, and what somebody with the right to write can do to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file, self.checkpoints = folder / "fleet.db", folder / "audit" / "checkpoints.jsonl"
        self.signer = Signer.for_home(folder)
        self.chain = self.of(self.signer)

    def of(self, signer: Signer | None) -> AuditChain:
        """Return the chain as a process with another key, or none, has it."""
        return AuditChain(f"sqlite:///{self.file}", self.folder / "audit", lambda: signer)

    def findings(self) -> list[str]:
        return self.chain.verify(self.signer.verifier)

    def sql(self, *statements: str, **values: Any) -> None:
        with closing(sqlite3.connect(self.file)) as database, database:
            for statement in statements:
                database.execute(statement, values)

    def rows(self) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.file)) as database:
            return database.execute("SELECT * FROM audit_chain ORDER BY seq").fetchall()

    def chain_anew(self, first: int, change: Callable[[dict[str, Any]], None]) -> None:
        """Change an entry and compute all hashes from it on, as somebody would who knows how."""
        previous = None
        for seq, action, model, text, digest in self.rows():
            entry = json.loads(text)
            if seq == first:
                change(entry)
            elif previous is not None:
                entry["previous"] = previous
            body = canonical_json(entry)
            if body.decode() != text:
                previous = link(entry["previous"], of_bytes(body))
                shown = {"action": entry.get("action", action), "model": entry.get("model", model)}
                self.sql(
                    "UPDATE audit_chain SET body = :b, hash = :h, action = :a, model = :m WHERE seq = :s",
                    **{
                        "s": seq,
                        "b": body.decode(),
                        "h": previous,
                        "a": shown["action"],
                        "m": shown["model"],
                    },
                )
            assert digest != previous


@pytest.fixture
def audited(tmp_path: Path) -> Audited:
    return Audited(tmp_path / "home")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a chain of nine entries; to be copied, not used."""
    audited = Audited(tmp_path_factory.mktemp("written"))
    for number in range(ENTRIES):
        audited.chain.append("promote", "ab"[number % 2], reason=f"reason {number}", version=str(number))
    assert audited.findings() == []
    return audited.folder


@pytest.fixture
def full(written: Path, tmp_path: Path) -> Audited:
    """Return a chain of nine entries of the test's own."""
    return Audited(shutil.copytree(written, tmp_path / "home"))


def test_an_entry_tells_who_did_what_when_why_and_on_what_evidence(audited: Audited) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    audited.chain.append(
        "promote",
        "m",
        reason="won é\n",
        evidence="d" * 64,
        version="2",
        previous=None,
        since=datetime(2024, 1, 2),
    )
    (entry,) = audited.chain.entries()
    assert (entry.seq, entry.action, entry.model, entry.reason) == (1, "promote", "m", "won é\n")
    assert entry.evidence == "d" * 64
    assert entry.detail == {"version": "2", "previous": None, "since": "2024-01-02T00:00:00"}
    assert before <= datetime.fromisoformat(entry.at) <= datetime.now(UTC)
    assert entry.hash == link(entry.previous, of_bytes(entry.text.encode()))
    assert entry.previous == EMPTY.hash


def test_entries_are_numbered_without_gaps_and_each_names_the_one_before(full: Audited) -> None:
    entries = full.chain.entries()
    assert [e.seq for e in entries] == list(range(1, ENTRIES + 1))
    assert [e.previous for e in entries] == [EMPTY.hash, *(e.hash for e in entries[:-1])]
    assert full.chain.head() == (ENTRIES, entries[-1].hash)
    assert [e.seq for e in full.chain.entries("b")] == [2, 4, 6, 8]
    assert [e.seq for e in full.chain.entries("b", after=4)] == [6, 8]
    assert [e.seq for e in full.chain.entries(last=2)] == [8, 9]


def test_the_newest_entry_of_each_model_is_found(audited: Audited) -> None:
    moves = ("promote", "rollback")
    assert audited.chain.newest("m", moves) is None
    audited.chain.append("promote", "m", version="1")
    audited.chain.append("promote", "m", version="2")
    audited.chain.append("rollback", "m", version="1")
    audited.chain.append("refuse", "m", version="3")
    audited.chain.append("promote", "n", version="7")
    found = audited.chain.newest_by_model(moves)
    assert {model: e.detail["version"] for model, e in found.items()} == {"m": "1", "n": "7"}
    newest = audited.chain.newest("m", ["refuse"])
    assert newest is not None
    assert newest.seq == 4


def test_nobody_acts_under_another_name_by_setting_a_variable(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = audited.chain.append("promote", "m").actor
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert audited.chain.append("promote", "m").actor == honest
    assert audited.chain.append("approve", "m", actor="ops").actor == "ops"


def test_a_user_without_a_name_is_audited_by_number(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr("pwd.getpwuid", nobody)
    assert audited.chain.append("promote", "m").actor == f"uid {os.getuid()}"


@pytest.mark.parametrize("value", [float("nan"), float("-inf"), object(), {"deep": [float("nan")]}, "\udcff"])
def test_a_detail_that_is_not_json_is_refused_before_anything_is_written(
    audited: Audited, value: Any
) -> None:
    with pytest.raises(AuditError, match="audit entry 'promote' of m: its detail is not JSON"):
        audited.chain.append("promote", "m", figure=value)
    assert audited.chain.head() == EMPTY


def test_no_reason_that_a_person_can_type_keeps_an_entry_out(audited: Audited) -> None:
    audited.chain.append("rollback", "m", reason="\x00 \udcff 'quoted' \\u0041 [/bold]", version="1")
    assert audited.chain.entries()[0].reason == "\x00 ? 'quoted' \\u0041 [/bold]"
    assert audited.findings() == []


def test_an_empty_chain_is_in_order(audited: Audited) -> None:
    assert audited.findings() == []


def _append(arguments: tuple[str, Path, int]) -> int:
    url, folder, worker = arguments
    chain = AuditChain(url, folder / "audit", lambda: Signer.for_home(folder))
    for number in range(5):
        chain.append("promote", f"m{worker}", version=str(number))
    return worker


def one_chain_of(url: str, folder: Path) -> None:
    """Have six processes write to a chain together, and require that it is one."""
    assert together(_append, [(url, folder, n) for n in range(6)]) == list(range(6))
    chain = AuditChain(url, folder / "audit")
    verifier = Signer.for_home(folder).verifier
    assert chain.verify(verifier) == []
    checkpoint = chain.checkpoints.newest(verifier)
    assert checkpoint is not None
    assert (checkpoint.length, checkpoint.head) == chain.head()
    assert chain.head().length == 30
    for worker in range(6):
        assert [e.detail["version"] for e in chain.entries(f"m{worker}")] == list("01234")


def test_processes_that_write_together_keep_one_chain(tmp_path: Path) -> None:
    one_chain_of(f"sqlite:///{tmp_path / 'fleet.db'}", tmp_path)


def test_threads_that_write_together_keep_one_chain(audited: Audited) -> None:
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(lambda n: audited.chain.append("promote", f"m{n}").seq, range(40)))
    assert sorted(written) == list(range(1, 41))
    newest = audited.chain.checkpoints.newest(audited.signer.verifier)
    assert newest is not None
    assert (newest.length, newest.head) == audited.chain.head()
    assert audited.findings() == []


@pytest.fixture
def postgresql() -> Iterator[str]:
    url = os.environ.get("MLOPS_TEST_POSTGRES_URL")
    if not url:
        pytest.skip("MLOPS_TEST_POSTGRES_URL names no database")
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE IF EXISTS audit_chain"))
    yield url
    engine.dispose()


def test_processes_that_write_together_keep_one_chain_in_postgresql(postgresql: str, tmp_path: Path) -> None:
    one_chain_of(postgresql, tmp_path)


def test_in_postgresql_a_writer_needs_no_more_than_the_right_to_add(postgresql: str, tmp_path: Path) -> None:
    signer = Signer.for_home(tmp_path)
    AuditChain(postgresql, tmp_path / "audit", lambda: signer).append("promote", "m", version="1")
    with sa.create_engine(postgresql).begin() as connection:
        connection.execute(sa.text("DROP ROLE IF EXISTS adder_of_a_test"))
        connection.execute(sa.text("CREATE ROLE adder_of_a_test"))
        connection.execute(sa.text("GRANT SELECT, INSERT ON audit_chain TO adder_of_a_test"))
    restricted = sa.make_url(postgresql).update_query_dict({"options": "-c role=adder_of_a_test"})
    url = restricted.render_as_string(hide_password=False)
    try:
        chain = AuditChain(url, tmp_path / "audit", lambda: signer)
        chain.append("promote", "m", version="2")
        assert chain.verify(signer.verifier) == []
        with pytest.raises(sa.exc.ProgrammingError), sa.create_engine(url).begin() as connection:
            connection.execute(sa.text("DELETE FROM audit_chain"))
    finally:
        with sa.create_engine(postgresql).begin() as connection:
            connection.execute(sa.text("DROP OWNED BY adder_of_a_test; DROP ROLE adder_of_a_test"))


def _edit_text(a: Audited) -> None:
    a.sql("UPDATE audit_chain SET body = replace(body, 'reason 4', 'reason 5') WHERE seq = 5")


def _edit_and_hash_it(a: Audited) -> None:
    _edit_text(a)
    text = a.rows()[4][3]
    new = link(json.loads(text)["previous"], of_bytes(text.encode()))
    a.sql("UPDATE audit_chain SET hash = :h WHERE seq = 5", h=new)


def _delete(a: Audited) -> None:
    a.sql("DELETE FROM audit_chain WHERE seq BETWEEN 4 AND 6")


def _delete_and_close_up(a: Audited) -> None:
    a.sql(
        "DELETE FROM audit_chain WHERE seq = 4",
        "UPDATE audit_chain SET seq = -seq + 1 WHERE seq > 4",
        "UPDATE audit_chain SET seq = -seq WHERE seq < 0",
    )


def _swap(a: Audited) -> None:
    a.sql(*(f"UPDATE audit_chain SET seq = {new} WHERE seq = {old}" for old, new in ((3, 0), (4, 3), (0, 4))))


def _insert(a: Audited) -> None:
    a.sql(
        "UPDATE audit_chain SET seq = -seq - 1 WHERE seq > 4",
        "UPDATE audit_chain SET seq = -seq WHERE seq < 0",
        "INSERT INTO audit_chain SELECT 5, action, model, body, hash FROM audit_chain WHERE seq = 3",
    )


def _lay_over_again(a: Audited) -> None:
    """A table without its key holds an entry twice."""
    a.sql(
        "CREATE TABLE copy AS SELECT * FROM audit_chain",
        "DROP TABLE audit_chain",
        "ALTER TABLE copy RENAME TO audit_chain",
        "INSERT INTO audit_chain SELECT * FROM audit_chain WHERE seq = 4",
    )


TAMPERED: dict[str, tuple[Callable[[Audited], None], tuple[str, ...]]] = {
    "a text": (_edit_text, ("entry 5 is not as it was written",)),
    "a text and its hash": (_edit_and_hash_it, ("entry 6 was not written after the entry",)),
    "a hash": (
        lambda a: a.sql("UPDATE audit_chain SET hash = :h WHERE seq = 9", h="0" * 64),
        ("entry 9 is not as it was written", "entry 9 is not the one that was signed on"),
    ),
    "the model shown": (
        lambda a: a.sql("UPDATE audit_chain SET model = 'c' WHERE seq = 2"),
        ("entry 2 shows model 'c', but was written with 'b'",),
    ),
    "the action shown": (
        lambda a: a.sql("UPDATE audit_chain SET action = 'rollback' WHERE seq = 2"),
        ("entry 2 shows action 'rollback', but was written with 'promote'",),
    ),
    "a text that is no text": (
        lambda a: a.sql("UPDATE audit_chain SET body = x'00ff' WHERE seq = 3"),
        ("entry 3 holds no text",),
    ),
    "entries removed": (_delete, ("entries 4 to 6 are missing",)),
    "an entry removed and the rest closed up": (
        _delete_and_close_up,
        ("entry 4 shows seq 4, but was written",),
    ),
    "two entries swapped": (
        _swap,
        ("entry 3 shows seq 3, but was written with 4", "entry 3 was not written"),
    ),
    "an entry slipped in": (_insert, ("entry 5 shows seq 5, but was written with 3",)),
    "an entry laid over again": (_lay_over_again, ("entry 4 is one too many",)),
    "the last entry cut off": (
        lambda a: a.sql("DELETE FROM audit_chain WHERE seq = 9"),
        ("the chain ends with entry 8, but on 20",),
    ),
    "all entries removed": (
        lambda a: a.sql("DELETE FROM audit_chain"),
        ("the chain ends with entry 0, but on 20",),
    ),
    "the table dropped": (
        lambda a: a.sql("DROP TABLE audit_chain"),
        ("the chain ends with entry 0, but on 20",),
    ),
    "the chain written anew": (
        lambda a: a.chain_anew(5, lambda entry: entry.update(actor="somebody-else")),
        ("entry 9 is not the one that was signed on",),
    ),
    "the chain written anew from the first": (
        lambda a: a.chain_anew(1, lambda entry: entry.update(model="z")),
        ("entry 9 is not the one that was signed on",),
    ),
    "the checkpoints removed": (
        lambda a: a.checkpoints.unlink(),
        ("vouches for any entry: the file was removed, or MLOPS_AUDIT_CHECKPOINTS named another folder",),
    ),
    "the checkpoints emptied": (lambda a: a.checkpoints.write_text(""), ("vouches for any entry",)),
    "a checkpoint edited": (
        lambda a: a.checkpoints.write_text(a.checkpoints.read_text().replace('"length":9', '"length":8')),
        ("checkpoints.jsonl, line 2: no checkpoint that the platform key signed",),
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_is_found_and_told_where(what: str, full: Audited) -> None:
    tamper, said = TAMPERED[what]
    tamper(full)
    findings = full.findings()
    for words in said:
        assert any(words in finding for finding in findings), findings


def test_a_table_made_anew_without_its_types_is_found(full: Audited) -> None:
    full.sql(
        "CREATE TABLE copy AS SELECT 'no. ' || seq AS seq, action, model, body, hash FROM audit_chain",
        "DROP TABLE audit_chain",
        "ALTER TABLE copy RENAME TO audit_chain",
    )
    assert "what follows entry 0 has no number" in full.findings()


@pytest.mark.parametrize("what", TAMPERED)
def test_an_honest_entry_after_it_is_written_and_seals_no_tampering(what: str, full: Audited) -> None:
    TAMPERED[what][0](full)
    length = full.chain.head().length
    for number in range(3):
        assert full.chain.append("rollback", "a", version=str(number)).seq == length + number + 1
    assert full.findings() != []


@pytest.mark.parametrize("gone", ["seq > 8", "seq = 10"])
def test_who_writes_next_is_told_that_the_chain_is_not_as_it_was_signed(
    gone: str, full: Audited, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether what is gone was signed already, or was added since by writers without the key."""
    for version in ("10", "11"):
        full.of(None).append("promote", "a", version=version)
    full.sql(f"DELETE FROM audit_chain WHERE {gone}")
    before = full.checkpoints.read_bytes()
    full.chain.append("promote", "a", version="12")
    assert full.checkpoints.read_bytes() == before
    (warning,) = caplog.messages
    assert "no new one is signed; run mlops-assets audit --verify" in warning


class _Slow(Signer):
    """A key that signs a checkpoint of one entry only when another writer had time to overtake."""

    def __init__(self, key: Ed25519PrivateKey, overtaking: threading.Thread) -> None:
        super().__init__(key)
        self._overtaking = overtaking

    def sign(self, content: bytes) -> bytes:
        if json.loads(content)["length"] == 1:
            self._overtaking.start()
            self._overtaking.join(0.5)  # it cannot end as long as we hold our turn
        return super().sign(content)


def test_a_checkpoint_never_goes_back(audited: Audited) -> None:
    other = threading.Thread(target=lambda: audited.of(audited.signer).append("promote", "m", version="2"))
    audited.of(_Slow(audited.signer._key, other)).append("promote", "m", version="1")
    other.join()
    newest = audited.chain.checkpoints.newest(audited.signer.verifier)
    assert newest is not None
    assert newest.length == audited.chain.head().length == 2


def test_a_checkpoint_by_another_key_is_a_finding(full: Audited) -> None:
    other = Signer(Ed25519PrivateKey.generate())
    assert [f.split(", ")[-1] for f in full.chain.verify(other.verifier)[:2]] == [
        "line 1: no checkpoint that the platform key signed",
        "line 2: no checkpoint that the platform key signed",
    ]
    before = full.checkpoints.read_bytes()
    full.of(other).append("promote", "a", version="9")
    assert full.checkpoints.read_bytes() == before


def test_a_chain_without_checkpoints_gets_none_from_its_next_writer(audited: Audited) -> None:
    """Else who removes them need only wait."""
    audited.of(None).append("promote", "m", version="1")
    audited.chain.append("promote", "m", version="2")
    assert not audited.checkpoints.exists()
    assert "vouches for any entry" in audited.findings()[0]


def test_what_a_writer_without_the_key_adds_is_in_order_and_signed_by_the_next(full: Audited) -> None:
    before = full.checkpoints.read_bytes()
    full.of(None).append("rollback", "a", version="3")
    assert full.checkpoints.read_bytes() == before
    assert full.findings() == []
    full.chain.append("rollback", "a", version="4")
    newest = full.chain.checkpoints.newest(full.signer.verifier)
    assert newest is not None
    assert newest.length == ENTRIES + 2
    assert full.findings() == []


class _Killed(Signer):
    """A key in a process that is killed as it is about to sign a checkpoint of one length."""

    def sign(self, content: bytes) -> bytes:
        if json.loads(content)["length"] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().sign(content)


def _append_until_killed(folder: Path) -> None:
    signer = _Killed(Signer.for_home(folder)._key)
    chain = AuditChain(f"sqlite:///{folder / 'fleet.db'}", folder / "audit", lambda: signer)
    for number in range(3):
        chain.append("promote", "m", version=str(number))


def test_a_kill_between_the_entry_and_its_checkpoint_is_mended_by_the_next_entry(audited: Audited) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=_append_until_killed, args=(audited.folder,)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert audited.chain.head().length == 2
    assert audited.findings() == []
    audited.chain.append("promote", "m", version="3")
    newest = audited.chain.checkpoints.newest(audited.signer.verifier)
    assert newest is not None
    assert newest.length == 3
    assert audited.findings() == []


def test_checkpoints_of_long_ago_tell_since_when_a_chain_is_another(audited: Audited) -> None:
    for number in range(250):
        audited.chain.append("promote", "m", version=str(number))
    kept = [json.loads(line)["checkpoint"]["length"] for line in audited.checkpoints.read_text().splitlines()]
    assert kept == [0, 100, 200, 250]
    assert audited.findings() == []
    audited.chain_anew(150, lambda entry: entry.update(actor="somebody-else"))
    (finding,) = audited.findings()
    assert finding.startswith("entry 200 is not the one that was signed on")
    assert finding.endswith("those up to entry 100 are")


def test_findings_about_a_whole_chain_are_a_page_and_not_a_book(audited: Audited) -> None:
    for number in range(120):
        audited.of(None).append("promote", "m", version=str(number))
    audited.sql("UPDATE audit_chain SET hash = 'x'")
    assert len(audited.findings()) == 100


def test_an_unreadable_entry_says_so_and_the_others_are_shown(full: Audited) -> None:
    full.sql("UPDATE audit_chain SET body = '{' WHERE seq = 9")
    entries = full.chain.entries()
    assert len(entries) == ENTRIES
    assert entries[-1].reason == "(this entry was made unreadable; run mlops-assets audit --verify)"
    newest = full.chain.newest_by_model(["promote"])
    assert set(newest) == {"a", "b"}, "the unreadable one is still found, and says nothing"


def test_a_database_that_cannot_be_reached_is_one_clear_line(tmp_path: Path) -> None:
    chain = AuditChain("postgresql+psycopg2://u:secret@127.0.0.1:1/x", tmp_path)
    with pytest.raises(
        StorageError, match=r"audit chain: (?s:.*)check MLOPS_HOME or MLOPS_STATE_URL"
    ) as raised:
        chain.append("promote", "m")
    assert "secret" not in str(raised.value)


seqs = st.integers(1, ENTRIES)
texts = st.text(st.characters(blacklist_categories=["Cs"]), max_size=20)
mutations = st.one_of(
    st.tuples(st.just("edit"), seqs, st.integers(0, 10_000), st.characters(blacklist_categories=["Cs"])),
    st.tuples(st.just("set"), seqs, st.sampled_from(["action", "model", "body", "hash"]), texts),
    st.tuples(st.just("renumber"), seqs, st.integers(-2, ENTRIES + 3)),
    st.tuples(st.just("swap"), seqs, seqs),
    st.tuples(st.just("copy"), seqs, seqs, st.sampled_from(["action", "model", "body", "hash"])),
    st.tuples(st.just("delete"), seqs, seqs),
    st.tuples(st.just("insert"), st.integers(-2, ENTRIES + 3), texts, texts, texts),
)


def _mutate(audited: Audited, mutation: tuple[Any, ...]) -> None:
    match mutation:
        case ("edit", seq, place, character):
            body = audited.rows()[seq - 1][3]
            place %= len(body)
            edited = body[:place] + character + body[place + 1 :]
            audited.sql("UPDATE audit_chain SET body = :b WHERE seq = :s", b=edited, s=seq)
        case ("set", seq, column, value):
            audited.sql(f"UPDATE audit_chain SET {column} = :v WHERE seq = :s", v=value, s=seq)
        case ("renumber", seq, to):
            audited.sql("UPDATE OR REPLACE audit_chain SET seq = :t WHERE seq = :s", t=to, s=seq)
        case ("swap", one, other):
            audited.sql(
                f"UPDATE audit_chain SET seq = -10 WHERE seq = {one}",
                f"UPDATE audit_chain SET seq = {one} WHERE seq = {other}",
                f"UPDATE audit_chain SET seq = {other} WHERE seq = -10",
            )
        case ("copy", seq, source, column):
            audited.sql(
                f"UPDATE audit_chain SET {column} = (SELECT {column} FROM audit_chain WHERE seq = {source})"
                f" WHERE seq = {seq}"
            )
        case ("delete", first, last):
            audited.sql("DELETE FROM audit_chain WHERE seq BETWEEN :f AND :l", f=first, l=last)
        case ("insert", seq, action, body, digest):
            audited.sql(
                "INSERT OR REPLACE INTO audit_chain (seq, action, model, body, hash)"
                " VALUES (:s, :a, 'a', :b, :h)",
                **{"s": seq, "a": action, "b": body, "h": digest},
            )


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutation=mutations)
def test_no_mutation_of_the_table_goes_unseen(
    mutation: tuple[Any, ...], full: Audited, written: Path
) -> None:
    shutil.copy(written / "fleet.db", full.file)
    before = full.rows()
    _mutate(full, mutation)
    fresh = Audited(full.folder)
    assert (fresh.findings() == []) is (full.rows() == before)
