"""A model's whole life, with its gateway, talks to nobody but its own services and writes only at home."""

import ipaddress
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_assets_tests.lifecycles import WATCHED
from mlops_assets_tests.whole_processes import TumourProject, clean_environment

pytestmark = pytest.mark.slow

AUDITED = Path(__file__).parent / "audited"
REPOSITORY = AUDITED.parents[2]


@dataclass(frozen=True)
class Life:
    """What a life left: audited events by name, and the folders it might have written to."""

    events: dict[str, list[Any]]
    home: Path
    user: Path
    scratch: Path


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Life:
    project = TumourProject(tmp_path_factory.mktemp("offline") / "project")
    project.write_spec(**WATCHED)
    folders = {name: tmp_path_factory.mktemp(name) for name in ("home", "user", "scratch")}
    log = tmp_path_factory.mktemp("audit") / "events"
    kept = {k: v for k, v in clean_environment().items() if not k.startswith(("XDG_", "MPL", "ORT_"))}
    ended = subprocess.run(
        [sys.executable, str(AUDITED / "life.py")],
        cwd=project.root,
        env={
            **kept,
            "AUDIT_LOG": str(log),
            "HOME": str(folders["user"]),
            "MLOPS_HOME": str(folders["home"]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": os.pathsep.join(map(str, (AUDITED, REPOSITORY))),
            "TMPDIR": str(folders["scratch"]),
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    events: dict[str, list[Any]] = {}
    for line in log.read_text().splitlines():
        name, told = json.loads(line)
        events.setdefault(name, []).append(told)
    return Life(events, **folders)


def test_it_connects_to_its_own_gateway_only(life: Life) -> None:
    asked = life.events["socket.connect"]
    assert asked, "the audit hook saw not even the gateway"
    for event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
        assert [a for a in life.events.get(event, []) if not stays_here(a)] == []


def test_it_asks_for_no_ones_address(life: Life) -> None:
    for event, names in life.events.items():
        if event.startswith("socket.get"):
            assert [n for n in names if not (n is None or stays_here([n]))] == [], event


def test_it_starts_no_program_that_could_talk_to_others_in_its_place(life: Life) -> None:
    started = life.events["subprocess.Popen"]
    assert sum(argv[1:3] == ["-m", "mlops_assets.serving"] for argv in started) == 2
    # Python's platform module, Dagster's logs, matplotlib's list of fonts, who wrote a file, how many cores.
    harmless = {Path(sys.executable).name, "file", "uname", "tail", "fc-list", "git", "lscpu"}
    assert {Path(argv[0]).name for argv in started} - harmless == set()


def test_it_writes_below_its_home_and_the_folder_for_temporary_files_only(life: Life) -> None:
    # Compiled kernels are kept as Python's bytecode is: who can change them can change the source.
    compiled = str(REPOSITORY / "mlops_assets" / "monitoring" / "profiles" / "__pycache__")
    allowed = (str(life.home), str(life.scratch), "/dev/null", ":memory:", f"file:{life.home}", compiled)
    for event in ("open", "sqlite3.connect"):
        places = {str(p) for p in life.events[event] if not isinstance(p, int)}
        assert [p for p in places if not p.startswith(allowed)] == [], event
    assert str(life.home / "mlflow.db") in map(str, life.events["sqlite3.connect"])


def test_it_leaves_nothing_in_the_users_own_folder_nor_among_temporary_files(life: Life) -> None:
    for folder in (life.user, life.scratch):
        assert [str(p.relative_to(folder)) for p in folder.rglob("*")] == []


def stays_here(address: Any) -> bool:
    """Return whether an address is that of a file or of this machine."""
    if isinstance(address, str):
        return True  # a Unix socket's
    host = str(address[0])
    return host == "localhost" or ipaddress.ip_address(host).is_loopback
