"""What a user of the Dagster UI can try, over its GraphQL and REST: launch, report, tag, run again, decide.

The webserver's real app, the project's own code server and the home's instance; runs are executed in this
process. A weak candidate was refused; version 1 serves. Version 2 is of high risk and waits for two people.
"""

import json
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from dagster._core.instance.ref import InstanceRef
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import ModuleTarget
from dagster_webserver.app import create_app_from_workspace_process_context

from mlops_assets.governance import ssh_signatures
from mlops_assets.governance.approvals import Decision, sign_decision
from mlops_assets.home import Home
from mlops_assets.registry.port import EVIDENCE_TAG, ModelVersion
from mlops_assets.registry.proof import write_evidence
from mlops_assets.specs.durations import utc_now
from mlops_assets_tests.attacks.weak_candidate import WEAK, holds
from mlops_assets_tests.fleets import Fleet, constant
from mlops_assets_tests.lifecycles import Clinic, MakeClinic
from mlops_assets_tests.vouching import evidence_of, subject_of
from mlops_assets_tests.whole_processes import TumourProject

with warnings.catch_warnings():  # it would rather have another release of httpx
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

pytestmark = pytest.mark.slow

KEYS = {name: Ed25519PrivateKey.generate() for name in ("Ada", "Grace", "Mallory")}
REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "clinic"}
AT_ONCE = {
    "run_coordinator": {"module": "dagster._core.run_coordinator", "class": "DefaultRunCoordinator"},
    "run_launcher": {
        "module": "dagster._core.launcher.sync_in_memory_run_launcher",
        "class": "SyncInMemoryRunLauncher",
    },
}
REFUSED = "gate metric_thresholds refused"


