"""A registry read without MLflow says what MLflow says, of everything."""

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.errors import RegistryError
from mlops_assets.home import Home
from mlops_assets.registry import artifacts
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.port import CHALLENGER, CHAMPION, EVIDENCE_TAG, ModelVersion, RegistryReader
from mlops_assets.registry.reading import LightReader, registry_reader
from mlops_assets.registry.rest_reader import RestReader
from mlops_assets.registry.sqlite_reader import KNOWN_REVISIONS, SqliteReader
from mlops_assets_tests.fleets import Fleet, constant

SPECIAL = ["naïve & fast+v2?x#y", "100%", 'it\'s "quoted"', "名前 mit Abstand", "a%2Fb", "-"]
PLAIN_MODELS = 1_100  # more than a page of the server holds


class World:
    """A fleet with all that a registry may hold, and who reads it with and without MLflow."""

    def __init__(self, fleet: Fleet, light: RegistryReader) -> None:
        self.fleet, self.full, self.light = fleet, fleet.registry, light
        self.versions = _fill(fleet)


def _fill(fleet: Fleet) -> list[ModelVersion]:
    registry, client = fleet.registry, fleet.registry.client
    versions = [fleet.add(constant("m", 1.0))]
    for candidate in "bc":
        versions.append(registry.register("m", versions[0].run_id, candidate * 64, {}))
    fleet.promote("m", "1")
    registry.set_alias("m", CHALLENGER, "2")
    registry.set_alias("m", "gone", "3")
    registry.set_tag("m", "1", "long", "é" * 5_000)
    registry.set_tag("m", "1", "empty", "")
    registry.set_tag("m", "2", "lines", 'a\nb\t"c"\\')
    client.delete_model_version("m", "3")
    for name in SPECIAL:
        # Not by the port, which searches for versions in a language that knows no such names.
        client.create_registered_model(name)
        run = versions[0].run_id
        client.create_model_version(name, f"runs:/{run}/model", run, tags={"of": name})
        registry.set_alias(name, CHAMPION, "1")
    client.create_registered_model("no versions")
    client.create_registered_model("deleted")
    client.delete_registered_model("deleted")
    if registry.uri.startswith("sqlite"):
        client.create_model_version("no versions", str(fleet.home.root), run_id=None)
    return versions


