"""What tests of the automation share: fleets of any size, on a real Dagster instance and real databases."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.home import Home
from mlops_assets.monitoring.assessment.record import Assessment
from mlops_assets.monitoring.fleet_state import FleetState
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.resources import RESOURCES
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets_tests.whole_fleets import whole_fleet

NOW = datetime(2024, 6, 1)


@dataclass(frozen=True)
class Fleet:
    """Some models, and where their assessments and versions are filed."""

    definitions: dg.Definitions
    instance: dg.DagsterInstance
    state: FleetState
    registry: MlflowRegistry

    def assess(self, model: str = "a", day: int = 0, **found: Any) -> int:
        """File what a monitoring pass might have found."""
        at = NOW + timedelta(days=day)
        said = {"reason": "worse" if found.get("harm") else "not shown to be worse", **found}
        week = {"as_of": at, "start": at - timedelta(days=7), "end": at}
        return self.state.record_assessment(
            Assessment.model_validate({"model": model, "version": "1", "served": 500, **week, **said})
        )

    def file(self, model: str, start: datetime, as_of: datetime, served: int = 1) -> None:
        """File what a pass found in a day as of a time."""
        said = {"model": model, "version": "1", "served": served, "as_of": as_of.replace(tzinfo=None)}
        window = {"start": start, "end": start + timedelta(days=1)}
        self.state.record_assessment(Assessment.model_validate({**said, **window}))

    def tick(self, cursor: str | None = None) -> Any:
        """Evaluate the retraining sensor, as the daemon does."""
        sensor = self.definitions.resolve_sensor_def("retraining")
        with dg.build_sensor_context(
            instance=self.instance, cursor=cursor, definitions=self.definitions, resources=RESOURCES
        ) as context:
            return sensor.evaluate_tick(context)

    def scheduled(self, at: datetime) -> Any:
        """Evaluate the monitoring schedule, as the daemon does."""
        schedule = self.definitions.resolve_schedule_def("monitoring_day")
        with dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=at,
            repository_def=self.definitions.get_repository_def(),
            resources=RESOURCES,
        ) as context:
            return schedule.evaluate_tick(context)


MakeFleet = Callable[..., Fleet]


@pytest.fixture
def make_fleet(
    make_spec: Callable[..., ModelSpec], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeFleet]:
    """Return a maker of fleets by their models' names, on one home."""
    for name in ("MLFLOW_TRACKING_URI", "MLOPS_STATE_URL", "MLOPS_AUDIT_CHECKPOINTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLOPS_HOME", str(tmp_path / "home"))
    home = Home.from_environment()
    home.root.mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:

        def make(*models: str, **changes: Any) -> Fleet:
            specs = (make_spec(name=model, **changes) for model in models)
            definitions = whole_fleet(*specs, folder=tmp_path)
            return Fleet(definitions, instance, FleetState(home.state_url), MlflowRegistry(home))

        yield make


@pytest.fixture
def fleet(make_fleet: MakeFleet) -> Fleet:
    """Return a fleet of the models a, b and c."""
    return make_fleet("a", "b", "c")
