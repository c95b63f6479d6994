"""What bad input gets: one clear line on stderr, exit code 2, nothing half-registered."""

import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.governance.signatures import Signer

RUN = ("run", "tumour", "--as-of", "2024-02-01")
SOURCE = "clinic.defs.tumour.source"


def _says_one_line(ended: Any, *words: str) -> None:
    assert ended.code == 2, ended.out + ended.err
    assert ended.err.startswith("mlops-assets: ")
    assert ended.err.count("\n") == 1, ended.err
    assert "Traceback" not in ended.out
    for word in words:
        assert word in ended.err


def _registered(home: Path) -> dict[str, int]:
    """Return what is in the registry, and what MLflow takes to be under way."""
    count = {
        "models": "SELECT count(*) FROM registered_models",
        "versions": "SELECT count(*) FROM model_versions",
        "under_way": "SELECT count(*) FROM runs WHERE status = 'RUNNING'",
    }
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        return {name: database.execute(query).fetchone()[0] for name, query in count.items()}


NOTHING = {"models": 0, "versions": 0, "under_way": 0}


def _code(project: Any, text: str, **spec: Any) -> None:
    (project.folder / "source.py").write_text(text)
    project.write_spec(**spec)


def _one_class(project: Any) -> None:
    rows = [line.rpartition(",")[0] + ",1" for line in (project.folder / "tumours.csv").read_text().split()]
    (project.folder / "tumours.csv").write_text("\n".join([rows[0][:-1] + "benign", *rows[1:]]))


