"""A run carries the name of who started it, as the proxy says it, whatever the client sent along.

The webserver's real app and the daemon's real iterations work on one instance and one code server.
"""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.tags import AUTO_RETRY_RUN_ID_TAG
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.auto_run_reexecution.auto_run_reexecution import (
    consume_new_runs_for_automatic_reexecution,
)
from dagster._daemon.backfill import execute_backfill_iteration
from dagster._daemon.sensor import execute_sensor_iteration
from dagster_webserver.app import create_app_from_workspace_process_context

with warnings.catch_warnings():  # it would rather have another release of httpx
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

from mlops_assets.actor import EMAIL_TAG, USER_TAG
from mlops_assets.automation.identity_coordinator import IdentityRunCoordinator

PROJECT = """
import dagster as dg


@dg.op
def step() -> None: ...


@dg.job(partitions_def=dg.StaticPartitionsDefinition(["one", "two"]), tags={"mlops/user": "the job"})
def work() -> None:
    step()


@dg.sensor(job=work, default_status=dg.DefaultSensorStatus.RUNNING)
def always() -> dg.RunRequest:
    return dg.RunRequest("once", tags={"mlops/user": "ada", "mlops/user_email": "ada@example.com"})


defs = dg.Definitions(jobs=[work], sensors=[always])
"""
FORGED = [{"key": USER_TAG, "value": "mallory"}, {"key": EMAIL_TAG, "value": "mallory@example.com"}]
ADA = {"X-Forwarded-User": "ada", "X-Forwarded-Email": "ada@example.com"}
JOB = {"repositoryName": "__repository__", "repositoryLocationName": "project", "jobName": "work"}
LOG = logging.getLogger("daemon")


@dataclass(frozen=True)
class Service:
    """One instance, seen by a browser behind the proxy and by the daemon."""

    instance: dg.DagsterInstance
    process: WorkspaceProcessContext
    browser: TestClient

    def ask(self, mutation: str, kind: str, value: Any, headers: Any) -> Any:
        """Send a GraphQL mutation with one argument, as the UI does; return its answer."""
        name, _, argument = mutation.partition(":")
        found = "LaunchBackfillSuccess { backfillId launchedRunIds }"
        if name != "launchPartitionBackfill":
            found = "LaunchRunSuccess { run { runId } }"
        query = f"""mutation($given: {kind}) {{ {name}({argument}: $given) {{
            __typename ... on PythonError {{ message }} ... on {found}
        }} }}"""
        answer = self.browser.post(
            "/graphql", json={"query": query, "variables": {"given": value}}, headers=headers
        )
        assert answer.status_code == 200, answer.text
        told = answer.json()["data"][name]
        assert "Success" in told["__typename"], answer.text
        return told

    def launch(self, headers: Any, tags: Any = FORGED, **metadata: str) -> dg.DagsterRun:
        """Launch a run with tags that the client chose."""
        params = {"selector": JOB, "executionMetadata": {"tags": tags, **metadata}}
        found = self.ask("launchRun:executionParams", "ExecutionParams!", params, headers)
        return self.run(found["run"]["runId"])

    def backfill(self, headers: Any, **params: Any) -> Any:
        """Launch a backfill of both partitions with forged tags."""
        repository = {key: JOB[key] for key in ("repositoryName", "repositoryLocationName")}
        selector = {"partitionSetName": "work_partition_set", "repositorySelector": repository}
        asked = {"selector": selector, "partitionNames": ["one", "two"], "tags": FORGED, **params}
        return self.ask("launchPartitionBackfill:backfillParams", "LaunchBackfillParams!", asked, headers)

    def run(self, run_id: str) -> dg.DagsterRun:
        found = self.instance.get_run_by_id(run_id)
        assert found is not None
        return found

    def runs(self) -> dict[str, dg.DagsterRun]:
        return {run.run_id: run for run in self.instance.get_runs()}

    def retry_of(self, failed: dg.DagsterRun) -> dg.DagsterRun:
        """Let a run die and the daemon try it again; return the new run."""
        self.instance.report_run_failed(failed)
        record = self.instance.get_run_records(dg.RunsFilter(run_ids=[failed.run_id]))
        list(consume_new_runs_for_automatic_reexecution(self.process, record, LOG))
        return self.run(self.run(failed.run_id).tags[AUTO_RETRY_RUN_ID_TAG])


