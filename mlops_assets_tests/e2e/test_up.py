"""``mlops-assets up``: it starts on an empty home, and however it ends, nothing stays behind."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.cli.instance import close_orphans
from mlops_assets.gateway_client import GatewayClient
from mlops_assets_tests.e2e.conftest import COMMAND, environment

pytestmark = pytest.mark.slow


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def assert_nothing_is_left(up: Any) -> None:
    assert up.family() == {}
    assert not [s for s, port in up.ports.items() if listens(port)]


def test_an_empty_home_comes_up_and_ctrl_c_stops_it(start_up: Callable[..., Any], tmp_path: Path) -> None:
    up = start_up(tmp_path / "home")
    up.wait_until_up()
    assert all(map(listens, up.ports.values()))
    assert up.stop(signal.SIGINT) == (0, "")
    assert_nothing_is_left(up)
    assert "Traceback" not in (tmp_path / "home" / "gateway.log").read_text()
    assert "Traceback" not in (tmp_path / "home" / "mlflow.log").read_text()


def test_with_json_it_says_where_everything_is_and_nothing_else(
    start_up: Callable[..., Any], home: Path
) -> None:
    up = start_up(home, "--json")
    told = up.json()
    assert told == {"home": str(home), **{s.lower(): up.url(s) for s in ("Dagster", "MLflow", "gateway")}}
    assert all(map(listens, up.ports.values()))
    assert up.stop(signal.SIGTERM) == (0, "")


def test_the_gateway_alone_says_where_it_is_too(home: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "serve", "--port", "0", "--json"],
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = "".join(iter(process.stdout.readline, "}\n")) + "}"
        assert GatewayClient(json.loads(said)["url"]).live()
        process.terminate()
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_of_starting_stops_it_too(
    number: signal.Signals, start_up: Callable[..., Any], home: Path
) -> None:
    up = start_up(home)
    up.wait_for("gateway")
    assert up.stop(number) == (0, "")
    assert_nothing_is_left(up)


@pytest.mark.parametrize("service", ["gateway", "MLflow", "Dagster"])
def test_a_service_that_dies_stops_the_others_and_is_named(
    service: str, start_up: Callable[..., Any], home: Path
) -> None:
    up = start_up(home)
    up.wait_until_up()
    os.kill(up.service_pid(service), signal.SIGKILL)
    code, said = up.end()
    assert code == 1
    assert f"{service} ended by itself (exit code -9)" in said
    assert str(up.home / f"{service.lower()}.log") in said
    assert_nothing_is_left(up)


@pytest.mark.parametrize("service", ["gateway", "MLflow", "Dagster"])
def test_a_taken_port_is_told_before_anything_starts(
    service: str, start_up: Callable[..., Any], tmp_path: Path
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        up = start_up(tmp_path / "home", **{service: port})
        code, said = up.end()
    assert code == 2
    assert said == (
        f"mlops-assets: port {port} is taken, which {service} needs; stop what holds it or choose another "
        f"with --{service.lower()}-port\n"
    )
    assert up.logs() == ""


def test_one_port_for_two_services_is_refused(
    start_up: Callable[..., Any], free_ports: Callable[[], dict[str, int]], tmp_path: Path
) -> None:
    port = free_ports()["MLflow"]
    up = start_up(tmp_path / "home", MLflow=port, Dagster=port)
    code, said = up.end()
    assert code == 2
    assert f"port {port} was given to MLflow and to Dagster" in said


def test_a_port_that_is_none_is_bad_usage(
    run_command: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    done = run_command(tmp_path / "home", "up", "--dagster-port", "70000")
    assert done.returncode == 2
    assert "--dagster-port" in done.stderr


def test_runs_whose_services_are_gone_are_reported_as_failed(tmp_path: Path) -> None:
    with dg.DagsterInstance.ephemeral() as instance, socket.socket(socket.AF_UNIX) as alive:
        alive.bind(str(tmp_path / "alive"))
        alive.listen()

        def run(socket_name: str) -> str:
            server = {"host": "localhost", "socket": str(tmp_path / socket_name)}
            made = instance.create_run_for_job(
                dg.job(name="lifecycle")(lambda: None),
                status=dg.DagsterRunStatus.STARTED,
                tags={".dagster/grpc_info": json.dumps(server)},
            )
            return made.run_id

        kept, gone = run("alive"), run("gone")
        close_orphans(instance)
        statuses = {r.run_id: r.status for r in instance.get_runs()}
    assert statuses == {kept: dg.DagsterRunStatus.STARTED, gone: dg.DagsterRunStatus.FAILURE}
