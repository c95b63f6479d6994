"""A registry that nobody writes to is not read again; one that somebody writes to is, at the next look."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.port import CHAMPION, RegisteredModel
from mlops_assets.serving import routing
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.routing import Router
from mlops_assets.serving.sqlite_watch import change_detector
from mlops_assets.specs.policy_file import load_policy


def test_only_what_others_commit_is_a_change(own_fleet: Any) -> None:
    may_have_changed = change_detector(own_fleet.registry.uri)
    assert may_have_changed is not None
    assert may_have_changed(), "nothing is known at first"
    assert not may_have_changed()
    own_fleet.registry.aliases()
    own_fleet.registry.versions("m")
    assert not may_have_changed(), "reading is no change"
    for write in (
        lambda: own_fleet.promote("m", "1"),
        lambda: MlflowRegistry(own_fleet.home).set_alias("m", CHAMPION, "2"),
        lambda: own_fleet.registry.delete_alias("m", CHAMPION),
        lambda: own_fleet.registry.set_tag("m", "1", "key", "value"),
    ):
        write()
        assert may_have_changed()
        assert not may_have_changed()


def test_a_database_that_is_put_in_the_place_of_another_is_a_change(own_fleet: Any) -> None:
    database = own_fleet.home.root / "mlflow.db"
    may_have_changed = change_detector(own_fleet.registry.uri)
    assert may_have_changed is not None
    assert may_have_changed()
    assert not may_have_changed()
    backup = shutil.copy(database, database.with_suffix(".backup"))
    os.replace(backup, database)
    assert may_have_changed()
    assert not may_have_changed()
    MlflowRegistry(own_fleet.home).set_alias("m", CHAMPION, "1")
    assert may_have_changed(), "it is the new file that is watched"


@pytest.mark.parametrize(
    "uri",
    ["http://127.0.0.1:5000", "postgresql://mlflow@localhost/mlflow", "sqlite://", "sqlite:///:memory:"],
)
def test_what_is_no_file_cannot_be_watched(uri: str) -> None:
    assert change_detector(uri) is None


def test_a_file_that_cannot_be_read_may_always_have_changed(tmp_path: Path) -> None:
    text = tmp_path / "text.db"
    text.write_text("this is no database " * 100)
    for uri in (f"sqlite:///{tmp_path / 'missing.db'}", f"sqlite:///{text}"):
        may_have_changed = change_detector(uri)
        assert may_have_changed is not None
        assert [may_have_changed() for _ in range(3)] == [True] * 3, uri
    assert not (tmp_path / "missing.db").exists(), "watching makes no files"


class _Counting:
    """A registry that counts how often its aliases are read, and fails when told to."""

    def __init__(self, registry: MlflowRegistry) -> None:
        self._registry, self.reads, self.down = registry, 0, False

    def models(self) -> dict[str, RegisteredModel]:
        self.reads += 1
        if self.down:
            raise ConnectionError("down")
        return self._registry.models()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._registry, name)


@pytest.fixture
def counting(own_fleet: Any) -> _Counting:
    return _Counting(own_fleet.registry)


@pytest.fixture
def router(own_fleet: Any, counting: _Counting) -> Router:
    detector = change_detector(own_fleet.registry.uri)
    return Router(counting, Prover(own_fleet.signer.verifier, load_policy), may_have_changed=detector)


def _settle(router: Router) -> None:
    router.follow()
    while router._loads.pending:
        for loading in list(router._loads.pending.values()):
            loading.result(30)
        router.follow()


def test_a_still_registry_is_read_once_and_a_promotion_is_followed(
    own_fleet: Any, counting: _Counting, router: Router
) -> None:
    own_fleet.promote("m", "1")
    _settle(router)
    for _ in range(5):
        router.follow()
    assert counting.reads == 1
    assert router.table.routes["m"].champion == "1"
    own_fleet.promote("m", "2")
    _settle(router)
    router.follow()
    assert counting.reads == 2
    assert router.table.routes["m"].champion == "2"


def test_a_registry_that_could_not_be_read_is_read_again(
    own_fleet: Any, counting: _Counting, router: Router
) -> None:
    own_fleet.promote("m", "1")
    counting.down = True
    for _ in range(3):
        router.follow()
        assert [p.kind for p in router.table.problems] == ["registry_unreachable"]
    counting.down = False
    _settle(router)
    assert counting.reads == 4
    assert router.table.problems == ()
    assert router.table.routes["m"].champion == "1"


def test_a_registry_is_read_now_and_then_however_still_it_seems(
    own_fleet: Any, counting: _Counting, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_fleet.promote("m", "1")
    _settle(router)
    assert counting.reads == 1
    now = routing.time.monotonic
    monkeypatch.setattr(routing.time, "monotonic", lambda: now() + routing.LONGEST_UNREAD_SECONDS)
    router.follow()
    assert counting.reads == 2