@dataclass(frozen=True)
class Ui:
    """The webserver of a home."""

    clinic: Clinic
    instance: dg.DagsterInstance
    browser: TestClient
    pending: ModelVersion

    def ask(self, mutation: str, **variables: Any) -> Any:
        """Send a GraphQL mutation, ``name(argument: Type!)``, as the UI does; return its answer."""
        name, argument, kind = mutation.replace(" ", "").replace(")", "").replace("(", ":").split(":")
        made = "... on LaunchRunSuccess { run { runId } }" if name.startswith("launch") else ""
        query = f"""mutation($given: {kind}) {{ {name}({argument}: $given) {{
            __typename ... on PythonError {{ message }} {made}
        }} }}"""
        answer = self.browser.post(
            "/graphql", json={"query": query, "variables": {"given": variables["given"]}}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()["data"][name]

    def launch(
        self,
        *stages: str,
        checks: list[Any] | None = None,
        config: Any = None,
        tags: dict[str, str] | None = None,
        job: str = "lifecycle",
        **more: Any,
    ) -> tuple[str, str]:
        """Launch a run as the launchpad does; return its id and why it failed, or what was wrong with it."""
        selected = {"assetSelection": [{"path": ["tumour", stage]} for stage in stages]} if stages else {}
        params = {
            "selector": {**REPOSITORY, "jobName": job, **selected, "assetCheckSelection": checks},
            "runConfigData": config or {},
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in (tags or {}).items()]},
            **more,
        }
        told = self.ask("launchRun(executionParams: ExecutionParams!)", given=params)
        if told["__typename"] != "LaunchRunSuccess":
            return "", told["__typename"]
        run_id = told["run"]["runId"]
        return run_id, self.failures(run_id)

    def failures(self, run_id: str) -> str:
        """Return why a run failed; nothing if it did not."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        assert run.is_finished
        events = [log.dagster_event for log in self.instance.all_logs(run_id)]
        failed = [e.step_failure_data for e in events if e is not None and e.is_step_failure]
        return " ".join(
            (data.user_failure_data and data.user_failure_data.description) or str(data.error)
            for data in failed
        )

    def post(self, path: str, **body: Any) -> None:
        """Report something by hand, as the webserver lets anyone do."""
        answer = self.browser.post(path, json=body)
        assert answer.status_code == 200, answer.text

    def decide(self, signed: Any) -> str:
        """Have the job ``decide`` take a decision; return why it does not."""
        content = signed if isinstance(signed, str) else signed.model_dump_json()
        config = {"ops": {"file_decision": {"config": {"signed": content}}}}
        return self.launch(config=config, job="decide")[1]

    def signed(self, name: str, *, at: datetime | None = None, **changes: str) -> Any:
        """Return what a person signed about version 2."""
        said = {
            "model": "tumour",
            "version": self.pending.version,
            "candidate": self.pending.candidate,
            "evidence": self.pending.tags[EVIDENCE_TAG],
            "decision": "approve",
            "reason": "looked at it",
            "at": at or utc_now(),
        }
        return sign_decision(Decision.model_validate({**said, **changes}), KEYS[name])

    @property
    def decided(self) -> int:
        """How many decisions were filed."""
        return sum(e.action in ("approve", "reject") for e in self.clinic.audit.entries("tumour"))


@pytest.fixture(scope="module")
def ui(refused_home: Path, make_clinic: MakeClinic, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    project = TumourProject(tmp_path_factory.mktemp("ui") / "project")
    project.write_spec(**WEAK)
    defs = project.folder.parent
    (defs / "fleet").mkdir()
    (defs / "fleet" / "defs.yaml").write_text("type: mlops_assets.FleetAutomation\nattributes: {}\n")
    listed = [
        {"name": name, "key": ssh_signatures.public_line(KEYS[name]), "identities": [f"{name}@example.com"]}
        for name in ("Ada", "Grace")
    ]
    (defs / "policy.yaml").write_text(yaml.safe_dump({"approvers": listed}))
    clinic = make_clinic(refused_home, project)
    pending = waiting_version(Fleet(Home(clinic.root)))
    target = ModuleTarget("clinic.definitions", None, str(project.root), "clinic")
    ref = InstanceRef.from_dir(str(clinic.home.dagster), overrides=AT_ONCE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        patch.syspath_prepend(project.root)
        for name, value in clinic.home.environment().items():
            patch.setenv(name, value)
        patch.setenv("MLOPS_HOME", str(clinic.root))
        with (
            dg.DagsterInstance.from_ref(ref) as instance,
            WorkspaceProcessContext(instance, target) as process,
            TestClient(create_app_from_workspace_process_context(process)) as browser,
        ):
            yield Ui(clinic, instance, browser, pending)
    for name in [name for name in sys.modules if name == "clinic" or name.startswith("clinic.")]:
        del sys.modules[name]


def waiting_version(fleet: Fleet) -> ModelVersion:
    """Register version 2, of high risk, which every gate vouches for and which people have to approve."""
    run = fleet.train(constant("tumour", 1.0))
    candidate = fleet.trained_package(run).digest
    evidence = evidence_of(subject_of("tumour", candidate), risk="high", authors=("Tim",))
    write_evidence(fleet.registry, run, evidence, fleet.signer)
    return fleet.registry.register("tumour", run, candidate, {EVIDENCE_TAG: evidence.digest})


@pytest.fixture(autouse=True)
def _nothing_gets_through(ui: Ui) -> Iterator[None]:
    yield
    holds(ui.clinic)
    assert ui.clinic.aliases == {"champion": "1"}
    assert [v.version for v in ui.clinic.registry.versions("tumour")] == ["1", "2"]


# --- launching ----------------------------------------------------------------------------------------------


def test_a_run_of_what_comes_after_the_gates(ui: Ui) -> None:
    assert REFUSED in ui.launch("registered_version", "deployed_endpoint")[1]


def test_a_run_whose_checks_were_unticked(ui: Ui) -> None:
    assert REFUSED in ui.launch("registered_version", checks=[])[1]


def test_a_run_of_those_gates_only_that_will_pass(ui: Ui) -> None:
    passes = {"assetKey": {"path": ["tumour", "evaluation"]}, "name": "model_card"}
    ui.launch("evaluation", checks=[passes])
    assert REFUSED in ui.launch("registered_version", checks=[])[1]


def test_a_run_of_the_endpoint_alone(ui: Ui) -> None:
    ui.launch("deployed_endpoint")


def test_a_run_whose_config_asks_to_skip_the_gates(ui: Ui) -> None:
    for config in (
        {"ops": {"tumour__registered_version": {"config": {"skip_gates": True}}}},
        {"resources": {"platform": {"config": {"verifier": "none"}}}},
        {"ops": {"tumour__registered_version": {"inputs": {"evaluated": {"value": {}}}}}},
    ):
        refusal = ui.launch("registered_version", config=config)[1]
        assert refusal == "RunConfigValidationInvalid" or REFUSED in refusal


def test_a_run_with_the_tags_of_an_approved_one(ui: Ui) -> None:
    tags = {
        "mlops/trigger": "approval",
        "mlops/approved": "true",
        "mlops/user": "Ada",
        "mlops/risk": "minimal",
    }
    assert REFUSED in ui.launch("registered_version", "deployed_endpoint", tags=tags)[1]


def test_a_run_of_one_step_of_a_run(ui: Ui) -> None:
    everything = ("raw_data", "validated_features", "trained_model", "evaluation", "registered_version")
    assert REFUSED in ui.launch(*everything, checks=[], stepKeys=["tumour__registered_version"])[1]


def test_a_refused_run_executed_again_from_its_failure(ui: Ui) -> None:
    run_id, why = ui.launch("registered_version", "deployed_endpoint")
    assert REFUSED in why
    params = {"parentRunId": run_id, "strategy": "FROM_FAILURE"}
    told = ui.ask("launchRunReexecution(reexecutionParams: ReexecutionParams!)", given=params)
    assert REFUSED in ui.failures(told["run"]["runId"])


# --- reporting ----------------------------------------------------------------------------------------------


def test_passing_checks_posted_by_hand(ui: Ui) -> None:
    for gate in ("metric_thresholds", "champion_comparison", "explanations"):
        ui.post("/report_asset_check/tumour/evaluation", check_name=gate, passed=True)
    assert ui.clinic.check("evaluation", "metric_thresholds").passed
    assert REFUSED in ui.launch("registered_version", checks=[])[1]


def test_a_registration_reported_by_hand(ui: Ui) -> None:
    ui.post(
        "/report_asset_materialization/tumour/registered_version", metadata={"version": 2}, data_version="x"
    )
    ui.launch("deployed_endpoint")


def test_a_deployment_reported_by_hand_over_graphql(ui: Ui) -> None:
    event = {"eventType": "ASSET_MATERIALIZATION", "assetKey": {"path": ["tumour", "deployed_endpoint"]}}
    told = ui.ask("reportRunlessAssetEvents(eventParams: ReportRunlessAssetEventsParams!)", given=event)
    assert told["__typename"] == "ReportRunlessAssetEventsSuccess"


def test_an_observation_reported_by_hand(ui: Ui) -> None:
    ui.post("/report_asset_observation/tumour/evaluation", data_version=ui.pending.candidate)
    assert REFUSED in ui.launch("registered_version", checks=[])[1]


def test_the_run_that_promoted_deleted(ui: Ui) -> None:
    promoted = ui.clinic.audit.newest("tumour", ("promote",))
    assert promoted is not None
    ui.instance.delete_run(str(promoted.detail["run"]))


# --- deciding -----------------------------------------------------------------------------------------------


def test_a_decision_that_is_none(ui: Ui) -> None:
    before = ui.decided
    for content in ("", "{}", "approve tumour 2", json.dumps({"decision": "approve"}), "[" * 10_000):
        assert ui.decide(content)
    assert ui.decided == before


def test_a_decision_of_somebody_who_is_not_listed(ui: Ui) -> None:
    assert "no approver has this key" in ui.decide(ui.signed("Mallory"))


def test_a_decision_in_the_name_of_somebody_else(ui: Ui) -> None:
    forged = ui.signed("Mallory").model_copy(update={"key": ui.signed("Ada").key})
    assert "the signature does not belong to what was decided" in ui.decide(forged)


def test_a_rejection_turned_into_an_approval(ui: Ui) -> None:
    rejection = ui.signed("Ada", decision="reject")
    turned = rejection.decision.model_copy(update={"decision": "approve"})
    forged = rejection.model_copy(update={"decision": turned})
    assert "the signature does not belong to what was decided" in ui.decide(forged)


def test_a_decision_that_has_expired(ui: Ui) -> None:
    assert "older than" in ui.decide(ui.signed("Ada", at=utc_now() - timedelta(days=90)))


def test_a_decision_about_another_version_played_again(ui: Ui) -> None:
    old = ui.signed("Ada", version="1")
    assert "about another" in ui.decide(old)
    moved = old.model_copy(update={"decision": ui.signed("Ada").decision})
    assert "the signature does not belong to what was decided" in ui.decide(moved)


def test_a_decision_about_a_candidate_that_was_exchanged(ui: Ui) -> None:
    assert "about another candidate" in ui.decide(ui.signed("Ada", candidate="f" * 64))


def test_one_persons_decision_taken_twice(ui: Ui) -> None:
    for hours in (2, 1):
        assert not ui.decide(ui.signed("Ada", at=utc_now() - timedelta(hours=hours)))
    version = ui.clinic.registry.version("tumour", "2")
    assert version is not None
    said = [e.reason for e in ui.clinic.audit.entries("tumour") if e.action == "approve"]
    assert len(said) == 2
    assert not _approved(ui)


def _approved(ui: Ui) -> bool:
    from mlops_assets.registry.proof import read_evidence
    from mlops_assets.resources import Platform

    platform = Platform()
    version = platform.registry.version("tumour", "2")
    assert version is not None
    evidence = read_evidence(platform.registry, version, platform.verifier)
    return platform.decisions.state(version, evidence, platform.decisions.policy.tiers["high"]).approved
