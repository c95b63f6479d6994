"""A gateway that starts goes on from what it proved before, and believes nothing of it unproven."""

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import RegistryError
from mlops_assets.governance.release import Release
from mlops_assets.registry.port import CHALLENGER, CHAMPION
from mlops_assets.serving import kept as kept_module
from mlops_assets.serving import proving
from mlops_assets.serving.kept import Kept
from mlops_assets.serving.marks import Mark, Marks

ROW = {"instances": [{"x": 1.0}]}


class Down:
    """A registry that cannot be reached."""

    def __getattr__(self, name: str) -> Any:
        def ask(*_: Any, **__: Any) -> Any:
            raise RegistryError("model registry is down")

        return ask


@pytest.fixture
def folder(own_fleet: Any) -> Path:
    return Path(own_fleet.home.kept)


Start = Callable[..., AbstractContextManager[Any]]


@pytest.fixture
def start(gateway_in_process: Any, own_fleet: Any, folder: Path) -> Start:
    """Return a function that starts a gateway on what was kept: with its registry, or while that is down."""

    @contextmanager
    def make(down: bool = False, **options: Any) -> Iterator[Any]:
        options.setdefault("marks", Marks(own_fleet.home.served))
        registry = Down() if down else None
        with gateway_in_process(own_fleet, kept=Kept(folder), registry=registry, **options) as inside:
            _follow(inside)
            yield inside

    return make


def _follow(inside: Any) -> None:
    """Follow until nothing is loading any more and the registry was looked at."""
    inside.settle()
    while inside.router._beginning:
        inside.settle()
    inside.settle()


def _champion(inside: Any, model: str = "m") -> str | None:
    route = inside.router.table.routes.get(model)
    return route.champion if route else None


def _kinds(inside: Any) -> list[str]:
    return [p.kind for p in inside.router.table.problems]


@pytest.fixture
def proven(start: Start, own_fleet: Any) -> Any:
    """A home in which a gateway ran: version 2 is the champion, version 1 the way back."""
    own_fleet.hand_over("m", "1")
    with start() as inside:
        own_fleet.hand_over("m", "2")
        _follow(inside)
        assert _champion(inside) == "2"
    return own_fleet


def test_a_gateway_starts_without_its_registry(proven: Any, start: Start) -> None:
    with start(down=True) as inside:
        assert _champion(inside) == "2"
        assert inside.router.table.routes["m"].previous == "1"
        assert inside.router.table.ready
        answer = inside.client.post("/models/m/invocations", json=ROW)
        assert (answer.status_code, answer.json()["predictions"]) == (200, [2.0])
        assert _kinds(inside) == ["registry_unreachable"]


def test_it_serves_before_the_registry_has_answered(
    proven: Any, gateway_in_process: Any, folder: Path
) -> None:
    asked = []

    class Slow:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return getattr(proven.registry, name)

    with gateway_in_process(proven, kept=Kept(folder), registry=Slow()) as inside:
        inside.settle()
        assert (asked, _champion(inside), inside.router.table.ready) == ([], "2", True)
        assert not inside.router.looked.is_set()  # it is announced when the registry was looked at
        _follow(inside)
        assert "models" in asked
        assert inside.router.looked.is_set()
        assert inside.router.table.problems == ()


def test_then_it_follows_the_registry(proven: Any, start: Start) -> None:
    proven.hand_over("m", "3")
    with start(down=True) as inside:
        assert _champion(inside) == "2"
    with start() as inside:
        assert _champion(inside) == "3"
    with start(down=True) as inside:
        assert (_champion(inside), inside.router.table.routes["m"].previous) == ("3", "2")


def test_what_was_kept_is_not_fetched_again(proven: Any, start: Start) -> None:
    shutil.rmtree(proven.package_folder("m", "2"))
    with start() as inside:
        assert _champion(inside) == "2"
        assert inside.router.table.problems == ()


def test_a_release_that_was_entered_meanwhile_counts(proven: Any, start: Start) -> None:
    release = proven.signed_release("m", "1")
    serial = Release.unsealed(release, proven.signer.verifier).serial
    entered = {"m": Mark("1", serial, release)}
    with start(down=True, marks=Marks(None, lambda: entered)) as inside:
        assert _champion(inside) == "1"