def _add_further_models(database: Path) -> None:
    """Add many models, and two that are called prompts or none: MLflow's client makes neither quickly."""
    prompts = {"a prompt": "true", "no prompt": "false"}
    names = [*(f"plain {i:04}" for i in range(PLAIN_MODELS)), *prompts]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executemany(
            "INSERT INTO registered_models (workspace, name, creation_time) VALUES ('default', ?, ?)",
            [(name, 1_700_000_000_000 + i) for i, name in enumerate(names)],
        )
        connection.executemany(
            "INSERT INTO registered_model_tags (workspace, name, key, value) "
            "VALUES ('default', ?, 'mlflow.prompt.is_prompt', ?)",
            prompts.items(),
        )


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """Run a real server on a database and an artifact store of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--backend-store-uri",
            f"sqlite:///{folder / 'mlflow.db'}",
        ),
        *("--serve-artifacts", "--artifacts-destination", str(folder / "store")),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    with subprocess.Popen(
        command,
        env=environment | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stderr is not None
        assert any("Application startup complete" in line for line in server.stderr)
        drained = threading.Thread(target=server.stderr.read, daemon=True)
        drained.start()
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that MLflow made; to be copied, because making one takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        home = Home(tmp_path_factory.mktemp("empty"))
        MlflowRegistry(home).make_database()
    return home.root / "mlflow.db"


@pytest.fixture(scope="session")
def sqlite_world(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> World:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        home = Home(Path(shutil.copy(empty_database, tmp_path_factory.mktemp("sqlite"))).parent)
        world = World(Fleet(home), SqliteReader(home.tracking_uri))
    _add_further_models(home.root / "mlflow.db")
    return world


@pytest.fixture(scope="session")
def rest_world(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[World]:
    folder = Path(shutil.copy(empty_database, tmp_path_factory.mktemp("server"))).parent
    with mlflow_server(folder) as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "120")  # a thousand models take MLflow's server a while
        with patch.context() as only_now:
            only_now.setenv("MLFLOW_TRACKING_URI", url)
            fleet = Fleet(Home(tmp_path_factory.mktemp("rest")))
        world = World(fleet, RestReader(url))
        _add_further_models(folder / "mlflow.db")
        yield world


@pytest.fixture(params=["sqlite", pytest.param("rest", marks=pytest.mark.slow)])
def world(request: pytest.FixtureRequest) -> World:
    made: World = request.getfixturevalue(f"{request.param}_world")
    return made


def _said(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except RegistryError:
        return RegistryError


def test_all_models_are_read_as_mlflow_reads_them(world: World) -> None:
    found = world.light.models()
    assert found == world.full.models()
    assert len(found) > PLAIN_MODELS
    assert found["m"].aliases == {CHAMPION: "1", CHALLENGER: "2"}
    assert set(SPECIAL) <= found.keys()
    assert not {"deleted", "a prompt"} & found.keys()


MODELS = st.sampled_from(["m", *SPECIAL, "no versions", "deleted", "a prompt"]) | st.text(max_size=20)
NUMBERS = st.sampled_from(["1", "2", "3", "4", "0", "-1", " 1", "01", "1.0", "one", "", "٣", "9" * 30])
ALIASES = st.sampled_from([CHAMPION, CHALLENGER, "gone", "latest", "LATEST", "v1", ""]) | st.text(max_size=20)


@settings(max_examples=100)
@given(MODELS, NUMBERS | st.text(max_size=5), ALIASES)
def test_any_version_and_alias_is_read_as_mlflow_reads_it_from_sqlite(
    sqlite_world: World, model: str, number: str, alias: str
) -> None:
    light, full = sqlite_world.light, sqlite_world.full
    expected = _said(lambda: full.version(model, number))
    # A number that is larger than any is none to us, and an error of the database to MLflow.
    assert light.version(model, number) == (None if expected is RegistryError else expected)
    assert light.by_alias(model, alias) == _said(lambda: full.by_alias(model, alias))


@pytest.mark.slow
@settings(max_examples=60)
@given(MODELS, NUMBERS | st.text(max_size=5), ALIASES)
def test_any_version_and_alias_is_read_as_mlflow_reads_it_from_a_server(
    rest_world: World, model: str, number: str, alias: str
) -> None:
    light, full = rest_world.light, rest_world.full
    assert _said(lambda: light.version(model, number)) == _said(lambda: full.version(model, number))
    assert _said(lambda: light.by_alias(model, alias)) == _said(lambda: full.by_alias(model, alias))


def test_packages_are_fetched_as_mlflow_fetches_them(world: World, tmp_path: Path) -> None:
    fetched = world.light.fetch_package(world.versions[0], tmp_path)
    assert fetched.is_relative_to(tmp_path)
    assert _files(fetched) == _files(world.full.fetch_package(world.versions[0]))


def test_statements_are_read_as_mlflow_reads_them(world: World) -> None:
    version = world.versions[0]
    there = f"evidence/{version.tags[EVIDENCE_TAG]}.json"
    assert world.light.read_statement(version.run_id, there)
    for path in (there, f"evidence/{'0' * 64}.json", "nowhere/x.json", "x.json", "model/MLmodel"):
        said = world.full.read_statement(version.run_id, path)
        assert world.light.read_statement(version.run_id, path) == said


def test_what_is_gone_is_one_clear_line(world: World, tmp_path: Path) -> None:
    of_no_run = replace(world.versions[0], run_id="0" * 32)
    with pytest.raises(RegistryError, match=r"model registry .*: .*[Rr]un ") as raised:
        world.light.fetch_package(of_no_run, tmp_path)
    assert "\n" not in str(raised.value)
    with pytest.raises(RegistryError):
        world.light.read_statement("0" * 32, "evidence/x.json")
    run = world.fleet.registry.client.create_run(world.fleet.registry.experiment("m"))
    with pytest.raises(RegistryError, match="there is no packaged model at"):
        world.light.fetch_package(replace(of_no_run, run_id=run.info.run_id), tmp_path)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


# What only one of the two can meet.


def test_the_installed_mlflow_makes_a_database_that_is_known(sqlite_world: World) -> None:
    with closing(sqlite3.connect(sqlite_world.fleet.home.root / "mlflow.db")) as database:
        (revision,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    assert revision in KNOWN_REVISIONS


@pytest.fixture
def own(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home with a registry of its own and a model in it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_database, tmp_path)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as database, database:
        database.execute("INSERT INTO registered_models (workspace, name) VALUES ('default', 'm')")
    return Home(tmp_path)


def test_a_database_of_another_revision_is_left_to_mlflow(
    own: Home, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(sqlite3.connect(own.root / "mlflow.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'of_tomorrow'")
    asked = []

    class Full(SqliteReader):
        def models(self) -> Any:
            asked.append("models")
            return {}

    reader = LightReader(SqliteReader(own.tracking_uri), Full(own.tracking_uri))
    assert (reader.models(), reader.models()) == ({}, {})
    assert asked == ["models"] * 2
    assert [r.message for r in caplog.records] == [
        "the database's revision (of_tomorrow) is read by MLflow, which is imported for it: it takes seconds "
        "and 200 MB"
    ]


def test_what_nobody_has_made_yet_is_empty_and_what_is_gone_is_an_error(own: Home, tmp_path: Path) -> None:
    nothing = SqliteReader(f"sqlite:///{tmp_path / 'none.db'}")
    assert (nothing.models(), nothing.version("m", "1"), nothing.by_alias("m", "a")) == ({}, None, None)
    assert not (tmp_path / "none.db").exists()
    reader = SqliteReader(own.tracking_uri)
    assert reader.models()
    (own.root / "mlflow.db").unlink()
    own.served.write_text("{}")
    for lost in (reader, registry_reader(own)):  # the latter after a restart
        with pytest.raises(RegistryError, match="the database file cannot be opened"):
            lost.models()


def test_a_database_that_is_none_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database " * 1000)
    with pytest.raises(
        RegistryError, match=r"mlflow\.db: the database file is damaged or is none; put it back"
    ):
        SqliteReader(f"sqlite:///{tmp_path / 'mlflow.db'}").models()


def test_what_a_killed_writer_left_halfway_is_undone_and_not_read(own: Home) -> None:
    killed = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN")
database.execute("DELETE FROM registered_models")
for number in range(2000):
    database.execute(
        "INSERT INTO registered_models (workspace, name) VALUES ('default', ?)", (f"{number} " + "x" * 200,)
    )
os._exit(9)
"""
    file = own.root / "mlflow.db"
    assert subprocess.run([sys.executable, "-c", killed, str(file)], check=False).returncode == 9
    assert file.with_name("mlflow.db-journal").stat().st_size > 0
    assert list(SqliteReader(own.tracking_uri).models()) == ["m"]


