"""A bound on how many versions are in memory: what is asked for is there, the proof is as ever."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets.serving import residency as residency_module
from mlops_assets.serving.kept import Kept
from mlops_assets.serving.residency import Residency
from mlops_assets_tests.serving.clients import process_on

ASK = {"instances": [[1.0]]}
Start = Callable[..., AbstractContextManager[Any]]


@pytest.fixture(scope="module")
def three_models(tmp_path_factory: pytest.TempPathFactory, copy_fleet: Any, constant_model: Any) -> Any:
    """The models ``a``, ``b`` and ``m`` with champions; a test that promotes leaves ``m`` at version 1."""
    fleet = copy_fleet(tmp_path_factory.mktemp("three"))
    for model, value in (("a", 4.0), ("b", 5.0)):
        fleet.promote(model, fleet.add(constant_model(model, value)).version)
    fleet.hand_over("m", "1")
    return fleet


@pytest.fixture
def start(three_models: Any, gateway_in_process: Any, tmp_path: Path) -> Start:
    """Return what starts a gateway with a bound, from what was kept."""

    @contextmanager
    def started(most: int) -> Iterator[Any]:
        meters: list[Any] = []
        residency = Residency(most, lambda problem: meters[0].note(problem))
        kept = Kept(tmp_path / "kept")
        with gateway_in_process(three_models, kept=kept, residency=residency) as inside:
            meters.append(inside.meters)
            inside.settle()
            inside.settle()  # the first time it begins from what was kept
            yield inside

    return started


def _in_memory(inside: Any) -> set[tuple[str, str]]:
    return {
        (model, version)
        for model, route in inside.router.table.routes.items()
        for version, resident in route.loaded.items()
        if resident.package.is_warm
    }


def _ask(inside: Any, model: str) -> Any:
    return inside.client.post(f"/models/{model}/invocations", json=ASK)


def test_what_is_asked_for_is_loaded_and_who_was_not_asked_for_longest_leaves(start: Start) -> None:
    with start(2) as inside:
        assert len(_in_memory(inside)) == 2
        assert inside.router.table.ready
        for model, value in [("a", 4.0), ("b", 5.0), ("m", 1.0), ("a", 4.0), ("m", 1.0)]:
            answer = _ask(inside, model)
            assert (answer.status_code, answer.json()["predictions"]) == (200, [value])
        assert _in_memory(inside) == {("a", "1"), ("m", "1")}


def test_the_previous_champion_leaves_first_and_a_rollback_to_it_answers(
    three_models: Any, start: Start
) -> None:
    with start(3) as inside:
        three_models.hand_over("m", "2")
        inside.settle()
        assert _in_memory(inside) == {("a", "1"), ("b", "1"), ("m", "2")}
        three_models.hand_over("m", "1")
        inside.settle()
        assert _ask(inside, "m").json()["predictions"] == [1.0]
        assert ("m", "1") in _in_memory(inside)


def test_beyond_the_bound_a_start_proves_and_does_not_load(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with start(1):
        pass
    loaded = []
    awaken = residency_module.awaken
    monkeypatch.setattr(residency_module, "awaken", lambda package: (loaded.append(package), awaken(package)))
    with start(1) as inside:
        assert len(_in_memory(inside)) <= 1
        assert inside.router.table.ready
        for model, value in (("a", 4.0), ("b", 5.0), ("m", 1.0)):
            assert _ask(inside, model).json()["predictions"] == [value]
    assert len(loaded) >= 2


def test_who_would_wait_too_long_is_told_to_come_again(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    awaken = residency_module.awaken

    def slow(package: Any) -> None:
        assert release.wait(30)
        awaken(package)

    monkeypatch.setattr(residency_module, "awaken", slow)
    monkeypatch.setattr(residency_module, "PATIENCE_SECONDS", 0.01)
    with start(1) as inside:
        absent = next(model for model in "abm" if (model, "1") not in _in_memory(inside))
        answer = _ask(inside, absent)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["error"] == f"{absent} version 1 is being loaded; try again in a second"
        release.set()
        monkeypatch.setattr(residency_module, "PATIENCE_SECONDS", 30)
        assert _ask(inside, absent).status_code == 200


def test_what_was_altered_meanwhile_is_not_loaded_again(start: Start, tmp_path: Path) -> None:
    with start(1) as inside:
        absent = next(model for model in "abm" if (model, "1") not in _in_memory(inside))
        package = inside.router.table.routes[absent].loaded["1"].package.folder
        assert package.is_relative_to(tmp_path / "kept")
        (package / "estimator.onnx").rename(package / "aside")
        shutil.copy(package / "estimator.pkl", package / "estimator.onnx")
        for _ in range(2):
            answer = _ask(inside, absent)
            assert answer.status_code == 503
            assert str(tmp_path) not in answer.text
        (problem,) = inside.client.get("/v2/health/ready").json()["problems"]
        assert (problem["kind"], problem["model"]) == ("package_refused", absent)
        incident = f'mlops_gateway_incidents_total{{kind="package_refused",model="{absent}"}} 1.0'
        assert incident in inside.client.get("/metrics").text
        (package / "aside").rename(package / "estimator.onnx")
        assert _ask(inside, absent).status_code == 200
        assert inside.client.get("/v2/health/ready").json()["problems"] == []


def test_memory_is_told_of_what_is_in_memory(start: Start) -> None:
    with start(1) as inside:
        _ask(inside, "a")
        metrics = inside.client.get("/metrics").text
        told = [line for line in metrics.splitlines() if line.startswith("mlops_gateway_model_bytes")]
        assert [line.rpartition(" ")[0] for line in told] == [
            'mlops_gateway_model_bytes{model="a",version="1"}'
        ]
        said = inside.client.get("/v2/models/a").json()["parameters"]
        assert (said["in_memory"], said["memory_bytes"]) == (True, float(told[0].rpartition(" ")[2]))
        said = inside.client.get("/v2/models/b").json()["parameters"]
        assert (said["in_memory"], said["memory_bytes"]) == (False, None)


def test_workers_with_a_bound_answer_for_all_models_at_once(three_models: Any) -> None:
    wrong: list[str] = []

    def ask(url: str, model: str, value: float) -> None:
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as http:
            for _ in range(20):
                answer = http.post(f"/models/{model}/invocations", json=ASK)
                if answer.status_code != 200 or answer.json()["predictions"] != [value]:
                    wrong.append(answer.text)

    with process_on(three_models, "--most-models=1", "--workers=2") as (_, url):
        asked = [("a", 4.0), ("b", 5.0), ("m", 1.0)]
        threads = [threading.Thread(target=ask, args=[url, *each]) for each in asked]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []
