"""One pass over a fleet: what is wrong upstream of several models is one incident, and stops no other."""

import multiprocessing
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from mlops_assets.automation.fleet import fleet_definitions
from mlops_assets.digests import of_bytes
from mlops_assets.monitoring.assessment.assess import Looked
from mlops_assets.monitoring.assessment.record import CHECKS
from mlops_assets.monitoring.assessment.subject import Span
from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.incidents.incident import Incident
from mlops_assets.resources import Platform
from mlops_assets.stages import many_looks
from mlops_assets.stages.fleet_look import FleetLook, WatchedModel
from mlops_assets.stages.many_looks import looks
from mlops_assets.stages.monitoring_report import partition_of, pass_config, pass_job
from mlops_assets_tests.watched_fleets import (
    FIRST,
    Change,
    Sizes,
    make_fleet,
    promote,
    serve,
    watched_models,
)

DAY = timedelta(days=1)
PATIENCE = 60
SIZES = Sizes(models=4, rows=400, columns=3, sources=2)


class Fleet:
    """Four models on two sources: 0 and 2 read one, 1 and 3 the other."""

    def __init__(self, root: Path) -> None:
        self.platform = Platform()
        self.models = watched_models(SIZES)
        self.package = make_fleet(self.platform, SIZES)
        self.root = root

    @property
    def names(self) -> list[str]:
        """Names of the models."""
        return [model.spec.name for model in self.models]

    def serve(self, day: int, change: Change = lambda rows: rows, *models: str) -> None:
        """Have all models answer a day's rows, of which some are changed for some models."""
        for name in self.names:
            befell: Change = change if name in models else (lambda rows: rows)
            serve(self.package, name, self.platform.home.prediction_log, day, SIZES, befell)

    def look(
        self, day: int, *, instance: dg.DagsterInstance, models: list[WatchedModel] | None = None
    ) -> dg.ExecuteInProcessResult:
        """Run the pass over a day."""
        start = FIRST + timedelta(days=day)
        job = fleet_definitions(models or self.models).resolve_job_def(pass_job("day"))
        return job.execute_in_process(
            instance=instance,
            partition_key=partition_of(start, "day"),
            run_config=pass_config("day", start + timedelta(days=1, hours=6)),
            raise_on_error=False,
        )

    def incidents(self) -> list[Incident]:
        """Return what is going on."""
        return self.platform.incidents.incidents()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    root = tmp_path_factory.mktemp("fleet") / "home"
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "MLOPS_STATE_URL", "MLOPS_AUDIT_CHECKPOINTS"):
            patch.delenv(name, raising=False)
        patch.setenv("MLOPS_HOME", str(root))
        yield Fleet(root)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as found:
        yield found