def who(run: dg.DagsterRun) -> tuple[str | None, str | None]:
    assert run.status == dg.DagsterRunStatus.QUEUED
    return run.tags.get(USER_TAG), run.tags.get(EMAIL_TAG)


@contextmanager
def loaded(folder: Path, **config: Any) -> Iterator[dg.DagsterInstance]:
    """Load an instance from a ``dagster.yaml``, as every one of Dagster's processes does."""
    coordinator = {
        "module": "mlops_assets.automation.identity_coordinator",
        "class": "IdentityRunCoordinator",
        "config": config,
    }
    settings = {"run_coordinator": coordinator, "run_retries": {"enabled": True, "max_retries": 1}}
    folder.mkdir(exist_ok=True)
    (folder / "dagster.yaml").write_text(yaml.safe_dump({**settings, "telemetry": {"enabled": False}}))
    with dg.DagsterInstance.from_ref(InstanceRef.from_dir(str(folder))) as instance:
        yield instance


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("identity")
    (folder / "project.py").write_text(PROJECT)
    target = PythonFileTarget(str(folder / "project.py"), None, str(folder), "project")
    with (
        loaded(folder / "dagster", email_header="X-Forwarded-Email") as instance,
        WorkspaceProcessContext(instance, target) as process,
        TestClient(create_app_from_workspace_process_context(process)) as browser,
    ):
        yield Service(instance, process, browser)


class TestWebRequest:
    def test_the_proxys_word_replaces_the_clients(self, service: Service) -> None:
        assert who(service.launch(ADA)) == ("ada", "ada@example.com")
        assert who(service.launch(ADA, tags=[])) == ("ada", "ada@example.com")

    def test_without_a_name_the_client_is_anonymous(self, service: Service) -> None:
        for headers in ({}, {"X-Forwarded-User": "  "}):
            assert who(service.launch(headers)) == ("anonymous", "anonymous")

    def test_a_header_that_was_added_to_is_not_believed(self, service: Service) -> None:
        headers = [("X-Forwarded-User", "mallory"), ("X-Forwarded-User", "ada")]
        assert who(service.launch(headers)) == ("anonymous", "anonymous")

    def test_names_beyond_latin_are_read_as_they_were_sent(self, service: Service) -> None:
        for name, sent in (("Ådne Ødegård", "utf-8"), ("赵", "utf-8"), ("Jürgen", "latin-1")):
            assert who(service.launch([("X-Forwarded-User", name.encode(sent))]))[0] == name

    def test_other_tags_and_the_queue_are_untouched(self, service: Service) -> None:
        run = service.launch(ADA, tags=[*FORGED, {"key": "mlops/model", "value": "flight_delay"}])
        assert run.tags["mlops/model"] == "flight_delay"
        events = [log.dagster_event for log in service.instance.all_logs(run.run_id)]
        assert [event.event_type_value for event in events if event] == ["PIPELINE_ENQUEUED"]

    def test_who_launches_a_run_chooses_how_large_its_pod_is_and_not_what_runs_in_it(
        self, service: Service
    ) -> None:
        """A run's pod holds the platform's key, so a command of one's own there could sign anything."""
        large = {"resources": {"limits": {"memory": "64Gi"}}}
        asked = {
            "container_config": {**large, "command": ["sh", "-c", "echo $MLOPS_SIGNING_KEY"]},
            "pod_spec_config": {"init_containers": [{"name": "first", "image": "somebody/elses"}]},
        }
        run = service.launch(ADA, tags=[{"key": "dagster-k8s/config", "value": json.dumps(asked)}])
        assert json.loads(run.tags["dagster-k8s/config"]) == {"container_config": large}
        told = [log.message for log in service.instance.all_logs(run.run_id)]
        assert any("counts" in message and "64Gi" in message for message in told)

    def test_whoever_runs_again_is_named_and_not_who_ran_it_first(self, service: Service) -> None:
        first = service.launch(ADA)
        grace = {"X-Forwarded-User": "grace", "X-Forwarded-Email": "grace@example.com"}
        # The parent's tags are copied onto the new run.
        asked = {"parentRunId": first.run_id, "strategy": "ALL_STEPS", "useParentRunTags": True}
        again = service.ask(
            "launchRunReexecution:reexecutionParams",
            "ReexecutionParams!",
            {**asked, "extraTags": FORGED},
            grace,
        )
        run = service.run(again["run"]["runId"])
        assert run.parent_run_id == first.run_id
        assert who(run) == ("grace", "grace@example.com")
        assert who(service.run(first.run_id)) == ("ada", "ada@example.com")

    def test_a_backfill_that_the_request_itself_launches_is_the_users(self, service: Service) -> None:
        found = service.backfill(ADA, forceSynchronousSubmission=True)
        assert len(found["launchedRunIds"]) == 2
        for run_id in found["launchedRunIds"]:
            assert who(service.run(run_id)) == ("ada", "ada@example.com")


