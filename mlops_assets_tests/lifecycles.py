"""What tests of stages and gates share: a clinic whose model can be run in full or in part."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.ledger import Ledger
from mlops_assets.governance.signatures import Signer
from mlops_assets.home import Home
from mlops_assets.monitoring.fleet_state import FleetState
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.stage import LIFECYCLE
from mlops_assets_tests.whole_fleets import whole_fleet
from mlops_assets_tests.whole_processes import Ended, TumourProject, WarmProcess

# When the week is over in which ``watched_clinic`` serves, and how its spec says to look at it.
WEEK_LATER = "2024-02-12"
WATCHED = {"monitoring": {"window": "week"}}

_RUNS = Path(__file__).parent / "lifecycle_runs.py"


@dataclass(frozen=True)
class Launched:
    """How a Dagster run ended.

    Attributes:
        run_id: Its id.
        success: Whether every stage and gate passed.
        materialized: The stages it made.
        refused_by: The gates that refused.
        failures: Why each failed step failed.
    """

    run_id: str
    success: bool
    materialized: list[str]
    refused_by: list[str]
    failures: dict[str, str]


class Clinic:
    """The model ``tumour`` on a home: its project, its runs, and what they left."""

    def __init__(self, warm: WarmProcess, project: TumourProject, home: Path) -> None:
        self._warm, self.project, self.root = warm, project, home
        self.home = Home(home)

    def run(self, *stages: str, checks: bool = True, as_of: str | None = None, **env: str) -> Launched:
        """Run some stages, or the whole road, in a process of their own with some environment."""
        into = self.root / "launched.json"
        asked = {"stages": stages or LIFECYCLE, "as_of": as_of or self.project.as_of, "checks": checks}
        self._call("launch", {**asked, "into": str(into)}, env)
        return Launched(**json.loads(into.read_text()))

    def command(self, *argv: object) -> Ended:
        """Run ``mlops-assets`` to its end."""
        return self._warm.cli(*argv, cwd=self.project.root, home=self.root)

    def serve_some(self, **asked: Any) -> None:
        """Have a gateway of its own answer some requests; see ``lifecycle_runs.py``."""
        self._call("serve_some", asked, {})

    def _call(self, function: str, arguments: dict[str, Any], env: dict[str, str]) -> None:
        ended = self._warm.call(_RUNS, function, arguments, cwd=self.project.root, home=self.root, **env)
        assert ended.code == 0, ended.err

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """The home's Dagster."""
        return dg.DagsterInstance.from_config(str(self.home.dagster))

    @cached_property
    def registry(self) -> MlflowRegistry:
        """The home's MLflow."""
        return MlflowRegistry(self.home)

    @property
    def ledger(self) -> Ledger:
        """The home's gate records."""
        return Ledger(self.root / "verdicts", Signer.for_home(self.root))

    @property
    def state(self) -> FleetState:
        """The fleet's state."""
        return FleetState(self.home.state_url)

    @property
    def audit(self) -> AuditChain:
        """What changed production, to be read."""
        return AuditChain(self.home.state_url, self.home.audit_checkpoints)

    @property
    def definitions(self) -> dg.Definitions:
        """The definitions of the project's model, as its spec stands, and of the fleet's automation."""
        document = yaml.safe_load((self.project.folder / "defs.yaml").read_text())
        spec = ModelSpec.model_validate(document["attributes"])
        return whole_fleet(spec, folder=self.project.folder)

    @property
    def mlflow_runs(self) -> int:
        """How many runs the model's experiment has in MLflow, trainings and monitoring windows."""
        return len(self.registry.client.search_runs([self.registry.experiment("tumour")]))

    @property
    def aliases(self) -> dict[str, str]:
        """Which version each alias names."""
        return self.registry.aliases().get("tumour", {})

    def materialization(self, stage: str) -> dg.AssetMaterialization:
        """Return the newest materialization of a stage."""
        event = self.instance.get_latest_materialization_event(dg.AssetKey(["tumour", stage]))
        assert event is not None
        assert event.asset_materialization is not None
        return event.asset_materialization

    def data_version(self, stage: str) -> str:
        """Return the data version of a stage's newest materialization."""
        tags = self.materialization(stage).tags
        assert tags is not None
        return tags["dagster/data_version"]

    def check(self, stage: str, gate: str) -> dg.AssetCheckEvaluation:
        """Return what Dagster shows of a gate's newest verdict."""
        key = dg.AssetCheckKey(dg.AssetKey(["tumour", stage]), gate)
        record = self.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        assert record.event is not None
        assert record.event.dagster_event is not None
        return record.event.dagster_event.asset_check_evaluation_data

    def record(self, stage: str) -> dict[str, Any]:
        """Return the record that a stage handed on."""
        return dict(json.loads((self.root / "records" / "tumour" / f"{stage}.json").read_text())["value"])


def table_of(shown: dg.AssetCheckEvaluation, name: str) -> list[dict[str, Any]]:
    """Return the rows of a table that a check shows."""
    value = shown.metadata[name]
    assert isinstance(value, dg.TableMetadataValue)
    return [dict(record.data) for record in value.records]


MakeClinic = Callable[..., Clinic]


@pytest.fixture(scope="session")
def make_clinic(
    warm: WarmProcess, fast_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeClinic]:
    """Return a maker of clinics: a project, and a home copied from another one."""
    made: list[Clinic] = []

    def make(home: Path, project: TumourProject | None = None) -> Clinic:
        project = project or TumourProject(tmp_path_factory.mktemp("clinic") / "project")
        copied = shutil.copytree(home, Path(tempfile.mkdtemp(dir=fast_folder)) / "home")
        made.append(Clinic(warm, project, copied))
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLOPS_STATE_URL", "MLOPS_AUDIT_CHECKPOINTS"):
            patch.delenv(name, raising=False)
        yield make
    for clinic in made:
        if "instance" in vars(clinic):
            clinic.instance.dispose()


@pytest.fixture
def clinic(make_clinic: MakeClinic, prepared_home: Path) -> Clinic:
    """Return a clinic whose model was never trained."""
    return make_clinic(prepared_home)


@pytest.fixture(scope="session")
def watched_clinic(make_clinic: MakeClinic, champion_home: Path) -> Clinic:
    """Return a clinic whose champion served for a week and was looked at; to be copied, not used."""
    clinic = make_clinic(champion_home)
    clinic.project.write_spec(**WATCHED)
    clinic.serve_some(rows=500, start="2024-02-05")
    assert clinic.run("monitoring_report", as_of=WEEK_LATER).success
    return clinic


@pytest.fixture
def serving_clinic(make_clinic: MakeClinic, champion_home: Path) -> Clinic:
    """Return a clinic of the test's own in which version 1 serves."""
    return make_clinic(champion_home)
