"""Which version answers: promotion, rollback, forgeries, and a registry that is down."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mlops_assets.errors import PackageError
from mlops_assets.governance.signatures import Signer
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.port import CANDIDATE_TAG, CHALLENGER, CHAMPION, PREVIOUS_CHAMPION
from mlops_assets.serving import loads
from mlops_assets.serving.refusal import Refusal

ROW = {"instances": [{"x": 1.0}]}


@pytest.fixture
def inside(gateway_in_process: Any, own_fleet: Any) -> Iterator[Any]:
    with gateway_in_process(own_fleet) as made:
        yield made


def _ask(inside: Any, model: str = "m") -> dict[str, Any]:
    answer = inside.client.post(f"/models/{model}/invocations", json=ROW)
    return {"status": answer.status_code, **answer.json()}


def _get(inside: Any, path: str, **headers: str) -> Any:
    return inside.client.get(path, headers=headers)


def _champion(inside: Any, model: str = "m") -> str | None:
    inside.settle()
    route = inside.router.table.routes.get(model)
    return route.champion if route else None


def _kinds(inside: Any) -> list[tuple[str, str | None, str | None]]:
    return [(p.kind, p.model, p.version) for p in inside.router.table.problems]


def test_promotion_and_rollback_are_followed(inside: Any, own_fleet: Any, constant_model: Any) -> None:
    assert _champion(inside) is None
    own_fleet.hand_over("m", "1")
    assert _champion(inside) == "1"
    assert _ask(inside)["predictions"] == [1.0]
    own_fleet.hand_over("m", "2")
    assert _champion(inside) == "2"
    assert _ask(inside)["predictions"] == [2.0]
    assert inside.router.table.routes["m"].previous == "1"
    own_fleet.hand_over("m", "1")
    inside.router.follow()  # one look is enough: the way back was loaded all the time
    answer = _ask(inside)
    assert (answer["predictions"], answer["version"]) == ([1.0], "1")


def test_a_challenger_is_loaded_and_answers_only_by_its_number(
    inside: Any, own_fleet: Any, constant_model: Any
) -> None:
    own_fleet.promote("m", "1", CHALLENGER)
    inside.settle()
    assert _get(inside, "/v2/models/m/versions/1/ready").json() == {
        "name": "m",
        "version": "1",
        "ready": True,
    }
    refused = inside.client.post("/models/m/invocations", json=ROW)
    assert refused.status_code == 404
    assert refused.json()["error"] == "m has no champion yet; name one of its versions"
    assert inside.router.table.ready
    assert inside.router.table.problems == ()


def test_before_the_first_look_nothing_is_denied(inside: Any) -> None:
    answer = _get(inside, "/v2/models/m")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "not read yet" in answer.json()["error"]
    assert _get(inside, "/v2/health/ready").status_code == 503
    assert _get(inside, "/v2/health/live").status_code == 200


def test_a_request_keeps_the_version_it_began_with(inside: Any, own_fleet: Any, constant_model: Any) -> None:
    own_fleet.promote("m", "1")
    inside.settle()
    table = inside.router.table
    own_fleet.promote("m", "2")
    assert _champion(inside) == "2"
    assert table.resolve("m", None).version == "1"


def _alter_pickle(folder: Path) -> None:
    file = folder / "estimator.pkl"
    file.write_bytes(b"cos\nsystem\n(S'touch " + str(folder / "pwned").encode() + b"'\ntR.")


def _drop_file(folder: Path) -> None:
    (folder / "reference.parquet").unlink()


def _drop_signature(folder: Path) -> None:
    (folder / "manifest.sig").unlink()


def _garble_signature(folder: Path) -> None:
    (folder / "manifest.sig").write_bytes(b"short")


def _alter_and_resign(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["model"] = "other"
    content = json.dumps(manifest).encode()
    (folder / "manifest.json").write_bytes(content)
    (folder / "manifest.sig").write_bytes(Signer(Ed25519PrivateKey.generate()).sign(content))


FORGERIES: dict[str, tuple[Callable[[Path], None], str]] = {
    "altered pickle": (_alter_pickle, "m version 2/estimator.pkl was altered after signing"),
    "missing file": (_drop_file, "m version 2/reference.parquet is missing"),
    "no signature": (_drop_signature, "m version 2 holds no packaged model"),
    "garbled signature": (_garble_signature, "the manifest is not signed with the platform key"),
    "signed by another key": (_alter_and_resign, "the manifest is not signed with the platform key"),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_package_is_refused_and_the_proven_champion_serves(
    inside: Any, own_fleet: Any, constant_model: Any, forgery: str
) -> None:
    alter, words = FORGERIES[forgery]
    own_fleet.promote("m", "1")
    assert _champion(inside) == "1"
    folder = own_fleet.package_folder("m", "2")
    alter(folder)
    own_fleet.promote("m", "2")
    _assert_refused(inside, words)
    assert not (folder / "pwned").exists()


def _assert_refused(inside: Any, words: str, version: str = "2") -> None:
    assert _champion(inside) == "1"
    assert _ask(inside) | {"prediction_ids": None} == {
        "status": 200,
        "predictions": [1.0],
        "model": "m",
        "version": "1",
        "prediction_ids": None,
    }
    assert _kinds(inside) == [("package_refused", "m", version)]
    ready = _get(inside, "/v2/health/ready")
    assert ready.status_code == 200
    assert ready.json()["models"] == {"m": {"champion": "1", "wanted": version, "ready": True}}
    assert words in ready.json()["problems"][0]["message"]
    metrics = _get(inside, "/metrics").text
    assert 'mlops_gateway_problems{kind="package_refused",model="m"} 1.0' in metrics
    assert 'mlops_gateway_incidents_total{kind="package_refused",model="m"} 1.0' in metrics
    page = _get(inside, "/fleet").text
    assert f"serving 1, the registry says {version}" in page
    assert "package_refused" in page
    asked = _get(inside, f"/v2/models/m/versions/{version}")
    assert asked.status_code == 404
    assert words in asked.json()["error"]


def test_a_package_of_another_model_is_refused(inside: Any, own_fleet: Any, constant_model: Any) -> None:
    own_fleet.promote("m", "1")
    assert _champion(inside) == "1"
    made = own_fleet.add(constant_model("m", 2.0), model="other")
    own_fleet.promote("m", made.version)
    _assert_refused(inside, "m version 4 holds a package of other", version="4")


def test_a_package_that_was_not_registered_is_refused(
    inside: Any, own_fleet: Any, constant_model: Any
) -> None:
    own_fleet.promote("m", "1")
    assert _champion(inside) == "1"
    own_fleet.registry.set_tag("m", "2", CANDIDATE_TAG, "0" * 64)
    own_fleet.promote("m", "2")
    _assert_refused(inside, "than was registered (000000000000)")


def test_a_package_of_another_platform_is_refused(inside: Any, own_fleet: Any, constant_model: Any) -> None:
    own_fleet.promote("m", "1")
    assert _champion(inside) == "1"
    other = Signer(Ed25519PrivateKey.generate())
    made = own_fleet.add(constant_model("m", 4.0), signer=other)
    own_fleet.promote("m", made.version)
    _assert_refused(inside, "is not signed with the platform key", version="4")


def test_libraries_that_compute_something_else_are_noticed(
    inside: Any, own_fleet: Any, constant_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlops_assets.training.onnx_form import OnnxForm

    own_fleet.promote("m", "1")
    assert _champion(inside) == "1"
    own_fleet.promote("m", "2")
    run = OnnxForm.run
    with monkeypatch.context() as patch:
        patch.setattr(OnnxForm, "run", lambda *given: run(*given) + 1e-3)
        inside.settle()
    assert _kinds(inside) == [("package_refused", "m", "2")]
    assert "predicts here otherwise than where it was trained" in inside.router.table.problems[0].message


def test_a_champion_that_was_never_proven_is_not_served(
    inside: Any, own_fleet: Any, constant_model: Any
) -> None:
    _alter_pickle(own_fleet.package_folder("m", "1"))
    own_fleet.promote("m", "1")
    inside.settle()
    assert not inside.router.table.ready
    answer = _ask(inside)
    assert answer["status"] == 503
    assert "the champion of m is not loaded" in answer["error"]
    assert "altered after signing" in answer["error"]
    assert _get(inside, "/v2/health/ready").status_code == 503
    assert "not serving, the registry says 1" in _get(inside, "/fleet").text


def test_a_mended_version_is_taken_without_a_restart(
    inside: Any, own_fleet: Any, constant_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = own_fleet.registry.version("m", "1").candidate
    own_fleet.registry.set_tag("m", "1", CANDIDATE_TAG, "")
    own_fleet.promote("m", "1")
    assert _champion(inside) is None
    own_fleet.registry.set_tag("m", "1", CANDIDATE_TAG, candidate)
    assert _champion(inside) is None, "not tried again at once"
    now = time.monotonic
    monkeypatch.setattr(loads.time, "monotonic", lambda: now() + loads.RETRY_SECONDS)
    assert _champion(inside) == "1"
    assert inside.router.table.problems == ()


@pytest.mark.parametrize("raised", [RuntimeError("boom"), SystemExit("gone"), MemoryError()])
def test_whatever_a_load_raises_harms_nobody_else(
    inside: Any,
    own_fleet: Any,
    constant_model: Any,
    monkeypatch: pytest.MonkeyPatch,
    raised: BaseException,
) -> None:
    load = loads.load

    def failing(registry: Any, prover: Any, model: str, version: str, *kept: Any) -> Any:
        if version == "2":
            raise raised
        return load(registry, prover, model, version, *kept)

    monkeypatch.setattr(loads, "load", failing)
    own_fleet.promote("m", "1")
    own_fleet.promote("m", "2", CHALLENGER)
    assert _champion(inside, "m") == "1"
    assert _kinds(inside) == [("load_failed", "m", "2")]


def test_a_slow_load_holds_up_nobody_else(
    inside: Any, own_fleet: Any, constant_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    release, load = threading.Event(), loads.load

    def slow(registry: Any, prover: Any, model: str, version: str, *kept: Any) -> Any:
        if model == "slow":
            assert release.wait(30)
        return load(registry, prover, model, version, *kept)

    monkeypatch.setattr(loads, "load", slow)
    own_fleet.add(constant_model("slow", 1.0))
    own_fleet.promote("slow", "1")
    inside.router.follow()
    own_fleet.promote("m", "1")
    inside.router.follow()
    inside.router._loads.pending["m", "1"].result(30)
    inside.router.follow()
    assert _ask(inside, "m")["predictions"] == [1.0]
    assert not inside.router.table.settled
    release.set()
    assert _champion(inside, "slow") == "1"
    assert inside.router.table.settled


def test_the_router_survives_its_own_mistakes(
    inside: Any, own_fleet: Any, constant_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_fleet.promote("m", "1")
    follow, calls = inside.router.follow, []

    def stumbling() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("a mistake of ours")
        follow()

    monkeypatch.setattr(inside.router, "follow", stumbling)
    inside.router.start()
    assert inside.router.looked.wait(30)
    inside.router.stop()
    assert inside.router.table.routes["m"].champion == "1"


def test_a_registry_that_is_down_changes_nothing_but_what_is_shown(
    inside: Any, own_fleet: Any, constant_model: Any
) -> None:
    own_fleet.promote("m", "1")
    assert _champion(inside) == "1"
    database = own_fleet.home.root / "mlflow.db"
    good = database.read_bytes()
    with database.open("r+b") as file:  # in place: the connections that are open see it too
        file.write(b"\0" * 4096)
    inside.settle()
    assert _kinds(inside) == [("registry_unreachable", None, None)]
    assert str(database) in inside.router.table.problems[0].message
    assert _ask(inside)["predictions"] == [1.0]
    assert inside.router.table.ready
    ready = _get(inside, "/v2/health/ready")
    assert ready.status_code == 200
    assert ready.json()["problems"][0]["kind"] == "registry_unreachable"
    assert 'kind="registry_unreachable",model=""} 1.0' in _get(inside, "/metrics").text
    assert "registry_unreachable" in _get(inside, "/fleet", accept="application/json").text
    since = inside.router.table.problems[0].since
    inside.settle()
    assert inside.router.table.problems[0].since is since, "an outage is one incident"
    with database.open("r+b") as file:
        file.write(good[:4096])
    own_fleet.promote("m", "2")
    assert _champion(inside) == "2"
    assert inside.router.table.problems == ()


def test_a_gateway_starts_although_its_registry_is_down(
    own_fleet: Any, gateway_in_process: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    own_fleet.registry = MlflowRegistry(own_fleet.home)
    with gateway_in_process(own_fleet) as inside:
        inside.router.follow()
        assert inside.router.looked.is_set()
        assert _kinds(inside) == [("registry_unreachable", None, None)]
        assert "cannot be reached" in inside.router.table.problems[0].message
        assert _get(inside, "/v2/health/live").status_code == 200
        assert _get(inside, "/v2/health/ready").status_code == 503
        answer = inside.client.post("/models/m/invocations", json=ROW)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"


def test_a_model_that_lost_its_champion_goes_on_and_says_so(
    inside: Any, own_fleet: Any, constant_model: Any
) -> None:
    own_fleet.promote("m", "1")
    assert _champion(inside) == "1"
    own_fleet.registry.delete_alias("m", CHAMPION)
    assert _champion(inside) == "1"
    assert _kinds(inside) == [("champion_missing", "m", None)]
    assert "version 1 goes on serving" in inside.router.table.problems[0].message
    own_fleet.registry.client.delete_registered_model("m")
    assert _champion(inside) == "1"
    assert "m is gone from the registry" in inside.router.table.problems[0].message
    assert _ask(inside)["predictions"] == [1.0]


def test_a_previous_champion_alone_is_loaded_but_does_not_serve(
    inside: Any, own_fleet: Any, constant_model: Any
) -> None:
    own_fleet.promote("m", "1", PREVIOUS_CHAMPION)
    assert _champion(inside) is None
    assert _kinds(inside) == [("champion_missing", "m", None)]
    assert _ask(inside)["status"] == 404
    own_fleet.promote("m", "1")
    inside.router.follow()
    assert _ask(inside)["predictions"] == [1.0]


def test_a_model_registered_anew_does_not_answer_with_the_old_one(
    inside: Any, own_fleet: Any, constant_model: Any
) -> None:
    own_fleet.promote("m", "1")
    assert _champion(inside) == "1"
    own_fleet.registry.client.delete_registered_model("m")
    assert _champion(inside) == "1"
    made = own_fleet.add(constant_model("m", 2.0))
    own_fleet.promote("m", made.version)
    assert _champion(inside) == made.version == "1"
    assert _ask(inside)["predictions"] == [2.0]


def test_versions_nobody_names_are_let_go_after_a_while(
    inside: Any, own_fleet: Any, constant_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1", "2", "3"):
        own_fleet.hand_over("m", version)
        inside.settle()
    assert inside.router.table.routes["m"].versions == ["1", "2", "3"]
    now = time.monotonic
    monkeypatch.setattr(loads.time, "monotonic", lambda: now() + loads.LINGER_SECONDS)
    inside.settle()
    inside.settle()
    assert inside.router.table.routes["m"].versions == ["2", "3"], "champion and way back stay"
    with pytest.raises(Refusal, match="version '1' is not loaded; loaded: 2, 3"):
        inside.router.table.resolve("m", "1")


def test_loading_leaves_no_files_behind(
    inside: Any, own_fleet: Any, constant_model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    version = own_fleet.add(constant_model("m", 1.0), onnx=False)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    own_fleet.promote("m", version.version)
    assert _champion(inside) == "4"
    assert _ask(inside)["predictions"] == [1.0]
    assert list(scratch.iterdir()) == []


def test_a_version_that_is_gone_is_a_refusal(own_fleet: Any) -> None:
    from mlops_assets.serving.loading import load

    with pytest.raises(PackageError, match="m has no version 9"):
        load(own_fleet.registry, own_fleet.signer.verifier, "m", "9")
