"""The daemon that ``up`` starts: harm starts a retraining, once, in a project that is not this one."""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from mlops_assets.monitoring.assessment.record import Assessment
from mlops_assets.monitoring.fleet_state import FleetState

pytestmark = pytest.mark.slow

# Only how long a daemon that does nothing is waited for.
PATIENCE_SECONDS = 300


def runs_after(home: Path, done: Callable[[list[dg.DagsterRun]], bool]) -> list[dg.DagsterRun]:
    """Return the runs of a home once they are as they should be."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        while True:
            runs = list(instance.get_runs())
            if done(runs):
                return runs
            assert time.monotonic() < deadline, [(r.status, r.tags) for r in runs]
            time.sleep(0.5)


def lifecycles(runs: list[dg.DagsterRun]) -> list[dg.DagsterRun]:
    """Return the runs of models: a daemon also compacts and monitors when that falls due."""
    return [run for run in runs if run.job_name == "lifecycle"]


def test_harm_starts_one_retraining_and_a_restart_starts_no_other(
    project: Any, home_with_champion: Path, start_up: Callable[..., Any]
) -> None:
    home = home_with_champion
    fleet = project.root / "clinic" / "defs" / "fleet"
    fleet.mkdir()
    (fleet / "defs.yaml").write_text("type: mlops_assets.FleetAutomation\n")
    before = len(lifecycles(runs_after(home, bool)))
    FleetState(f"sqlite:///{home / 'fleet.db'}").record_assessment(
        Assessment(
            model="tumour",
            version="1",
            as_of=datetime(2024, 3, 1),
            start=datetime(2024, 2, 1),
            end=datetime(2024, 3, 1),
            served=1_000,
            harm=True,
            reason="roc_auc 0.6 against 0.9 on the hold-out",
        )
    )

    def retraining_ended(runs: list[dg.DagsterRun]) -> bool:
        ours = lifecycles(runs)
        return len(ours) > before and all(run.is_finished for run in ours)

    up = start_up(home, cwd=project.root)
    up.wait_until_up()
    newest = lifecycles(runs_after(home, retraining_ended))[0]
    assert newest.status == dg.DagsterRunStatus.SUCCESS, up.logs()
    assert newest.tags["mlops/model"] == "tumour"
    assert newest.tags["mlops/trigger"] == "harm"
    assert newest.tags["mlops/reason"] == "roc_auc 0.6 against 0.9 on the hold-out"
    assert up.stop() == (0, "")
    assert up.family() == {}

    # What was decided stays decided, also for a daemon that starts anew.
    ticks = len(sensor_ticks(home))
    again = start_up(home, cwd=project.root)
    again.wait_until_up()
    runs_after(home, lambda _: len(sensor_ticks(home)) > ticks)
    assert len(lifecycles(runs_after(home, bool))) == before + 1
    assert again.stop() == (0, "")


def sensor_ticks(home: Path) -> list[Any]:
    """Return the finished ticks of the retraining sensor."""
    with dg.DagsterInstance.from_config(str(home / "dagster")) as instance:
        return [
            tick
            for state in instance.all_instigator_state()
            for tick in instance.get_ticks(state.instigator_origin_id, state.selector_id)
            if state.instigator_name == "retraining" and tick.status.value != "STARTED"
        ]
