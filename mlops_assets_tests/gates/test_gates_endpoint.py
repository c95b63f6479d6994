"""The gates on the endpoint ask the very gateway that is to serve, and believe only what it answers."""

import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.gateway_process import running_gateway
from mlops_assets.stages.stage import LIFECYCLE
from mlops_assets_tests.lifecycles import Clinic, MakeClinic, table_of

pytestmark = pytest.mark.slow

Alter = Callable[[dict[str, Any]], dict[str, Any]]


@contextmanager
def between(gateway: str, alter: Alter) -> Iterator[str]:
    """Yield the URL of a server that passes everything on, and alters the answers to ``infer``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on(None)

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers["content-length"])))

        def _pass_on(self, body: bytes | None) -> None:
            names = ("content-type", "x-mlops-probe")
            headers = {name: self.headers[name] for name in names if name in self.headers}
            try:
                asked = urllib.request.Request(gateway + self.path, body, headers)
                with urllib.request.urlopen(asked) as answer:
                    status, content = answer.status, answer.read()
            except urllib.error.HTTPError as error:
                status, content = error.code, error.read()
            if self.path.endswith("/infer") and status == 200:
                content = json.dumps(alter(json.loads(content))).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def one_prediction_off(answer: dict[str, Any]) -> dict[str, Any]:
    answer["outputs"][0]["data"][0] += 1e-6
    return answer


def all_being(value: Any) -> Alter:
    """Return what makes every prediction of an answer the same value."""

    def altered(answer: dict[str, Any]) -> dict[str, Any]:
        (output,) = answer["outputs"]
        return {**answer, "outputs": [{**output, "data": [value] * len(output["data"])}]}

    return altered


@pytest.fixture(scope="module")
def registered(make_clinic: MakeClinic, champion_home: Any) -> Iterator[tuple[Clinic, str]]:
    """Return a clinic whose version 2 is registered and not deployed, and its running gateway's URL."""
    clinic = make_clinic(champion_home)
    wider = ["mean_texture", "mean_smoothness", "mean_symmetry", "mean_radius"]
    clinic.project.write_spec(data={"features": wider})
    assert clinic.run(*LIFECYCLE[:-1]).success
    with running_gateway(clinic.home) as gateway:
        yield clinic, gateway.url


def deploy(clinic: Clinic, gateway: str) -> Any:
    return clinic.run("deployed_endpoint", MLOPS_GATEWAY_URL=gateway)


def test_predictions_that_are_not_those_of_the_evaluation_are_refused_and_shown(
    registered: tuple[Clinic, str],
) -> None:
    clinic, gateway = registered
    with between(gateway, one_prediction_off) as lying:
        launched = deploy(clinic, lying)
    assert launched.refused_by == ["online_offline_parity"]
    assert (
        "version 2 is not promoted: online_offline_parity" in launched.failures["tumour__deployed_endpoint"]
    )
    assert clinic.aliases == {"champion": "1"}
    shown = clinic.check("deployed_endpoint", "online_offline_parity")
    assert str(shown.description).startswith("largest difference of a prediction 1e-06 breaks ≤ 1e-09")
    (offending,) = table_of(shown, "offending")
    assert offending["row"] == "0"
    assert float(offending["online"]) - float(offending["offline"]) == pytest.approx(1e-6, rel=1e-3)
    measured = {row["figure"]: row for row in table_of(shown, "measured")}
    assert measured["rows"]["measured"] == "241"
    assert measured["rows that are the same"]["measured"] == "240"
    assert measured["largest difference of a prediction"]["limit"] == "max_difference 1e-09"
    assert clinic.check("deployed_endpoint", "smoke_test").passed
    (tried,) = clinic.audit.entries("tumour", last=1)
    assert (tried.action, tried.detail["version"]) == ("refuse", "2")
    assert tried.reason.startswith("online_offline_parity: largest difference of a prediction 1e-06 breaks")
    version = clinic.registry.version("tumour", "2")
    assert version is not None
    assert tried.evidence == version.tags["mlops.evidence"]


@pytest.mark.parametrize(
    ("value", "smoke", "parity"),
    [
        pytest.param(float("nan"), "not JSON", "not JSON", id="NaN"),
        pytest.param(
            "late", "the gateway's answer cannot be read", "the gateway's answer cannot be read", id="text"
        ),
        pytest.param(
            None, "version 2 answered nan", "largest difference of a prediction is not a number", id="null"
        ),
    ],
)
def test_an_endpoint_that_answers_no_number_is_refused_by_both_gates(
    registered: tuple[Clinic, str], value: Any, smoke: str, parity: str
) -> None:
    clinic, gateway = registered
    with between(gateway, all_being(value)) as lying:
        launched = deploy(clinic, lying)
    assert set(launched.refused_by) == {"smoke_test", "online_offline_parity"}
    assert smoke in str(clinic.check("deployed_endpoint", "smoke_test").description)
    assert parity in str(clinic.check("deployed_endpoint", "online_offline_parity").description)
    assert clinic.aliases == {"champion": "1"}


def test_a_version_that_the_gateway_will_not_load_has_failed_its_smoke_test(
    registered: tuple[Clinic, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here because the gateway is under a policy that asks more than the runs' one does."""
    clinic, _ = registered
    (tmp_path / "policy.yaml").write_text("all: {gates: {serving_budget: {max_size_mb: 0.0001}}}\n")
    monkeypatch.setenv("MLOPS_POLICY", str(tmp_path / "policy.yaml"))
    with running_gateway(clinic.home) as strict:
        monkeypatch.delenv("MLOPS_POLICY")
        launched = deploy(clinic, strict.url)
    assert set(launched.refused_by) == {"smoke_test", "online_offline_parity"}
    shown = clinic.check("deployed_endpoint", "smoke_test")
    words = "the gateway will not load it: tumour version 2 is refused: gate serving_budget passed"
    assert words in str(shown.description)
    (tried,) = clinic.audit.entries("tumour", last=1)
    assert tried.action == "refuse"
    assert words in tried.reason
    assert clinic.aliases == {"champion": "1"}


def test_a_gateway_that_is_named_and_does_not_answer_is_not_replaced_by_another(
    registered: tuple[Clinic, str],
) -> None:
    clinic, _ = registered
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{free.getsockname()[1]}"
    said = deploy(clinic, nowhere).failures["tumour__deployed_endpoint"]
    assert said == f"the gateway {nowhere} does not answer; start it or correct MLOPS_GATEWAY_URL"
    assert clinic.aliases == {"champion": "1"}


def test_the_same_version_is_promoted_once_the_gateway_answers_as_it_should(
    registered: tuple[Clinic, str],
) -> None:
    clinic, gateway = registered
    assert deploy(clinic, gateway).success
    assert clinic.aliases == {"champion": "2", "previous_champion": "1"}
    assert clinic.materialization("deployed_endpoint").metadata["tried_on"].value == gateway
    for gate in ("smoke_test", "online_offline_parity"):
        assert clinic.check("deployed_endpoint", gate).passed
    (promoted,) = clinic.audit.entries("tumour", last=1)
    assert promoted.action == "promote"
    assert promoted.reason.startswith("beats the champion with confidence 0.9")