CASES: dict[str, tuple[Callable[[Any], None], tuple[str, ...]]] = {
    "the source lacks a declared column": (
        lambda p: p.write_spec(data={"features": ["mean_textur", "mean_symmetry"]}),
        ("tumours.csv does not deliver the declared column 'mean_textur' (did you mean 'mean_texture'?)",),
    ),
    "the window is empty": (
        lambda p: p.write_spec(data={"window": "5d"}, evaluation={"holdout": "1d"}),
        ("tumours.csv has no rows from 2024-01-27 00:00 to 2024-02-01 00:00", "--as-of"),
    ),
    "the target has one class": (_one_class, ("target 'benign' has one class", "data.window")),
    "the feature function fails, in three lines": (
        lambda p: _code(
            p,
            "def compute(rows):\n    raise ValueError('one\\ntwo\\nthree')\n",
            data={"feature_function": f"{SOURCE}:compute"},
        ),
        ("feature function compute failed: ValueError: one two three",),
    ),
    "a function cannot be imported": (
        lambda p: p.write_spec(data={"source": {"type": "python", "function": "clinic.nowhere:load"}}),
        ("cannot import clinic.nowhere",),
    ),
    "a module imports what is not installed": (
        lambda p: _code(
            p, "import not_there\n", data={"source": {"type": "python", "function": f"{SOURCE}:load"}}
        ),
        (f"cannot import {SOURCE}: No module named 'not_there'",),
    ),
    "a module has a syntax error": (
        lambda p: _code(p, "def load(:\n", data={"source": {"type": "python", "function": f"{SOURCE}:load"}}),
        ("SyntaxError", "source.py, line 1"),
    ),
    "the source fails": (
        lambda p: _code(
            p,
            "def load(start, end):\n    raise ConnectionError('warehouse is closed')\n",
            data={"source": {"type": "python", "function": f"{SOURCE}:load"}},
        ),
        (f"source {SOURCE}:load failed: ConnectionError: warehouse is closed",),
    ),
    "the estimator does not know a parameter": (
        lambda p: p.write_spec(training={"params": {"depth": 3}}),
        ("LogisticRegression does not take these params", "'depth'"),
    ),
    "the estimator refuses a parameter's value": (
        lambda p: p.write_spec(training={"params": {"C": -1.0}}),
        ("The 'C' parameter of LogisticRegression must be a float",),
    ),
    "there is no such estimator": (
        lambda p: p.write_spec(training={"estimator": "sklearn.linear_model.LogisticRegresion"}),
        ("has no class 'LogisticRegresion' (did you mean 'LogisticRegression'?)",),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_run(case: str, warm: Any, project: Any, home: Path) -> None:
    spoil, words = CASES[case]
    spoil(project)
    ended = warm.cli(*RUN, cwd=project.root, home=home)
    _says_one_line(ended, *words)
    assert _registered(home) == NOTHING


def test_what_is_mended_runs(warm: Any, project: Any, home: Path) -> None:
    project.write_spec(training={"params": {"C": -1.0}})
    assert warm.cli(*RUN, cwd=project.root, home=home).code == 2
    project.write_spec()
    assert warm.cli(*RUN, cwd=project.root, home=home).code == 0
    assert _registered(home) == {"models": 1, "versions": 1, "under_way": 0}


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["run", "tumor"], ["no model 'tumor' (did you mean 'tumour'?); known: tumour"]),
        (["monitor", "tumor"], ["no model 'tumor' (did you mean 'tumour'?)"]),
        (["status", "tumor"], ["no model 'tumor' (did you mean 'tumour'?)"]),
        (["monitor", "tumour"], ["tumour: no champion to watch", "run the lifecycle first"]),
        (["run", "tumour", "--as-of", "yesterday"], ["--as-of: 'yesterday' is not a time", "2013-04-01"]),
        (["monitor", "--as-of", "2024-13-01"], ["--as-of: '2024-13-01' is not a time"]),
        (["monitor", "--as-of", "2999-01-01"], ["--as-of: 2999-01-01 has not come yet"]),
        (["run", "tumour", "--as-of", "0001-01-01"], ["window 60d as of 0001-01-01", "--as-of"]),
        (["explain", "no\udcffid"], [r"no prediction 'no\udcffid' is in the log"]),
        (["run", "tumour", "--window", "ninety"], ["window: 'ninety' is not a duration", "90d"]),
        (["rollback", "tumour", "--reason", "x"], ["tumour has no champion"]),
        (["rollback", "tumour", "--reason", "  "], ["--reason must say why"]),
        (["new", "No-Name"], ["'No-Name' is no model name"]),
        (["new", "tumour"], ["defs.yaml is already there"]),
        (["new", "other", "--task", "clasification"], ["unknown task 'clasification'"]),
        (["new", "other", "--from", "missing.csv"], ["missing.csv"]),
    ],
    ids=" ".join,
)
def test_command(argv: list[str], words: list[str], warm: Any, project: Any, home: Path) -> None:
    _says_one_line(warm.cli(*argv, cwd=project.root, home=home), *words)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["rollback", "tumour", "--reason", "x"], ["tumour has no previous champion", "--to"]),
        (["rollback", "tumour", "--to", "7", "--reason", "x"], ["tumour has no version 7; it has 1"]),
        (["rollback", "tumor", "--reason", "x"], ["tumor"]),
    ],
    ids=" ".join,
)
def test_rollback(argv: list[str], words: list[str], warm: Any, project: Any, champion_home: Path) -> None:
    _says_one_line(warm.cli(*argv, cwd=project.root, home=champion_home), *words)


@pytest.mark.parametrize(
    "argv", [RUN, ["status"], ["monitor"], ["rollback", "tumour", "--reason", "x"]], ids=lambda a: a[0]
)
def test_mlflow_is_down(argv: list[str], warm: Any, project: Any, home: Path, closed_port: int) -> None:
    uri = f"http://ada:secret@127.0.0.1:{closed_port}"
    ended = warm.cli(*argv, cwd=project.root, home=home, MLFLOW_TRACKING_URI=uri)
    _says_one_line(ended, f"http://127.0.0.1:{closed_port}: cannot be reached", "MLFLOW_TRACKING_URI")
    assert "secret" not in ended.out + ended.err
    # Asked before anything is read: the log of the run that never began is empty.
    assert not list((home / "snapshots").glob("*"))


