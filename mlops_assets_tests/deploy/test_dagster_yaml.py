"""The production instance, loaded by Dagster, in both forms that it is written down in.

``dagster.yaml`` is one; ``dagster-values.yaml``, from which Dagster's official chart writes such a
file, is the other. What must hold is asserted of both.
"""

import copy
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster import DagsterInstance, DagsterRun
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher import LaunchRunContext
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.storage.dagster_run import DagsterRunStatus
from dagster._core.test_utils import create_run_for_test
from dagster._core.workspace.context import BaseWorkspaceRequestContext
from dagster._utils.tags import TagConcurrencyLimitsCounter

from mlops_assets.automation.identity_coordinator import IdentityRunCoordinator

DEPLOY = Path(__file__).parents[2] / "deploy"
FORMS = ["dagster.yaml", "dagster-values.yaml"]
PASSWORD = "never-to-be-seen"
SIGNING_KEY = "mlops-assets-signing"
NAMESPACE = "ml"

Config = dict[str, Any]


def snake_case(values: Mapping[str, Any]) -> Config:
    """Return ``values`` with its own keys, not those below them, as Dagster spells them."""
    return {re.sub("[A-Z]", lambda big: "_" + big[0].lower(), key): values[key] for key in values}


def as_the_chart_writes_it(values: Mapping[str, Any]) -> Config:
    """Return the ``dagster.yaml`` that the official chart makes of ``values``.

    Follows the chart's templates, for a release named ``dagster`` in the namespace ``ml``.
    """
    values = copy.deepcopy(values)
    daemon, database = values["dagsterDaemon"], values["postgresql"]
    launcher = snake_case(values["runLauncher"]["config"]["k8sRunLauncher"])
    launcher["run_k8s_config"] = snake_case(launcher["run_k8s_config"])
    launcher["env_config_maps"] = [source["name"] for source in launcher["env_config_maps"]]
    assert daemon["runCoordinator"]["type"] == "CustomRunCoordinator"
    return {
        "storage": {
            "postgres": {
                "postgres_db": {
                    "hostname": database["postgresqlHost"],
                    "port": database["service"]["port"],
                    "db_name": database["postgresqlDatabase"],
                    "username": database["postgresqlUsername"],
                    "password": {"env": "DAGSTER_PG_PASSWORD"},
                    "params": database["postgresqlParams"],
                    "scheme": database["postgresqlScheme"],
                }
            }
        },
        "compute_logs": {
            "module": "dagster._core.storage.noop_compute_log_manager",
            "class": "NoOpComputeLogManager",
        },
        "run_launcher": {
            "module": "dagster_k8s",
            "class": values["runLauncher"]["type"],
            "config": {
                **launcher,
                "job_namespace": NAMESPACE,
                "service_account_name": "dagster",
                "instance_config_map": "dagster-instance",
                "postgres_password_secret": values["global"]["postgresqlSecretName"],
            },
        },
        "run_coordinator": daemon["runCoordinator"]["config"]["customRunCoordinator"],
        "run_monitoring": snake_case(daemon["runMonitoring"]),
        "run_retries": snake_case(daemon["runRetries"]),
        "sensors": snake_case(daemon["sensors"]),
        "schedules": snake_case(daemon["schedules"]),
        "retention": {kind: snake_case(values["retention"][kind]) for kind in ("schedule", "sensor")},
        "telemetry": values["telemetry"],
        **values["additionalInstanceConfig"],
    }


@pytest.fixture
def written(dagster_values: Any) -> Config:
    """``dagster.yaml`` as it stands."""
    content: Config = yaml.safe_load((DEPLOY / "dagster.yaml").read_text())
    return content


@pytest.fixture(params=FORMS)
def config(request: pytest.FixtureRequest, written: Config, dagster_values: Any) -> Config:
    """The instance's configuration in either form."""
    return written if request.param == "dagster.yaml" else as_the_chart_writes_it(dagster_values)


