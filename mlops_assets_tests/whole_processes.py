"""What tests of whole processes share: a warm process to fork them from, and a tiny real project."""

import csv
import importlib.util
import json
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_assets import gateway_process
from mlops_assets_tests.warm_process import start_gateways_warm

# What a developer's shell may hold and no test must see.
_FOREIGN = ("MLFLOW_", "MLOPS_", "DAGSTER_")


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: Exit code; negative if a signal ended it.
        out: What it wrote on standard output.
        err: What it wrote on standard error.
        cpu: Seconds of processor time it took.
    """

    code: int
    out: str
    err: str
    cpu: float

    @property
    def json(self) -> Any:
        """Standard output as the one JSON document it has to be."""
        return json.loads(self.out)


class Running:
    """A process that was started and not waited for."""

    def __init__(self, connection: socket.socket, scratch: Path) -> None:
        self._connection, self._scratch = connection, scratch
        self._answers = connection.makefile()
        self.pid: int = json.loads(self._answers.readline())["pid"]

    def ended(self) -> bool:
        """Return whether it has ended."""
        readable, _, _ = select.select([self._connection], [], [], 0.05)
        return bool(readable)

    @property
    def out(self) -> str:
        """What it has written on standard output."""
        return (self._scratch / "out").read_text()

    def wait(self, timeout: float = 120) -> Ended:
        """Return how it ended; closing the connection ends one that does not."""
        self._connection.settimeout(timeout)
        with self._connection, self._answers:
            answer = json.loads(self._answers.readline())
        texts = [(self._scratch / name).read_text() for name in ("out", "err")]
        return Ended(os.waitstatus_to_exitcode(answer["status"]), *texts, answer["cpu"])


class WarmProcess:
    """Forks processes that need not import anything; see ``warm_process.py``."""

    def __init__(self, address: str, scratch: Path) -> None:
        self.address, self._scratch = address, scratch

    def cli(self, *argv: object, cwd: Path, home: Path, **env: str) -> Ended:
        """Run ``mlops-assets`` to its end."""
        return self.start("cli", list(map(str, argv)), cwd=cwd, home=home, **env).wait()

    def call(
        self, file: Path, function: str, arguments: dict[str, Any], *, cwd: Path, home: Path, **env: str
    ) -> Ended:
        """Run a function of a file to its end."""
        return self.start("call", str(file), function, arguments, cwd=cwd, home=home, **env).wait()

    def start(self, *main: Any, cwd: Path, home: Path, **env: str) -> Running:
        """Start a process in a folder, on a home, with further environment variables."""
        scratch = Path(tempfile.mkdtemp(dir=self._scratch))
        task = {
            "main": main,
            "cwd": str(cwd),
            "env": {**clean_environment(), "MLOPS_HOME": str(home), **env},
            "stdout": str(scratch / "out"),
            "stderr": str(scratch / "err"),
        }
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.address)
        connection.sendall(json.dumps(task).encode() + b"\n")
        return Running(connection, scratch)


def clean_environment() -> dict[str, str]:
    """Return this process's environment without what would lead a command elsewhere."""
    return {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}


@pytest.fixture(scope="session")
def warm() -> Iterator[WarmProcess]:
    """Return a warm process to fork from."""
    # Not pytest's folder: the path of a Unix socket may have 107 letters at most.
    with tempfile.TemporaryDirectory(prefix="warm-") as folder:
        address = f"{folder}/s"
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "warm_process.py"), address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**clean_environment(), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        )
        with process:
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == b"ready\n"
            yield WarmProcess(address, Path(folder))
            process.stdin.close()


