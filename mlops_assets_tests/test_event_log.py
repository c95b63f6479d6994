"""The embedded default's event log, with connections kept open, on real homes."""

import os
import signal
from pathlib import Path
from queue import Queue
from typing import Any

import dagster as dg
import pytest

from mlops_assets.event_log import EmbeddedInstance, PooledSqliteEventLogStorage
from mlops_assets.home import Home
from mlops_assets_tests.event_writers import make, opened, said, say

_WRITERS = Path(__file__).parent / "event_writers.py"
_PATIENCE_SECONDS = 60


@pytest.fixture
def home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home, which the environment names."""
    monkeypatch.setenv("MLOPS_HOME", str(home))
    return Home(home)


def stock(home: Home) -> dg.DagsterInstance:
    """Return the home's instance with the storage that is Dagster's own."""
    (home.dagster / "dagster.yaml").write_text("telemetry: {enabled: false}")
    try:
        instance = opened()
    finally:
        (home.dagster / "dagster.yaml").unlink()
        home.prepare()
    assert not isinstance(instance, EmbeddedInstance)
    return instance


def open_databases(folder: Path) -> list[str]:
    """Return the databases below a folder that this process has open, once for each open file."""
    files = Path("/proc/self/fd")
    found = (os.readlink(each) for each in files.iterdir() if each.is_symlink())
    return [name for name in found if name.startswith(str(folder)) and ".db" in name]


def test_the_embedded_default_names_this_event_log_wherever_its_home_is(home: Home) -> None:
    with opened() as instance:
        storage = instance.event_log_storage
        assert isinstance(storage, PooledSqliteEventLogStorage)
        assert storage.path_for_shard("index") == str(home.dagster / "history" / "runs" / "index.db")
        with dg.DagsterInstance.from_ref(instance.get_ref()) as of_a_run:
            assert isinstance(of_a_run.event_log_storage, PooledSqliteEventLogStorage)


def test_another_process_sees_each_event_at_once_and_all_after_the_writer_was_killed(
    home: Home, warm: Any, tmp_path: Path
) -> None:
    asked, done = tmp_path / "asked", tmp_path / "done"
    os.mkfifo(asked)
    os.mkfifo(done)
    arguments = {"run": "run", "asked": str(asked), "done": str(done)}
    writer = warm.start("call", str(_WRITERS), "say_when_asked", arguments, cwd=tmp_path, home=home.root)
    with (
        opened() as reader,
        asked.open("wb", buffering=0) as question,
        done.open("rb", buffering=0) as answer,
    ):
        for n in range(20):
            question.write(b".")
            assert answer.read(1) == b"."
            assert said(reader, "run") == [str(each) for each in range(n + 1)]
        os.kill(writer.pid, signal.SIGKILL)
        assert writer.wait().code == -signal.SIGKILL
    with stock(home) as instance:
        assert said(instance, "run") == [str(n) for n in range(20)]
        say(instance, "run", 20)
    with opened() as instance:
        assert said(instance, "run")[-1] == "20"


def test_threads_processes_and_forked_children_write_at_once_and_lose_nothing(
    home: Home, warm: Any, tmp_path: Path
) -> None:
    arguments = {"run": "run", "threads": 2, "events": 5}
    writers = [
        warm.start(
            "call", str(_WRITERS), "say_from_threads", {**arguments, "who": who}, cwd=tmp_path, home=home.root
        )
        for who in ("first", "second")
    ]
    for writer in writers:
        ended = writer.wait()
        assert ended.code == 0, ended.err
    with opened() as instance:
        told = said(instance, "run")
        for who in ("first", "second"):
            for thread in ("0", "1", "child"):
                own = [line for line in told if line.startswith(f"{who} {thread} ")]
                assert own == [f"{who} {thread} {n}" for n in range(5)]
        assert len(told) == 2 * 3 * 5 + 2
        assert len(instance.get_asset_keys()) == 2 * 3 * 5


def test_a_watcher_is_told_of_events_while_their_writer_keeps_the_log_open(home: Home) -> None:
    seen: Queue[str] = Queue()
    with opened() as writer, opened() as watcher:
        say(writer, "run", "before")
        watcher.watch_event_logs("run", None, lambda entry, _: seen.put(entry.get_dagster_event().message))
        for n in range(3):
            say(writer, "run", n)
            if n == 0:
                assert seen.get(timeout=_PATIENCE_SECONDS) == "before"
            assert seen.get(timeout=_PATIENCE_SECONDS) == str(n)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="this system does not list open files")
def test_many_runs_leave_few_files_open_and_a_closed_instance_none(home: Home) -> None:
    runs = [f"run_{n}" for n in range(20)]
    with opened() as instance:
        for run in runs:
            say(instance, run, run)
        # Four files for each database: itself, its log, what readers share, and one that waits to be closed.
        assert 0 < len(open_databases(home.dagster)) <= 16 * 4
        assert [said(instance, run) for run in runs] == [[run] for run in runs]
        assert 0 < len(open_databases(home.dagster)) <= 16 * 4
    assert open_databases(home.dagster) == []
    assert not [*home.dagster.rglob("*.db-wal")]


def test_a_home_that_dagsters_own_storage_made_opens_and_the_other_way_round(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").prepare()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLOPS_HOME", str(home.root))
        with stock(home) as theirs:
            say(theirs, "old", "theirs")
            make(theirs, "asset")
            with opened() as ours:
                assert isinstance(ours, EmbeddedInstance)
                assert said(ours, "old") == ["theirs"]
                assert ours.get_latest_materialization_event(dg.AssetKey("asset")) is not None
                say(ours, "old", "ours")
                make(ours, "another")
                assert said(theirs, "old") == ["theirs", "ours"]
                assert len(theirs.get_asset_keys()) == 2
                ours.upgrade()


def test_a_log_that_another_process_wiped_is_begun_anew(home: Home) -> None:
    with opened() as one, opened() as other:
        say(one, "run", "before")
        say(other, "run", "before")
        make(one, "asset")
        other.event_log_storage.wipe()
        assert said(one, "run") == []
        say(one, "run", "after")
        assert said(other, "run") == ["after"]
        assert one.get_asset_keys() == []