def in_percent(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(x0=rows["x0"] * 100)


def failed_checks(instance: dg.DagsterInstance, model: str) -> set[str]:
    key = dg.AssetKey([model, "monitoring_report"])
    keys = [dg.AssetCheckKey(key, name) for name in CHECKS]
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert found.keys() == {*keys}
    failed = set()
    for each, record in found.items():
        assert record.event is not None
        assert record.event.dagster_event is not None
        if not record.event.dagster_event.asset_check_evaluation_data.passed:
            failed.add(each.name)
    return failed


def test_a_unit_that_changes_in_a_source_is_one_incident_of_the_models_that_read_it(
    made: Fleet, instance: dg.DagsterInstance
) -> None:
    made.serve(0)
    assert made.look(0, instance=instance).success
    assert made.incidents() == []
    assert failed_checks(instance, "model_0000") == set()

    hit = ["model_0000", "model_0002"]
    made.serve(1, in_percent, *hit)
    assert made.look(1, instance=instance).success
    (incident,) = made.incidents()
    assert incident.models == tuple(hit)
    assert (incident.cause.suspect.kind, incident.cause.suspect.column) == ("column", "x0")
    assert incident.severity == "page"
    for name in made.names:
        assert failed_checks(instance, name) == ({"drift"} if name in hit else set())
    found = made.platform.state.latest_assessments()["model_0000"]
    assert found.drifted == ["x0"]
    assert found.prediction_drift is not None
    assert found.prediction_drift.drifted
    (moved,) = (each for each in found.drift if each.drifted)
    assert moved.change is not None
    assert moved.change.move == "scaled"
    assert moved.change.factor == pytest.approx(100, rel=0.2)
    assert moved.importance is not None
    assert moved.importance > 0.9
    assert "x0" in moved.expected
    assert found.report is not None
    assert Path(found.report).exists()

    # The same pass again says and does nothing new, and a window never counts twice.
    assert made.look(1, instance=instance).success
    (again,) = made.incidents()
    assert again == incident
    state = made.platform.state
    assert len(state.assessments("model_0000")) == 2
    after = FIRST + timedelta(days=2)
    assert len(state.history("model_0000", "1", after, 28).lasting) == 2


def test_a_model_that_cannot_be_looked_at_is_named_and_stops_no_other(
    made: Fleet, instance: dg.DagsterInstance
) -> None:
    made.serve(2)
    watched = made.platform.home.watched
    (altered, *_) = sorted(watched.glob("*/performance.msgpack"))
    altered.write_bytes(b"altered")  # a copy is nothing to rely on
    candidate = altered.parent.name
    files = made.platform.home.mlflow_artifacts.rglob("package/manifest.json")
    (folder,) = (each.parent for each in files if of_bytes(each.read_bytes()) == candidate)
    kept = (folder / "performance.msgpack").read_bytes()
    (folder / "performance.msgpack").unlink()
    (folder / "performance.msgpack").write_bytes(b"altered as well")
    try:
        done = made.look(2, instance=instance)
    finally:
        (folder / "performance.msgpack").write_bytes(kept)
    assert not done.success
    made_events = [each for each in done.all_events if each.is_step_materialization]
    assert len(made_events) == len(made.models) - 1
    (failure,) = (each for each in done.all_events if each.is_step_failure)
    assert "performance.msgpack of its package was altered after signing" in str(failure.step_failure_data)
    kinds = {incident.kind for incident in made.incidents()}
    assert "monitoring_failed" in kinds


def test_alarms_of_a_pass_that_was_killed_are_taken_in_by_the_next(
    made: Fleet, instance: dg.DagsterInstance
) -> None:
    state = made.platform.state
    (shown,) = (each for each in state.assessments("model_0001") if each.start == FIRST)
    late = Alarm(
        model="model_0001", owner="team:bench-01", risk="minimal", version="1", kind="latency", subject="p99",
        start=shown.start, end=shown.end, observed_at=shown.as_of, says="latency p99 900 ms, usually 9 ms",
    )  # fmt: skip
    state.record_assessment(shown.model_copy(update={"alarms": [late]}), told=False)
    before = len(made.incidents())
    made.serve(3)
    assert made.look(3, instance=instance).success
    assert len(made.incidents()) == before + 1
    assert state.untold() == []


def test_a_window_is_that_of_the_version_that_answered_it_and_wakes_nobody_once_that_is_gone(
    made: Fleet, instance: dg.DagsterInstance
) -> None:
    known, model = {each.id for each in made.incidents()}, made.models[1]
    made.serve(5, in_percent, model.spec.name)
    promote(model, made.package, made.platform, trained_until=FIRST + DAY)
    assert made.look(5, instance=instance, models=[model]).success
    found = made.platform.state.latest_assessments()[model.spec.name]
    assert (found.version, found.served) == ("1", SIZES.rows)
    assert "x0" in {alarm.subject for alarm in found.alarms}
    assert {each.id for each in made.incidents()} <= known


def test_an_incident_of_a_model_that_serves_is_not_over_because_the_pass_does_not_know_it(
    made: Fleet, instance: dg.DagsterInstance
) -> None:
    """Its spec is wrong just now, say, or the pass is over another model alone."""
    (shown,) = (each for each in made.platform.state.assessments("model_0003") if each.start == FIRST)
    alarm = Alarm(
        model="model_0003", owner="team:bench-03", risk="minimal", version="1", kind="errors",
        start=shown.start, end=shown.end, observed_at=shown.as_of, says="a third of the requests fail",
    )  # fmt: skip
    made.platform.state.record_assessment(shown.model_copy(update={"alarms": [alarm]}), told=False)
    assert made.look(3, instance=instance, models=made.models[:1]).success
    (opened,) = (each for each in made.incidents() if each.models == ("model_0003",))
    assert made.look(3, instance=instance, models=made.models[:1]).success
    assert opened.id in {each.id for each in made.incidents()}


@pytest.fixture
def in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes for a few models, as a fleet of hundreds has."""
    monkeypatch.setattr(many_looks, "_processors", lambda: 2)
    monkeypatch.setattr(many_looks, "_MODELS_A_PROCESS", 1)


def refuse(*_: object) -> Looked:
    raise AssertionError("looked at here")


@pytest.mark.usefixtures("in_processes")
def test_looks_in_other_processes_say_what_looks_here_do(
    made: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    span = Span(FIRST, FIRST + DAY, FIRST + DAY)
    look = FleetLook(made.platform, made.models)
    here = [look.at(model, span).assessment.model_dump_json() for model in made.models]
    monkeypatch.setattr(look, "at", refuse)
    there = [each().assessment.model_dump_json() for _, each in looks(look, made.models, made.models, span)]
    assert there == here


@pytest.mark.usefixtures("in_processes")
def test_models_of_a_process_that_is_killed_are_looked_at_all_the_same(made: Fleet) -> None:
    span = Span(FIRST, FIRST + DAY, FIRST + DAY)
    found = looks(FleetLook(made.platform, made.models), made.models, made.models, span)
    _, first = next(found)
    for process in multiprocessing.active_children():
        process.kill()  # before they are ready to look at anything
    every = [first, *(each for _, each in found)]
    assert [look().assessment.model for look in every] == made.names


ENDLESS = """
import multiprocessing, os, signal
from concurrent.futures import ProcessPoolExecutor
from mlops_assets.stages import many_looks

pool = ProcessPoolExecutor(
    1, multiprocessing.get_context("spawn"), initializer=many_looks._begin, initargs=((), None)
)
print(pool.submit(os.getpid).result(), flush=True)
signal.pause()
"""


def test_processes_of_a_pass_that_is_killed_end_with_it(made: Fleet) -> None:
    with subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        other = int(killed.stdout.readline())
        watched = os.pidfd_open(other)
        killed.kill()
    ended, _, _ = select.select([watched], [], [], PATIENCE)
    os.close(watched)
    assert ended
