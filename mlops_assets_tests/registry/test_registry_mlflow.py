"""The registry port on a real MLflow."""

import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.errors import DataError, RegistryError
from mlops_assets.home import Home
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.port import CHAMPION, ModelVersion

Register = Callable[..., ModelVersion]


def test_a_candidate_is_registered_once(registry: MlflowRegistry, register: Register, model: str) -> None:
    first, second = register("a" * 64), register("b" * 64)
    assert (first.version, second.version) == ("1", "2")
    assert register("a" * 64, first.run_id) == first
    assert registry.versions(model) == [first, second]
    assert first.tags["mlops.data"] == "d" * 8


def test_what_is_not_there_is_none(registry: MlflowRegistry, register: Register, model: str) -> None:
    assert registry.by_alias("no_such_model", CHAMPION) is None
    assert registry.version("no_such_model", "1") is None
    assert registry.versions("no_such_model") == []
    register("a" * 64)
    assert registry.by_alias(model, CHAMPION) is None
    assert registry.version(model, "7") is None
    assert registry.version(model, "seven") is None
    registry.delete_alias(model, CHAMPION)


def test_aliases_and_tags_are_read_back(registry: MlflowRegistry, register: Register, model: str) -> None:
    for candidate in "ab":
        register(candidate * 64)
    registry.set_alias(model, CHAMPION, "1")
    registry.set_alias(model, CHAMPION, "2")
    registry.set_tag(model, "2", "mlops.note", "é")
    champion = registry.by_alias(model, CHAMPION)
    assert champion is not None
    assert (champion.version, champion.candidate, champion.tags["mlops.note"]) == ("2", "b" * 64, "é")
    assert registry.aliases()[model] == {CHAMPION: "2"}
    registry.delete_alias(model, CHAMPION)
    assert registry.aliases()[model] == {}


def test_plain_mlflow_sees_the_same(registry: MlflowRegistry, register: Register, model: str) -> None:
    from mlflow import MlflowClient

    made = register("a" * 64)
    registry.set_alias(model, CHAMPION, made.version)
    plain = MlflowClient(registry.uri, registry.uri)
    assert plain.get_model_version_by_alias(model, CHAMPION).run_id == made.run_id
    assert str(plain.get_registered_model(model).aliases[CHAMPION]) == "1"
    assert plain.get_model_version(model, "1").current_stage in ("None", None)  # no stages: deprecated


def test_a_server_that_is_down_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:secret@127.0.0.1:{port}")
    with pytest.raises(
        RegistryError, match="cannot be reached; start it or correct MLFLOW_TRACKING_URI"
    ) as raised:
        MlflowRegistry(Home(tmp_path)).aliases()
    assert f"http://127.0.0.1:{port}" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_database_that_is_none_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_text("no database " * 1000)
    with pytest.raises(RegistryError, match=r"mlflow\.db: the database file is damaged or is none") as raised:
        MlflowRegistry(Home(tmp_path)).aliases()
    assert "\n" not in str(raised.value)


def test_another_errors_words_are_kept(registry: MlflowRegistry) -> None:
    with pytest.raises(DataError, match="the rows are wrong"), registry.errors():
        raise DataError("the rows are wrong")
    with pytest.raises(RegistryError, match="the disk is full; free some space"), registry.errors():
        raise sqlite3.OperationalError("database or disk is full")