@pytest.fixture(autouse=True)
def pod(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What a pod of the daemon finds around it."""
    import kubernetes.config.incluster_config as incluster

    for name, value in {
        "DAGSTER_PG_HOST": "postgresql",
        "DAGSTER_PG_PORT": "5432",
        "DAGSTER_PG_DB": "dagster",
        "DAGSTER_PG_USERNAME": "dagster",
        "DAGSTER_PG_PASSWORD": PASSWORD,
        "DAGSTER_K8S_NAMESPACE": NAMESPACE,
        "KUBERNETES_SERVICE_HOST": "127.0.0.1",
        "KUBERNETES_SERVICE_PORT": "6443",
    }.items():
        monkeypatch.setenv(name, value)
    for setting in ("SERVICE_TOKEN_FILENAME", "SERVICE_CERT_FILENAME"):
        file = tmp_path / setting
        file.write_text("content")
        monkeypatch.setattr(incluster, setting, str(file))


def load(config: Config, folder: Path) -> DagsterInstance:
    """Load the instance as ``dagster-daemon`` does."""
    (folder / "dagster.yaml").write_text(yaml.safe_dump(config))
    return DagsterInstance.from_ref(InstanceRef.from_dir(str(folder)))


@pytest.fixture
def instance(config: Config, tmp_path: Path) -> Iterator[DagsterInstance]:
    """The instance, as far as it goes without a database: only its tables are not made."""
    config["storage"]["postgres"]["should_autocreate_tables"] = False
    with load(config, tmp_path) as loaded:
        yield loaded


class TestInstance:
    def test_state_is_in_postgresql(self, instance: DagsterInstance) -> None:
        from dagster_postgres import (
            PostgresEventLogStorage,
            PostgresRunStorage,
            PostgresScheduleStorage,
        )

        assert isinstance(instance.run_storage, PostgresRunStorage)
        assert isinstance(instance.event_log_storage, PostgresEventLogStorage)
        assert isinstance(instance.schedule_storage, PostgresScheduleStorage)
        # A driver that is not there, or a port that is no number, would have failed by now.
        assert f"dagster:{PASSWORD}@postgresql:5432/dagster" in instance.run_storage.postgres_url
        assert "sslmode=require" in instance.run_storage.postgres_url

    def test_runs_become_kubernetes_jobs(self, instance: DagsterInstance) -> None:
        from dagster_k8s import K8sRunLauncher

        assert isinstance(instance.run_launcher, K8sRunLauncher)

    def test_a_dead_or_endless_run_is_found(self, instance: DagsterInstance) -> None:
        assert instance.run_monitoring_enabled
        # Steps run in the run's own process: there is nothing to resume.
        assert instance.run_monitoring_max_resume_run_attempts == 0
        assert instance.run_monitoring_max_runtime_seconds > 0

    def test_only_lost_pods_are_tried_again(self, instance: DagsterInstance) -> None:
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 1
        assert not instance.run_retries_retry_on_asset_or_op_failure

    def test_reports_to_nobody(self, instance: DagsterInstance) -> None:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled

    def test_what_a_step_leaves_is_on_the_shared_volume(
        self, instance: DagsterInstance, config: Config, chart: Any
    ) -> None:
        home = chart.get("ConfigMap", "mlops-assets-env")["data"]["MLOPS_HOME"]
        assert Path(instance.storage_directory()).is_relative_to(home)

    def test_no_password_is_in_the_file(self, config: Config) -> None:
        assert config["storage"]["postgres"]["postgres_db"]["password"] == {"env": "DAGSTER_PG_PASSWORD"}


class TestQueue:
    def test_one_run_per_model_at_a_time(self, instance: DagsterInstance) -> None:
        def run(model: str) -> DagsterRun:
            return DagsterRun("lifecycle", tags={"mlops/model": model})

        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        busy = TagConcurrencyLimitsCounter(
            list(queue.tag_concurrency_limits), [run("flight_delay"), run("bike_demand")]
        )
        assert busy.is_blocked(run("flight_delay"))
        assert busy.is_blocked(run("bike_demand"))
        assert not busy.is_blocked(run("churn"))
        assert not busy.is_blocked(DagsterRun("monitoring"))

    def test_every_run_is_stamped_with_who_started_it(
        self, instance: DagsterInstance, config: Config
    ) -> None:
        coordinator = instance.run_coordinator
        assert isinstance(coordinator, IdentityRunCoordinator)
        assert coordinator.dequeue_use_threads
        assert config["run_coordinator"]["config"]["header"] == "X-Forwarded-User"

    def test_all_models_together_have_a_limit(self, instance: DagsterInstance) -> None:
        queue = instance.get_concurrency_config().run_queue_config
        assert queue is not None
        assert 0 < queue.max_concurrent_runs < 100


@pytest.fixture
def job(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The Kubernetes Job that the launcher makes for a run; its API server is left out."""
    import kubernetes.client

    made: list[Any] = []
    monkeypatch.setattr(
        kubernetes.client.BatchV1Api,
        "create_namespaced_job",
        lambda _self, body, namespace, **_: made.append((namespace, body)),
    )
    # The run's own record goes to SQLite; the launcher is production's.
    local = {key: value for key, value in config.items() if key != "storage"}
    local["local_artifact_storage"] = {
        **local["local_artifact_storage"],
        "config": {"base_dir": str(tmp_path)},
    }
    origin = JobPythonOrigin(
        "lifecycle",
        RepositoryPythonOrigin(
            sys.executable,
            ModuleCodePointer("mlops_assets.definitions", "defs"),
            container_image="mlops-assets:0.1.0",
            entry_point=["dagster"],
            container_context={},
        ),
    )
    with load(local, tmp_path) as instance:
        run = create_run_for_test(
            instance, "lifecycle", job_code_origin=origin, status=DagsterRunStatus.STARTING
        )
        # One pod a run needs no code server to be launched.
        no_workspace: BaseWorkspaceRequestContext | None = None
        instance.run_launcher.launch_run(LaunchRunContext(run, no_workspace))
    ((namespace, body),) = made
    assert namespace == NAMESPACE
    return kubernetes.client.ApiClient().sanitize_for_serialization(body)


def container(job: Any) -> Any:
    (only,) = job["spec"]["template"]["spec"]["containers"]
    return only


class TestRun:
    def test_its_pod_is_never_started_twice(self, job: Any) -> None:
        assert job["spec"]["backoffLimit"] == 0
        assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
        assert job["spec"]["ttlSecondsAfterFinished"] > 0

    def test_its_pod_can_do_next_to_nothing(
        self, job: Any, assert_hardened: Callable[[Any, Any, Any], None]
    ) -> None:
        pod = job["spec"]["template"]["spec"]
        assert_hardened(
            pod["securityContext"], container(job)["securityContext"], container(job)["resources"]
        )
        assert pod["automountServiceAccountToken"] is False

    def test_runs_the_code_servers_image(self, job: Any) -> None:
        assert container(job)["image"] == "mlops-assets:0.1.0"
        assert container(job)["args"][:3] == ["dagster", "api", "execute_run"]
        assert "command" not in container(job)

    def test_secrets_are_named_and_never_shown(self, job: Any) -> None:
        assert PASSWORD not in json.dumps(job)
        secret = {
            entry["name"]: entry["valueFrom"]["secretKeyRef"]["name"]
            for entry in container(job)["env"]
            if "valueFrom" in entry
        }
        assert secret == {
            "DAGSTER_PG_PASSWORD": "dagster-postgresql",
            "MLOPS_SIGNING_KEY": SIGNING_KEY,
            "MLOPS_STATE_URL": "mlops-assets-state",
        }

    def test_finds_its_database(self, job: Any, config: Config) -> None:
        told = {entry["name"] for entry in container(job)["env"]}
        database = config["storage"]["postgres"]["postgres_db"].values()
        asked = {value["env"] for value in database if isinstance(value, dict) and "env" in value}
        assert "DAGSTER_PG_PASSWORD" in asked
        assert asked <= told

    def test_works_in_the_shared_home(self, job: Any, chart: Any) -> None:
        pod = job["spec"]["template"]["spec"]
        environment = chart.get("ConfigMap", "mlops-assets-env")
        assert container(job)["envFrom"] == [{"configMapRef": {"name": "mlops-assets-env"}}]
        mounts = {mount["mountPath"]: mount["name"] for mount in container(job)["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        home = volumes[mounts[environment["data"]["MLOPS_HOME"]]]
        assert home["persistentVolumeClaim"]["claimName"] in chart.named("PersistentVolumeClaim")
        assert "emptyDir" in volumes[mounts["/tmp"]]
        # The prediction log is SQLite: who reads it must be on the gateway's node.
        gateway = chart.pod("mlops-assets-gateway")["spec"]
        assert pod["nodeSelector"] == gateway["nodeSelector"]

    def test_reaches_the_registry(self, job: Any, chart: Any) -> None:
        (rule,) = chart.get("NetworkPolicy", "mlops-assets-mlflow")["spec"]["ingress"]
        (peer,) = rule["from"]
        labels = job["spec"]["template"]["metadata"]["labels"]
        assert peer["podSelector"]["matchLabels"].items() <= labels.items()


def test_both_forms_say_the_same(written: Config, dagster_values: Any) -> None:
    charts = as_the_chart_writes_it(dagster_values)
    for form in (written, charts):
        # The chart writes down what the file asks the environment for.
        database = form["storage"]["postgres"]["postgres_db"]
        for key in ("hostname", "port", "db_name", "username"):
            del database[key]
        launcher = form["run_launcher"]["config"]
        del launcher["job_namespace"]
        launcher.pop("env_vars", None)
        # Zero is what Dagster assumes, but the chart wants to be told.
        assert form["run_monitoring"].pop("free_slots_after_run_end_seconds", 0) == 0
    assert charts == written


class TestOfficialChart:
    """What the values say beyond the instance."""

    def test_every_process_runs_the_image_of_this_version(self, dagster_values: Any, chart: Any) -> None:
        (code,) = dagster_values["dagster-user-deployments"]["deployments"]
        images = [
            f"{part['image']['repository']}:{part['image']['tag']}"
            for part in (dagster_values["dagsterWebserver"], dagster_values["dagsterDaemon"], code)
        ]
        (gateway,) = chart.pod("mlops-assets-gateway")["spec"]["containers"]
        assert set(images) == {gateway["image"]}

    def test_every_process_can_do_next_to_nothing(
        self, dagster_values: Any, assert_hardened: Callable[[Any, Any, Any], None]
    ) -> None:
        (code,) = dagster_values["dagster-user-deployments"]["deployments"]
        for part in (dagster_values["dagsterWebserver"], dagster_values["dagsterDaemon"], code):
            assert_hardened(part["podSecurityContext"], part["securityContext"], part["resources"])
            assert "/tmp" in {mount["mountPath"] for mount in part["volumeMounts"]}

    def test_the_webserver_listens_and_is_probed_on_a_port_it_may_open(self, dagster_values: Any) -> None:
        webserver = dagster_values["dagsterWebserver"]
        assert webserver["service"]["port"] >= 1024
        assert webserver["readinessProbe"]["httpGet"]["port"] == webserver["service"]["port"]

    def test_the_code_server_serves_our_definitions_and_cannot_sign(
        self, dagster_values: Any, chart: Any
    ) -> None:
        (code,) = dagster_values["dagster-user-deployments"]["deployments"]
        assert code["dagsterApiGrpcArgs"][-1] == "mlops_assets.definitions"
        assert SIGNING_KEY not in json.dumps(code)
        # Runs would inherit the code server's limits, which win over the launcher's.
        assert code["includeConfigInLaunchedRuns"] == {"enabled": False}
        (rule,) = chart.get("NetworkPolicy", "mlops-assets-mlflow")["spec"]["ingress"]
        (peer,) = rule["from"]
        assert peer["podSelector"]["matchLabels"].items() <= code["labels"].items()
        gateway = chart.pod("mlops-assets-gateway")["spec"]
        assert code["nodeSelector"] == gateway["nodeSelector"]

    def test_brings_no_database_and_no_secret_of_its_own(self, dagster_values: Any) -> None:
        assert dagster_values["postgresql"]["enabled"] is False
        assert dagster_values["generatePostgresqlPasswordSecret"] is False
        assert dagster_values["postgresql"]["postgresqlPassword"] == ""


def test_whoever_deploys_is_told_of_every_secret(chart: Any, written: Config, dagster_values: Any) -> None:
    everything = json.dumps([list(chart.objects.values()), written, dagster_values])
    named = set(re.findall(r'"secretKeyRef": \{(?:"key": "\w+", )?"name": "([\w-]+)"', everything))
    named.add(dagster_values["global"]["postgresqlSecretName"])
    assert len(named) == 6
    readme = (DEPLOY / "README.md").read_text()
    assert {name for name in named if f"`{name}`" not in readme} == set()
