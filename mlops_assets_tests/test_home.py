"""The home is written whole or not at all, and says so in one line when it cannot be."""

import errno
import os
from pathlib import Path

import pytest

from mlops_assets.errors import BusyError, StorageError
from mlops_assets.home import (
    Home,
    exclusive,
    in_turn,
    replacing,
    storage_errors,
    write_atomically,
    write_secret_once,
)
from mlops_assets_tests.together import together


def _write_half(file: Path) -> None:
    file.write_bytes(b"half")
    raise KeyboardInterrupt


def test_a_write_that_fails_leaves_the_old_content_and_no_litter(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "file"
    write_atomically(file, b"old")
    with pytest.raises(KeyboardInterrupt), replacing(file) as temporary:
        _write_half(temporary)
    assert file.read_bytes() == b"old"
    assert os.listdir(file.parent) == ["file"]


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "no permission"), (errno.EROFS, "no permission")],
)
def test_a_storage_failure_is_one_line_that_names_the_place(tmp_path: Path, number: int, said: str) -> None:
    with pytest.raises(StorageError, match=said) as raised, storage_errors(tmp_path):
        raise OSError(number, "failed")
    assert str(tmp_path) in str(raised.value)
    assert "MLOPS_HOME" in str(raised.value)


def test_a_full_disk_is_told_as_such() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("this system has no /dev/full")
    with pytest.raises(StorageError, match="the disk is full"), storage_errors(Path("/dev/full")):
        Path("/dev/full").write_bytes(b"x")


def test_another_error_is_not_dressed_up_as_a_storage_failure(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), storage_errors(tmp_path):
        (tmp_path / "gone").read_bytes()


def _count(file: Path) -> None:
    for _ in range(50):
        with in_turn(file.with_suffix(".lock")):
            file.write_text(str(int(file.read_text()) + 1))


def test_who_waits_for_its_turn_overtakes_nobody(tmp_path: Path) -> None:
    (file := tmp_path / "count").write_text("0")
    together(_count, [file] * 4)
    assert file.read_text() == "200"


def test_only_one_process_holds_what_is_exclusive(tmp_path: Path) -> None:
    with exclusive(tmp_path / "lock", "a demo runs"):
        second = exclusive(tmp_path / "lock", "a demo runs")
        with pytest.raises(BusyError, match="a demo runs in another process; wait for it to end"), second:
            pass
    with exclusive(tmp_path / "lock", "a demo runs"):
        pass


def _write(arguments: tuple[Path, int]) -> bytes:
    file, number = arguments
    write_secret_once(file, str(number).encode() * 1000)
    return file.read_bytes()


def test_of_many_writers_of_a_secret_the_first_wins_and_all_see_its_content(tmp_path: Path) -> None:
    file = tmp_path / "keys" / "secret"
    seen = set(together(_write, [(file, n) for n in range(8)]))
    assert seen == {file.read_bytes()}
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(file.parent) == ["secret"]


def test_the_embedded_default_phones_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    home = Home(tmp_path / "home").prepare()
    assert "enabled: false" in (home.dagster / "dagster.yaml").read_text()
    environment = home.environment()
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["MLFLOW_TRACKING_URI"].startswith("sqlite:///")
    assert all(os.environ[name] == value for name, value in environment.items() if "TELEMETRY" in name)
    (home.dagster / "dagster.yaml").write_text("mine")
    home.prepare()
    assert (home.dagster / "dagster.yaml").read_text() == "mine"


def test_a_home_of_before_gets_the_event_log_of_today_unless_its_owner_changed_it(tmp_path: Path) -> None:
    home = Home(tmp_path / "home").prepare()
    file = home.dagster / "dagster.yaml"
    today = file.read_text()
    before, found, _ = today.partition("\n# Dagster's own storage")
    assert found
    file.write_text(before)
    home.prepare()
    assert file.read_text() == today
    changed = before.replace("max_concurrent_runs: 2", "max_concurrent_runs: 3")
    file.write_text(changed)
    home.prepare()
    assert file.read_text() == changed