def test_reading_writes_nothing(own: Home) -> None:
    file = own.root / "mlflow.db"
    before = file.read_bytes(), file.stat().st_mtime_ns
    file.chmod(0o444)
    assert SqliteReader(own.tracking_uri).models()
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
    assert not file.with_name("mlflow.db-journal").exists()


@pytest.mark.parametrize(
    ("uri", "environment", "kind"),
    [
        ("sqlite:////x/mlflow.db", {}, LightReader),
        ("https://mlflow.example", {"MLFLOW_TRACKING_TOKEN": "t"}, LightReader),
        ("postgresql://mlflow.example/db", {}, MlflowRegistry),
        ("databricks", {}, MlflowRegistry),
        ("sqlite:////x/mlflow.db?timeout=1", {}, MlflowRegistry),
        ("sqlite:////x/mlflow.db", {"MLFLOW_ENABLE_WORKSPACES": "true"}, MlflowRegistry),
        ("https://mlflow.example", {"MLFLOW_TRACKING_AWS_SIGV4": "true"}, MlflowRegistry),
        ("https://mlflow.example", {"MLFLOW_WORKSPACE": "ours"}, MlflowRegistry),
    ],
)
def test_what_only_mlflow_can_read_is_left_to_it(
    uri: str, environment: dict[str, str], kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert type(registry_reader(Home(tmp_path), environment)) is kind


@pytest.mark.parametrize(
    ("uri", "folder"),
    [("file:///a%20b/c", "/a b/c"), ("file://localhost/a", "/a"), ("/a b", "/a b"), ("s3://b/x", None)]
    + [(uri, None) for uri in ("file://elsewhere/a", "mlruns/0", "dbfs:/x", "mlflow-artifacts:/x", "")],
)
def test_files_in_a_folder_are_found_and_all_others_are_left_to_mlflow(uri: str, folder: str | None) -> None:
    if folder is None:
        with pytest.raises(artifacts.NeedsMlflow, match="read by MLflow"):
            artifacts.folder_of(uri)
    else:
        assert artifacts.folder_of(uri) == Path(folder)


# Who says where files are is not trusted.


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A run's files: a package with one file."""
    folder = tmp_path / "run" / "model" / "data" / "package"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    (tmp_path / "secret").write_text("secret")
    return folder


def _link_to_a_file(package: Path) -> None:
    (package / "x").symlink_to(package.parents[3] / "secret")


def _link_to_a_folder(package: Path) -> None:
    (package / "code").symlink_to("/")


def _pipe(package: Path) -> None:
    os.mkfifo(package / "x")


def _elsewhere(package: Path) -> None:
    package.rename(package.parents[3] / "elsewhere")
    package.symlink_to(package.parents[3] / "elsewhere")


@pytest.mark.parametrize("trap", [_link_to_a_file, _link_to_a_folder, _pipe, _elsewhere])
def test_links_and_pipes_in_a_package_are_refused(
    package: Path, tmp_path: Path, trap: Callable[[Path], None]
) -> None:
    trap(package)
    with pytest.raises(RegistryError, match=r"is a link or no plain file|leads out of"):
        artifacts.copy_folder(tmp_path / "run", "model/data/package", tmp_path / "into")


def test_a_statement_lies_among_its_runs_files(package: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    for path in ("../secret", str(tmp_path / "secret")):
        with pytest.raises(RegistryError, match="leads out of"):
            artifacts.read_file(root, path)
    (root / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(RegistryError, match="leads out of"):
        artifacts.read_file(root, "link")
    assert artifacts.read_file(root, "model/data/package/manifest.json") == b"{}"
    assert artifacts.read_file(root, "model/data/package/manifest.json/x") is None


def test_a_package_without_end_is_refused(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = artifacts.Room(files=3, bytes=10)
    monkeypatch.setattr(artifacts, "Room", lambda: room)
    (package / "large").write_bytes(b"x" * 11)
    with pytest.raises(RegistryError, match="a package is larger than"):
        artifacts.copy_folder(tmp_path / "run", "model/data/package", tmp_path / "into")


def test_a_hostile_server_writes_nothing_elsewhere(tmp_path: Path) -> None:
    for name in ("../../../out", "/tmp/out", "..", "a\\b", ""):
        into = tmp_path / f"into {len(name)}"
        into.mkdir()
        with _hostile(name) as url, pytest.raises(RegistryError, match="which is no name of a file"):
            RestReader(url).fetch_package(ModelVersion("m", "1", "c", "run"), into)
        assert not [file for file in tmp_path.rglob("*") if file.is_file()]


def test_no_other_server_is_told_the_password(tmp_path: Path) -> None:
    elsewhere = "mlflow-artifacts://elsewhere.example/run"
    refusal = pytest.raises(artifacts.NeedsMlflow, match=r"files at elsewhere\.example")
    with _hostile("x", place=elsewhere) as url, refusal:
        RestReader(url).read_statement("run", "evidence/x.json")


@contextmanager
def _hostile(name: str, place: str = "mlflow-artifacts:/run") -> Iterator[str]:
    """A server that lists a file of that name in every folder."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            answer: Any = {"run": {"info": {"artifact_uri": place}}}
            if parts.path.endswith("/artifacts") and "path" in parse_qs(parts.query):
                answer = {"files": [{"path": name, "is_dir": False}]}
            content = orjson.dumps(answer)
            self.send_response(200)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_server_is_asked_as_mlflows_variables_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    heard: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.headers["authorization"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: Any) -> None:
            pass

    monkeypatch.setenv("HOME", str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        assert RestReader(url).models() == {}
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t")
        RestReader(url).models()
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "user")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "100%")
        RestReader(url).models()
        monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
        monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
        (tmp_path / ".mlflow").mkdir()
        (tmp_path / ".mlflow" / "credentials").write_text(
            "[mlflow]\nmlflow_tracking_username = user\nmlflow_tracking_password = 100%\n"
        )
        RestReader(url).models()
        server.shutdown()
    basic = "Basic dXNlcjoxMDAl"
    assert heard == [None, "Bearer t", basic, basic]


def test_what_is_no_mlflow_server_is_one_clear_line() -> None:
    with _hostile("x") as url, pytest.raises(RegistryError) as raised:
        RestReader(url.replace("//", "//user:secret@")).version("m", "1")
    assert str(raised.value) == f"model registry {url}: it does not answer as an MLflow server does"


def test_a_server_that_is_down_is_one_clear_line() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(RegistryError, match="cannot be reached; start it or correct") as raised:
        RestReader(f"http://user:secret@127.0.0.1:{port}").models()
    assert "secret" not in str(raised.value)