class TestDaemon:
    def test_what_a_sensor_starts_is_the_daemons(self, service: Service) -> None:
        before = service.runs()
        list(execute_sensor_iteration(service.process, LOG, None, None))
        (run,) = [run for run_id, run in service.runs().items() if run_id not in before]
        assert run.tags["dagster/sensor_name"] == "always"
        assert who(run) == ("daemon", "daemon")

    def test_the_runs_of_a_backfill_are_the_daemons_and_not_the_clients(self, service: Service) -> None:
        before = service.runs()
        found = service.backfill(ADA)
        list(execute_backfill_iteration(service.process, LOG))
        made = [run for run_id, run in service.runs().items() if run_id not in before]
        assert [run.tags["dagster/backfill"] for run in made] == [found["backfillId"]] * 2
        assert {who(run) for run in made} == {("daemon", "daemon")}

    def test_a_run_that_the_daemon_tries_again_is_still_the_users(self, service: Service) -> None:
        failed = service.launch(ADA)
        again = service.retry_of(failed)
        assert again.parent_run_id == failed.run_id
        assert who(again) == ("ada", "ada@example.com")

    def test_a_backfill_of_failed_runs_is_not_theirs_who_ran_them_first(self, service: Service) -> None:
        failed = service.backfill(ADA, forceSynchronousSubmission=True)["launchedRunIds"]
        for run_id in failed:
            service.instance.report_run_failed(service.run(run_id))
        before = service.runs()
        service.backfill({"X-Forwarded-User": "mallory"}, fromFailure=True)
        list(execute_backfill_iteration(service.process, LOG))
        made = [run for run_id, run in service.runs().items() if run_id not in before]
        assert {run.parent_run_id for run in made} == set(failed)
        assert {who(run) for run in made} == {("daemon", "daemon")}

    def test_a_run_in_the_queue_keeps_its_name(self, service: Service) -> None:
        run = service.launch(ADA)
        service.instance.submit_run(run.run_id, service.process.create_request_context())
        assert who(service.run(run.run_id)) == ("ada", "ada@example.com")


class TestSettings:
    def test_the_queues_own_settings_stand_beside_ours(self, tmp_path: Path) -> None:
        limits = [{"key": "mlops/model", "value": {"applyLimitPerUniqueValue": True}, "limit": 1}]
        queue = {"max_concurrent_runs": 3, "tag_concurrency_limits": limits, "dequeue_use_threads": True}
        with loaded(tmp_path, header="X-User", dequeue_num_workers=2, **queue) as instance:
            coordinator = instance.run_coordinator
            assert isinstance(coordinator, IdentityRunCoordinator)
            assert coordinator.dequeue_use_threads
            assert coordinator.dequeue_num_workers == 2
            told = instance.get_concurrency_config().run_queue_config
            assert told is not None
            assert (told.max_concurrent_runs, told.tag_concurrency_limits) == (3, limits)
            assert "QUEUED_RUN_COORDINATOR" in instance.get_required_daemon_types()

    def test_a_setting_that_is_none_is_refused(self, tmp_path: Path) -> None:
        with (
            pytest.raises(dg.DagsterInvalidConfigError, match="heder"),
            loaded(tmp_path, heder="X-User") as instance,
        ):
            assert instance.run_coordinator is None

    def test_another_header_and_no_address(self, service: Service, tmp_path: Path) -> None:
        with loaded(tmp_path, header="X-User") as instance:
            target = service.process._workspace_load_target
            with (
                WorkspaceProcessContext(instance, target) as process,
                TestClient(create_app_from_workspace_process_context(process)) as browser,
            ):
                other = Service(instance, process, browser)
                named = {"X-User": "grace", **ADA}
                assert who(other.launch(named, tags=[])) == ("grace", None)
                # No header gives an address here, so one that a client sends is nobody's.
                assert who(other.launch(named)) == ("grace", "anonymous")