def _alter(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


def _records(folder: Path) -> dict[str, Path]:
    return {json.loads(f.read_bytes())["version"]: f for f in (folder / "versions").iterdir()}


def _package(folder: Path, version: str) -> Path:
    record = json.loads(_records(folder)[version].read_bytes())
    return folder / "packages" / record["candidate"]


def _alter_model(folder: Path) -> None:
    _alter(_package(folder, "2") / "estimator.onnx", lambda content: content[:-1] + b"x")


def _exchange_packages(folder: Path) -> None:
    one, two = _package(folder, "1"), _package(folder, "2")
    shutil.rmtree(two)
    shutil.copytree(one, two)


def _alter_evidence(folder: Path) -> None:
    for file in (folder / "evidence").iterdir():
        _alter(file, lambda content: content.replace(b"limited", b"minimal"))


def _drop_evidence(folder: Path) -> None:
    shutil.rmtree(folder / "evidence")


def _drop_package(folder: Path) -> None:
    shutil.rmtree(_package(folder, "2"))


def _garble_record(folder: Path) -> None:
    _records(folder)["2"].write_bytes(b"[" * 100_000)


def _candidate_elsewhere(folder: Path) -> None:
    record = _records(folder)["2"]
    said = json.loads(record.read_bytes())
    record.write_text(json.dumps({**said, "candidate": "../../../etc"}))


def _other_candidate(folder: Path) -> None:
    records = _records(folder)
    one, two = (json.loads(records[version].read_bytes()) for version in "12")
    records["2"].write_text(json.dumps({**two, "candidate": one["candidate"]}))


ALTERED = [
    _alter_model, _exchange_packages, _alter_evidence, _drop_evidence, _drop_package, _garble_record,
    _candidate_elsewhere, _other_candidate,
]  # fmt: skip


@pytest.mark.parametrize("alter", ALTERED)
def test_what_was_altered_does_not_serve_and_is_fetched_anew(
    proven: Any, start: Start, folder: Path, alter: Callable[[Path], None]
) -> None:
    alter(folder)
    with start(down=True) as inside:
        assert _champion(inside) != "2"
        assert inside.client.get("/v2/models/m/versions/2/ready").status_code != 200
    with start() as inside:
        assert _champion(inside) == "2"
        assert inside.router.table.problems == ()
    with start(down=True) as inside:  # and is kept as it should be
        assert _champion(inside) == "2"


def test_an_alias_edited_by_hand_makes_nobody_champion(proven: Any, start: Start, folder: Path) -> None:
    models = json.loads((folder / "models.json").read_bytes())
    models["m"]["aliases"][CHAMPION] = "1"
    (folder / "models.json").write_text(json.dumps(models))
    with start(down=True) as inside:
        assert _champion(inside) == "2"
        assert "out_of_band" in _kinds(inside)


def test_a_version_that_was_never_released_is_not_released_by_being_kept(
    own_fleet: Any, start: Start, folder: Path
) -> None:
    own_fleet.promote("m", "1", CHALLENGER)
    with start():
        pass
    models = json.loads((folder / "models.json").read_bytes())
    models["m"]["aliases"][CHAMPION] = "1"
    (folder / "models.json").write_text(json.dumps(models))
    with start(down=True) as inside:
        assert _champion(inside) is None
        assert inside.client.post("/models/m/invocations", json=ROW).status_code == 503


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"m": 1}', b'{"m": {"aliases": []}}', b"[" * 100_000]
)
def test_a_list_of_models_that_is_none_is_as_nothing(
    proven: Any, start: Start, folder: Path, content: bytes
) -> None:
    (folder / "models.json").write_bytes(content)
    with start() as inside:
        assert _champion(inside) == "2"


def test_evidence_grows_old_in_what_is_kept_too(
    proven: Any, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = proving.utc_now()
    monkeypatch.setattr(proving, "utc_now", lambda: now + timedelta(days=3650))
    with start(down=True) as inside:
        assert _champion(inside) is None


def test_a_model_that_was_deleted_meanwhile_is_served_no_longer(proven: Any, start: Start) -> None:
    proven.registry.client.delete_registered_model("m")
    with start() as inside:
        assert "m" not in inside.router.table.routes
    with start(down=True) as inside:
        assert "m" not in inside.router.table.routes


def test_where_nothing_can_be_kept_everything_else_works(
    own_fleet: Any, start: Start, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("a file is in the way")
    own_fleet.promote("m", "1")
    with start() as inside:
        assert _champion(inside) == "1"
        assert inside.router.table.problems == ()
    assert "m version 1 is not kept" in caplog.text


def test_what_nobody_has_needed_for_long_is_deleted(
    proven: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, packages = _records(folder), {v: _package(folder, v) for v in "12"}
    strays = [folder / "packages" / ("0" * 64), folder / "packages" / ".killed"]
    for stray in strays:
        stray.mkdir()
    long_ago = time.time() - kept_module.KEPT_SECONDS - 1
    for place in (*records.values(), *packages.values(), *strays, *(folder / "evidence").iterdir()):
        os.utime(place, (long_ago, long_ago))
    Kept(folder).sweep({("m", "2")})
    assert list(_records(folder)) == ["2"]
    assert set((folder / "packages").iterdir()) == {packages["2"]}
    assert records["2"].stat().st_mtime > long_ago  # it was needed now
    assert len(list((folder / "evidence").iterdir())) == 1


def test_two_gateways_keep_in_one_folder(proven: Any, start: Start, folder: Path) -> None:
    proven.hand_over("m", "3")
    with start() as one, start() as other:
        assert _champion(one) == _champion(other) == "3"
    assert sorted(_records(folder)) == ["1", "2", "3"]
    assert not [place for place in (folder / "packages").iterdir() if place.name.startswith(".")]