@pytest.mark.parametrize("text", ["nonsense", None])
def test_the_signing_key_is_wrong(
    text: str | None, warm: Any, project: Any, home: Path, tmp_path: Path
) -> None:
    Signer.for_home(home)
    Signer.for_home(tmp_path / "another")
    other = (tmp_path / "another" / "keys" / "platform_ed25519.pem").read_text()
    ended = warm.cli(*RUN, cwd=project.root, home=home, MLOPS_SIGNING_KEY=text or other)
    _says_one_line(ended, "MLOPS_SIGNING_KEY", "platform_ed25519.pub.pem" if text is None else "private key")
    assert not list((home / "snapshots").glob("*"))


@pytest.mark.parametrize("uri", ["postgresql://ada:secret@127.0.0.1:9/mlflow", "nonsense://ada:secret@x/y"])
def test_tracking_uri_is_unusable(uri: str, warm: Any, project: Any, home: Path) -> None:
    ended = warm.cli("status", cwd=project.root, home=home, MLFLOW_TRACKING_URI=uri)
    _says_one_line(ended, "model registry")
    assert "secret" not in ended.err


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.parametrize(
    ("argv", "option"),
    [(["serve", "--port"], "--port"), (["up", "--dagster-port"], "--dagster-port")],
    ids=["serve", "up"],
)
def test_port_is_taken(argv: list[str], option: str, warm: Any, project: Any, home: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        ended = warm.cli(*argv, port, cwd=project.root, home=home)
    _says_one_line(ended, f"port {port}", option)


@pytest.mark.parametrize("argv", [RUN, ["status"], ["env"], ["demo"], ["serve", "--port", "0"]], ids=" ".join)
def test_home_cannot_be_made(argv: list[str], warm: Any, project: Any, tmp_path: Path) -> None:
    (file := tmp_path / "file").write_text("in the way")
    for home in (file / "home", Path("/proc/home")):
        _says_one_line(warm.cli(*argv, cwd=project.root, home=home), str(home), "MLOPS_HOME")


def test_another_models_file_is_broken(warm: Any, project: Any, home_with_champion: Path) -> None:
    (broken := project.folder.parent / "other").mkdir()
    (broken / "defs.yaml").write_text("type: mlops_assets.ModelLifecycle\nattributes: {name: [\n")
    run = warm.cli(*RUN, cwd=project.root, home=home_with_champion)
    assert run.code == 0, run.err
    for argv in (["status"], ["monitor"]):
        ended = warm.cli(*argv, cwd=project.root, home=home_with_champion)
        assert ended.code == 2
        assert ended.out.splitlines()[1].startswith("tumour ")
        assert ended.err.splitlines() == [
            "clinic/defs/other/defs.yaml:3: is not valid YAML: while parsing a flow node expected the node "
            "content, but found '<stream end>'"
        ]


def test_demo_leaves_a_fleet_alone(warm: Any, project: Any, home: Path) -> None:
    before = sorted(home.rglob("*"))
    _says_one_line(warm.cli("demo", cwd=project.root, home=home), f"{home} holds a fleet already")
    assert sorted(home.rglob("*")) == before


def test_new_needs_a_project(warm: Any, tmp_path: Path, home: Path) -> None:
    _says_one_line(warm.cli("new", "other", cwd=tmp_path, home=home), "is in no Dagster project")


def test_a_model_is_run_by_one_process_at_a_time(warm: Any, project: Any, home: Path) -> None:
    (gate := project.folder / "gate").mkdir()
    _code(
        project,
        f"""\
import os
import pandas as pd

def load(start, end):
    os.mkfifo({str(gate / "asked")!r})
    open({str(gate / "asked")!r}).read()
    return pd.read_csv({str(project.folder / "tumours.csv")!r})
""",
        data={"source": {"type": "python", "function": f"{SOURCE}:load"}},
    )
    first = warm.start("cli", list(RUN), cwd=project.root, home=home)
    while not (gate / "asked").exists():
        assert not first.ended()
    second = warm.cli(*RUN, cwd=project.root, home=home)
    (gate / "asked").write_text("go on")
    assert first.wait().code == 0
    _says_one_line(second, "tumour is being run in another process")
    assert _registered(home) == {"models": 1, "versions": 1, "under_way": 0}
