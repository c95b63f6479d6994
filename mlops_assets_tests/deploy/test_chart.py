"""The chart for MLflow and the gateway, linted and rendered by the real helm."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from mlops_assets.home import settle_libraries

CHART = Path(__file__).parents[2] / "deploy" / "chart"
GATEWAY = "mlops-assets-gateway"
MLFLOW = "mlops-assets-mlflow"
VARIANTS = {
    "as it stands": (),
    "object store": ("--set", "mlflow.artifacts.destination=s3://models/artifacts"),
    "own volume": ("--set", "home.existingClaim=shared"),
    "open network": ("--set", "networkPolicy.enabled=false"),
    "callers in a secret": ("--set", "gateway.callersSecret=callers"),
    "whole fleet page": ("--set", "gateway.stateSecret=fleet-state-reader"),
    "open to all": ("--set", "gateway.allowAnonymous=true"),
    "more of everything": (
        *("--set", "gateway.replicas=1,image.pullSecrets[0].name=pull,environment.LOG_LEVEL=debug"),
        *("--set", "home.storageClassName=fast,mlflow.artifacts.storageClassName=fast"),
        *("--set", "networkPolicy.gatewayClients[0].namespaceSelector.matchLabels.team=web"),
        *("--set", "networkPolicy.gatewayEgress[0].ports[0].port=443"),
    ),
}


def beside(program: str) -> Path:
    """Return the program of the environment that the tests run in."""
    return Path(sys.executable).with_name(program)


def container(pod: Any) -> Any:
    (only,) = pod["spec"]["containers"]
    return only


def environment(pod: Any) -> dict[str, Any]:
    return {entry["name"]: entry for entry in container(pod)["env"]}


def secrets_of(pod: Any) -> set[str]:
    text = yaml.safe_dump(pod)
    return set(re.findall(r"secret(?:KeyRef|Ref):\n(?:.*key:.*\n)?\s+name: (\S+)", text))


def selects(selector: Any, pod: Any) -> bool:
    return bool(selector.items() <= pod["metadata"]["labels"].items())


@pytest.mark.parametrize("arguments", VARIANTS.values(), ids=VARIANTS)
def test_lints_without_a_warning(helm: Any, arguments: tuple[str, ...]) -> None:
    done = helm("lint", "--strict", str(CHART), *arguments)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("arguments", VARIANTS.values(), ids=VARIANTS)
def test_kubernetes_knows_every_field(helm: Any, arguments: tuple[str, ...]) -> None:
    import kubernetes.client
    from dagster_k8s.models import k8s_model_from_dict, k8s_snake_case_dict

    rendered = helm.template(*arguments)
    assert rendered.objects
    for (kind, _), content in rendered.objects.items():
        model = getattr(kubernetes.client, f"V1{kind}")
        k8s_model_from_dict(model, k8s_snake_case_dict(model, content))


@pytest.mark.parametrize("name", [GATEWAY, MLFLOW])
class TestEveryPod:
    def test_can_do_next_to_nothing(
        self, chart: Any, assert_hardened: Callable[[Any, Any, Any], None], name: str
    ) -> None:
        pod = chart.pod(name)
        assert_hardened(
            pod["spec"]["securityContext"],
            container(pod)["securityContext"],
            container(pod)["resources"],
        )
        assert pod["spec"]["automountServiceAccountToken"] is False
        account = chart.get("ServiceAccount", pod["spec"]["serviceAccountName"])
        assert account["automountServiceAccountToken"] is False

    def test_can_write_to_scratch_space(self, chart: Any, name: str) -> None:
        pod = chart.pod(name)
        mounts = {mount["mountPath"]: mount["name"] for mount in container(pod)["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        assert "sizeLimit" in volumes[mounts["/tmp"]]["emptyDir"]

    def test_is_probed_on_the_port_it_serves(self, chart: Any, name: str) -> None:
        ports = {port["name"] for port in container(chart.pod(name))["ports"]}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container(chart.pod(name))[probe]["httpGet"]["port"] in ports

    def test_is_found_by_its_service(self, chart: Any, name: str) -> None:
        service, pod = chart.get("Service", name), chart.pod(name)
        assert selects(service["spec"]["selector"], pod)
        (port,) = service["spec"]["ports"]
        assert port["targetPort"] in {each["name"] for each in container(pod)["ports"]}
        others = {MLFLOW, GATEWAY} - {name}
        assert not any(selects(service["spec"]["selector"], chart.pod(other)) for other in others)

    def test_runs_the_image_of_this_version(self, chart: Any, name: str) -> None:
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
        assert container(chart.pod(name))["image"] == f"mlops-assets:{version}"


class TestSecrets:
    def test_none_is_in_the_chart(self, chart: Any) -> None:
        assert not chart.named("Secret")
        for name in (GATEWAY, MLFLOW):
            for entry in environment(chart.pod(name)).values():
                if re.search("KEY|PASSWORD|SECRET|TOKEN|URI", entry["name"]):
                    assert "value" not in entry, entry

    def test_who_may_call_is_read_from_a_secret_that_is_named(self, helm: Any) -> None:
        pod = helm.template(*VARIANTS["callers in a secret"]).pod(GATEWAY)
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        [mount] = [each for each in container(pod)["volumeMounts"] if each["name"] == "callers"]
        assert volumes["callers"]["secret"]["secretName"] == "callers"
        # Neither one file of it, which would not follow the Secret, nor one that its readers may write.
        assert "subPath" not in mount
        assert volumes["callers"]["secret"]["defaultMode"] & 0o222 == 0
        path = environment(pod)["MLOPS_API_KEYS"]["value"]
        assert path == f"{mount['mountPath']}/api_keys.json"

    def test_the_gateway_gets_the_public_key_and_its_logs_and_nothing_else(self, chart: Any) -> None:
        pod = chart.pod(GATEWAY)
        assert secrets_of(pod) == {"mlops-assets-verify", "mlops-assets-prediction-log"}
        assert environment(pod)["MLOPS_PREDICTION_LOG_KEY"]["valueFrom"] == {
            "secretKeyRef": {"name": "mlops-assets-prediction-log", "key": "MLOPS_PREDICTION_LOG_KEY"}
        }
        assert environment(pod)["MLOPS_VERIFY_KEY"]["valueFrom"] == {
            "secretKeyRef": {"name": "mlops-assets-verify", "key": "MLOPS_VERIFY_KEY"}
        }

    def test_the_gateway_reads_the_fleets_state_only_if_a_secret_for_that_is_named(self, helm: Any) -> None:
        pod = helm.template(*VARIANTS["whole fleet page"]).pod(GATEWAY)
        assert environment(pod)["MLOPS_STATE_URL"]["valueFrom"] == {
            "secretKeyRef": {"name": "fleet-state-reader", "key": "MLOPS_STATE_URL"}
        }

    def test_mlflow_does_not_start_without_its_database(self, chart: Any) -> None:
        assert secrets_of(chart.pod(MLFLOW)) == {"mlops-assets-mlflow"}
        reference = environment(chart.pod(MLFLOW))["MLFLOW_BACKEND_STORE_URI"]["valueFrom"]
        assert not reference["secretKeyRef"].get("optional")


class TestGateway:
    def test_an_update_never_lacks_a_pod(self, chart: Any) -> None:
        spec = chart.get("Deployment", GATEWAY)["spec"]
        assert spec["replicas"] > 1
        assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}

    def test_nor_does_the_draining_of_a_node(self, chart: Any) -> None:
        budget = chart.get("PodDisruptionBudget", GATEWAY)["spec"]
        assert selects(budget["selector"]["matchLabels"], chart.pod(GATEWAY))
        assert budget["maxUnavailable"] < chart.get("Deployment", GATEWAY)["spec"]["replicas"]

    def test_requests_under_way_have_time_to_end(self, helm: Any) -> None:
        pod = helm.template("--set", "gateway.drainSeconds=90").pod(GATEWAY)
        pause = container(pod)["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert pause > 0
        assert pod["spec"]["terminationGracePeriodSeconds"] - pause == 90

    def test_is_alive_before_it_is_ready(self, chart: Any) -> None:
        gateway = container(chart.pod(GATEWAY))
        assert gateway["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"
        assert gateway["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"

    @pytest.mark.skipif(not beside("mlops-assets").exists(), reason="the package is not installed")
    def test_its_command_is_one_that_the_package_knows(self, helm: Any) -> None:
        gateway = container(helm.template("--set", "gateway.port=9000").pod(GATEWAY))
        assert gateway["command"][-1] == "9000" == str(gateway["ports"][0]["containerPort"])
        program, *arguments = gateway["command"]
        done = subprocess.run([beside(program), *arguments, "--help"], capture_output=True)
        assert done.returncode == 0, done.stderr

    def test_lets_everybody_in_only_where_that_is_said(self, chart: Any, helm: Any) -> None:
        assert "--allow-anonymous" not in container(chart.pod(GATEWAY))["command"]
        opened = helm.template(*VARIANTS["open to all"]).pod(GATEWAY)
        assert "--allow-anonymous" in container(opened)["command"]

    def test_starts_anew_when_its_environment_changes(self, chart: Any, helm: Any) -> None:
        changed = helm.template("--set", "environment.LOG_LEVEL=debug")
        before, after = (each.pod(GATEWAY)["metadata"]["annotations"] for each in (chart, changed))
        assert before != after


class TestEnvironment:
    def test_nothing_reports_to_anybody(self, chart: Any) -> None:
        with mock.patch.dict(os.environ, clear=True):
            settle_libraries()
            silent = dict(os.environ)
        assert silent.items() <= chart.get("ConfigMap", "mlops-assets-env")["data"].items()
        shown = {name: entry.get("value") for name, entry in environment(chart.pod(MLFLOW)).items()}
        assert shown["MLFLOW_DISABLE_TELEMETRY"] == silent["MLFLOW_DISABLE_TELEMETRY"]

    def test_names_follow_the_release(self, helm: Any) -> None:
        rendered = helm.template("--set", "mlflow.port=5500", "--set", "gateway.replicas=1", release="blue")
        told = rendered.get("ConfigMap", "blue-env")["data"]
        assert told["MLFLOW_TRACKING_URI"] == "http://blue-mlflow:5500"
        assert told["MLOPS_GATEWAY_URL"] == "http://blue-gateway:8080"
        for name, expected in (("blue-mlflow", 5500), ("blue-gateway", 8080)):
            (port,) = rendered.get("Service", name)["spec"]["ports"]
            assert port["port"] == expected
        source = container(rendered.pod("blue-gateway"))["envFrom"]
        assert source == [{"configMapRef": {"name": "blue-env"}}]

    def test_the_home_is_mounted_where_the_environment_says(self, chart: Any) -> None:
        pod = chart.pod(GATEWAY)
        home = chart.get("ConfigMap", "mlops-assets-env")["data"]["MLOPS_HOME"]
        mounts = {mount["mountPath"]: mount["name"] for mount in container(pod)["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
        claim = volumes[mounts[home]]["persistentVolumeClaim"]["claimName"]
        assert claim in chart.named("PersistentVolumeClaim")

    def test_an_existing_volume_is_used(self, helm: Any) -> None:
        rendered = helm.template(*VARIANTS["own volume"])
        claims = yaml.safe_dump(rendered.pod(GATEWAY)["spec"]["volumes"])
        assert "claimName: shared" in claims
        assert rendered.named("PersistentVolumeClaim") == {"mlops-assets-mlflow-artifacts"}

    def test_data_outlives_the_release(self, chart: Any) -> None:
        claims = chart.named("PersistentVolumeClaim")
        assert claims == {"mlops-assets-home", "mlops-assets-mlflow-artifacts"}
        for name in claims:
            notes = chart.get("PersistentVolumeClaim", name)["metadata"]["annotations"]
            assert notes["helm.sh/resource-policy"] == "keep"


class TestMlflow:
    def test_two_pods_never_fight_for_its_volume(self, chart: Any, helm: Any) -> None:
        assert chart.get("Deployment", MLFLOW)["spec"]["strategy"] == {"type": "Recreate"}
        stored = helm.template(*VARIANTS["object store"])
        assert stored.get("Deployment", MLFLOW)["spec"]["strategy"]["type"] == "RollingUpdate"
        assert stored.named("PersistentVolumeClaim") == {"mlops-assets-home"}
        told = environment(stored.pod(MLFLOW))["MLFLOW_ARTIFACTS_DESTINATION"]
        assert told["value"] == "s3://models/artifacts"

    def test_answers_to_its_names_and_to_no_other(self, server: str) -> None:
        # MLflow answers only to the names it was told, and would refuse the Service's otherwise.
        for name in (
            *("mlops-assets-mlflow:5000", "mlops-assets-mlflow.ml", "localhost:5000"),
            *("mlops-assets-mlflow.ml.svc.cluster.local:5000", "models.example:8443"),
        ):
            assert status(f"{server}/api/2.0/mlflow/experiments/get?experiment_id=0", name) == 200
        rebound = status(f"{server}/api/2.0/mlflow/experiments/get?experiment_id=0", "evil.example")
        assert rebound == 403
        # The kubelet calls a pod by its address.
        assert status(f"{server}/health", "10.20.30.40:5000") == 200


def status(url: str, host: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Host": host})) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture
def server(helm: Any, tmp_path: Path) -> Iterator[str]:
    """MLflow as the chart would start it, but for its database, its disk and its port."""
    pod = helm.template("--set", "mlflow.allowedHosts={models.example:8443}").pod(MLFLOW)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {name: entry.get("value", "") for name, entry in environment(pod).items()}
    given |= {
        "MLFLOW_HOST": "127.0.0.1",
        "MLFLOW_PORT": str(port),
        "MLFLOW_WORKERS": "1",
        "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path}/mlflow.db",
        "MLFLOW_ARTIFACTS_DESTINATION": str(tmp_path / "artifacts"),
    }
    program, *arguments = container(pod)["command"]
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [beside(program), *arguments],
            env={**os.environ, **given, "HOME": str(tmp_path)},
            cwd=tmp_path,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        url, end = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while time.monotonic() < end:
            try:
                status(f"{url}/health", "localhost")
                break
            except (urllib.error.URLError, ConnectionError):
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        else:
            pytest.fail(log.read_text())
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


class TestNetwork:
    def test_only_named_clients_reach_the_registry(self, chart: Any) -> None:
        policy = chart.get("NetworkPolicy", MLFLOW)["spec"]
        assert selects(policy["podSelector"]["matchLabels"], chart.pod(MLFLOW))
        (rule,) = policy["ingress"]
        (peer,) = rule["from"]
        assert selects(peer["podSelector"]["matchLabels"], chart.pod(GATEWAY))

    def test_a_model_in_the_gateway_reaches_the_registry_and_dns_only(self, chart: Any) -> None:
        policy = chart.get("NetworkPolicy", GATEWAY)["spec"]
        assert selects(policy["podSelector"]["matchLabels"], chart.pod(GATEWAY))
        assert "Egress" in policy["policyTypes"]
        dns, registry = policy["egress"]
        assert {port["port"] for port in dns["ports"]} == {53}
        (peer,) = registry["to"]
        assert selects(peer["podSelector"]["matchLabels"], chart.pod(MLFLOW))


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ("user=0", "user"),
        ("image.tag=latest", "tag"),
        ("image.repositry=mine", "repositry"),
        ("gateway.replicas=0", "replicas"),
        ("gateway.replicas=two", "replicas"),
        ("gateway.port=80", "port"),
        ("gateway.resources.requests.memory=lots", "memory"),
        ("gateway.resources.limits=null", "limits"),
        ("gateway.verifyKeySecret=", "verifyKeySecret"),
        ("gateway.callersSecret=/etc/keys", "callersSecret"),
        ("gateway.allowAnonymous=perhaps", "allowAnonymous"),
        ("mlflow.backendSecret=postgresql://user:pw@host/db", "backendSecret"),
        ("mlflow.allowedHosts={*}", "allowedHosts"),
        ("mlflow.artifacts.destination=s3://key:secret@models", "destination"),
        ("environment.MLOPS_SIGNING_KEY=abc", "MLOPS_SIGNING_KEY"),
        ("environment.DATABASE_PASSWORD=abc", "DATABASE_PASSWORD"),
        ("environment.lower=abc", "lower"),
        ("networkPolicy.enabled=perhaps", "enabled"),
    ],
)
def test_a_bad_value_is_refused_and_named(helm: Any, bad: str, named: str) -> None:
    done = helm("template", "mlops-assets", str(CHART), "--set", bad)
    assert done.returncode != 0
    assert named in done.stderr
    assert "values don't meet the specifications of the schema" in done.stderr