@pytest.fixture
def warm_gateways(warm: WarmProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the gateway processes that a test starts forked too."""
    monkeypatch.setattr(gateway_process, "subprocess", gateway_process.subprocess)  # to be put back
    start_gateways_warm(warm.address)


# What a shell runs as ``mlops-assets``: it has a warm process become the command, on the shell's own streams.
_COMMAND = """\
#!{python} -SE
import json, os, socket, sys
stdout, stderr = (f"/proc/{{os.getpid()}}/fd/{{stream}}" for stream in (1, 2))
main = ["cli", sys.argv[1:]]
task = dict(main=main, cwd=os.getcwd(), env=dict(os.environ), stdout=stdout, stderr=stderr)
connection = socket.socket(socket.AF_UNIX)
connection.connect({address!r})
connection.sendall(json.dumps(task).encode() + b"\\n")
_, ended = connection.makefile()
sys.exit(os.waitstatus_to_exitcode(json.loads(ended)["status"]))
"""


@pytest.fixture
def warm_command(warm: WarmProcess, tmp_path: Path) -> Path:
    """Return a folder with a command ``mlops-assets`` that need not import anything."""
    file = tmp_path / "bin" / "mlops-assets"
    file.parent.mkdir()
    file.write_text(_COMMAND.format(python=sys.executable, address=warm.address))
    file.chmod(0o755)
    return file.parent


@pytest.fixture(scope="session")
def fast_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder in memory where there is one: homes write to disk a thousand times a run."""
    memory = Path("/dev/shm")
    if not (memory.is_dir() and os.access(memory, os.W_OK)):
        yield tmp_path_factory.mktemp("fast")
        return
    with tempfile.TemporaryDirectory(prefix="mlops-assets-", dir=memory) as folder:
        yield Path(folder)


# As ``create-dagster project`` writes it.
_DEFINITIONS = """\
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
"""


class TumourProject:
    """A Dagster project with one model on real data: 569 tumours, of which scikit-learn ships the figures.

    Attributes:
        root: The project's folder.
        folder: The folder of the model ``tumour``.
        as_of: When all measurements are in; they were taken an hour apart.
    """

    as_of = "2024-02-01"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "clinic" / "defs" / "tumour"
        self.folder.mkdir(parents=True)
        (root / "dg.toml").write_text('directory_type = "project"\n[project]\nroot_module = "clinic"\n')
        for package in (root / "clinic", root / "clinic" / "defs", self.folder):
            (package / "__init__.py").touch()
        (root / "clinic" / "definitions.py").write_text(_DEFINITIONS)
        self.write_rows(rows := tumours())
        self.columns = list(rows[0])
        self.write_spec()

    def write_rows(self, rows: list[dict[str, Any]]) -> None:
        """Write what the model learns from."""
        with (self.folder / "tumours.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def write_spec(self, **changes: dict[str, Any]) -> None:
        """Write the spec, with some keys of its parts changed: ``write_spec(data={"window": "9d"})``."""
        attributes: dict[str, Any] = {
            "name": "tumour",
            "owner": "team:pathology",
            "risk": "minimal",
            "purpose": "Tell benign from malignant tumours.",
            "task": "binary_classification",
            "data": {
                "source": {"type": "csv", "path": "tumours.csv"},
                "time_column": "measured_at",
                "target": "benign",
                "window": "60d",
                "features": ["mean_texture", "mean_smoothness", "mean_symmetry"],
            },
            "training": {"estimator": "sklearn.linear_model.LogisticRegression", "params": {"C": 1.0}},
            "evaluation": {
                "primary_metric": "roc_auc",
                "thresholds": {"roc_auc": {"min": 0.6}},
                "holdout": "10d",
            },
        }
        for part, keys in changes.items():
            attributes.setdefault(part, {}).update(keys)
        document = {"type": "mlops_assets.ModelLifecycle", "attributes": attributes}
        (self.folder / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))


def tumours() -> list[dict[str, Any]]:
    """Return the breast cancer data set of Wisconsin, four of its columns, in a mixed order."""
    package = importlib.util.find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    file = Path(package.origin).parent / "datasets" / "data" / "breast_cancer.csv"
    _, *lines = file.read_text().splitlines()
    # Every 97th: the file comes in blocks of one outcome, and 97 divides no 569.
    mixed = (lines[i * 97 % len(lines)].split(",") for i in range(len(lines)))
    start = datetime(2024, 1, 1)
    return [
        {
            "measured_at": (start + timedelta(hours=hour)).isoformat(),
            "mean_radius": values[0],
            "mean_texture": values[1],
            "mean_smoothness": values[4],
            "mean_symmetry": values[8],
            "benign": values[30],
        }
        for hour, values in enumerate(mixed)
    ]


@pytest.fixture
def project(tmp_path: Path) -> TumourProject:
    """Return a project of the test's own."""
    return TumourProject(tmp_path / "project")


@pytest.fixture(scope="session")
def prepared_home(warm: WarmProcess, fast_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home whose databases are made and empty; to be copied, not used."""
    home = fast_folder / "prepared"
    root = TumourProject(tmp_path_factory.mktemp("prepared") / "project").root
    assert warm.call(Path(__file__).parent / "homes.py", "prepare", {}, cwd=root, home=home).code == 0
    return home


@pytest.fixture
def home(prepared_home: Path, fast_folder: Path) -> Path:
    """Return an empty home of the test's own."""
    return shutil.copytree(prepared_home, Path(tempfile.mkdtemp(dir=fast_folder)) / "home")


@pytest.fixture(scope="session")
def champion_home(
    warm: WarmProcess, prepared_home: Path, fast_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return a home in which version 1 of ``tumour`` is the champion; to be copied, not used."""
    project = TumourProject(tmp_path_factory.mktemp("champion") / "project")
    home = shutil.copytree(prepared_home, fast_folder / "champion")
    ended = warm.cli("run", "tumour", "--as-of", project.as_of, cwd=project.root, home=home)
    assert ended.code == 0, ended.err
    return home


@pytest.fixture
def home_with_champion(champion_home: Path, fast_folder: Path) -> Path:
    """Return a home of the test's own in which version 1 of ``tumour`` is the champion."""
    return shutil.copytree(champion_home, Path(tempfile.mkdtemp(dir=fast_folder)) / "home")
