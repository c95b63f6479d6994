"""An audit chain read without SQLAlchemy is the same chain."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from mlops_assets.errors import StorageError
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.audit_entry import EMPTY, Head
from mlops_assets.governance.audit_reading import SqliteAuditReader, audit_reader
from mlops_assets.home import Home

MOVES = ("promote", "rollback")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("MLOPS_STATE_URL", "MLOPS_AUDIT_CHECKPOINTS"):
        monkeypatch.delenv(name, raising=False)
    return Home(tmp_path)


@pytest.fixture
def chain(home: Home) -> AuditChain:
    """A chain with entries of two models, one of them made unreadable."""
    made = AuditChain(home.state_url, home.audit_checkpoints)
    for number in range(8):
        action = ("promote", "train", "rollback", "approve")[number % 4]
        made.append(action, "mn"[number // 2 % 2], reason=f"é {number}", serial=number)
    with closing(sqlite3.connect(home.root / "fleet.db")) as database, database:
        database.execute("UPDATE audit_chain SET body = 'x' WHERE seq = 5")
    return made


def test_the_same_entries_are_read(home: Home, chain: AuditChain) -> None:
    reader = audit_reader(home)
    assert isinstance(reader, SqliteAuditReader)
    assert reader.head() == chain.head()
    for model in (None, "m", "n", "x"):
        for after in (0, 4, 8):
            expected = list(chain.newest_first(MOVES, model, after))
            assert list(reader.newest_first(MOVES, model, after)) == expected
    assert len(list(reader.newest_first(MOVES))) == 4
    assert list(reader.newest_first([])) == []


def test_the_same_heads_are_known(home: Home, chain: AuditChain) -> None:
    reader, head = audit_reader(home), chain.head()
    for asked in (head, EMPTY, Head(0, "1" * 64), Head(3, head.hash), Head(9, head.hash)):
        assert reader.has(asked) == chain.has(asked)
    chain.append("promote", "m")
    assert reader.has(head)
    assert reader.head() == chain.head() != head


def test_a_chain_that_nobody_has_begun_is_empty_and_stays_so(home: Home) -> None:
    reader = audit_reader(home)
    assert (reader.head(), list(reader.newest_first(MOVES))) == (EMPTY, [])
    assert list(home.root.iterdir()) == []
    sqlite3.connect(home.root / "fleet.db").close()
    assert (reader.head(), reader.has(EMPTY)) == (EMPTY, True)


def test_a_database_that_is_none_is_one_clear_line(home: Home) -> None:
    (home.root / "fleet.db").write_text("no database " * 1000)
    with pytest.raises(StorageError, match="audit chain: file is not a database; check MLOPS_HOME") as raised:
        audit_reader(home).head()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("url", ["postgresql://db.example/fleet", "sqlite:////x/fleet.db?timeout=1"])
def test_other_databases_are_left_to_sqlalchemy(
    home: Home, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_STATE_URL", url)
    assert isinstance(audit_reader(home), AuditChain)
