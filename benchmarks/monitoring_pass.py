"""One monitoring pass over many models, Dagster's events included: what it takes, model by model.

    python benchmarks/monitoring_pass.py [--models 10 100 1000] [--rows 10000] [--columns 20] [--labels]

Each fleet is made in a home of its own and serves three days. The first pass writes every check; measured is
that of the third day, as it is day by day. ``core`` is the same look without Dagster, ``ticks`` are those
of the schedule and of the sensor of incidents when there is nothing to do; their limit is .3 s.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlops_assets.resources import Platform
    from mlops_assets.stages.fleet_look import WatchedModel
    from mlops_assets_tests.watched_fleets import Sizes

DAYS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--models", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--labels", action="store_true")
    parser.add_argument("--home", type=Path, help="Keep the home, or use it again.")
    parser.add_argument("--measure", choices=["make", "first", "pass", "core", "ticks"])
    asked = parser.parse_args()
    if asked.measure:
        _measured(asked)
        return
    for models in asked.models:
        with tempfile.TemporaryDirectory() as scratch:
            home = asked.home or Path(scratch) / "home"
            for what in ("make", "first", "pass", "core", "ticks"):
                if what == "make" and home.exists():
                    continue
                sizes = ["--models", str(models), "--rows", str(asked.rows), "--columns", str(asked.columns)]
                more = [*sizes, *(["--labels"] if asked.labels else []), "--measure", what]
                command = [sys.executable, __file__, *more]
                subprocess.run(command, check=True, env={**os.environ, "MLOPS_HOME": str(home)})


def _measured(asked: argparse.Namespace) -> None:
    from mlops_assets.resources import Platform
    from mlops_assets_tests.watched_fleets import FIRST, Sizes, watched_models

    sizes = Sizes(asked.models[0], asked.rows, asked.columns, asked.labels)
    if asked.measure == "ticks":
        _ticks(watched_models(sizes))
        return
    platform = Platform()
    began, cpu = time.perf_counter(), _processor_seconds()
    if asked.measure == "make":
        _make(platform, sizes)
    else:
        models = watched_models(sizes)
        whole = [0, 1] if asked.measure == "first" else [DAYS - 1]
        for day in whole:
            start = FIRST + timedelta(days=day)
            if asked.measure == "core":
                _core(models, platform, start)
            else:
                _pass(models, start)
    took, used = time.perf_counter() - began, _processor_seconds() - cpu
    peaks = (
        resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    print(
        f"{sizes.models:>5} models x {sizes.rows:,} rows x {sizes.columns} columns, {asked.measure:<5}: "
        f"{took:6.1f} s, {used:6.1f} s of CPU, {used / sizes.models * 1000:6.1f} ms of CPU a model, "
        f"peak {' and '.join(f'{each:,.0f}' for each in peaks)} MB (itself, largest child)",
        flush=True,
    )


def _processor_seconds() -> float:
    """Return what this process and those that it started and that have ended used of processors."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def _make(platform: "Platform", sizes: "Sizes") -> None:
    """Make a fleet; the log of all models is links to the same Parquet files."""
    from mlops_assets.prediction_log.catalogue import Catalogue
    from mlops_assets.prediction_log.compaction import compact
    from mlops_assets_tests.watched_fleets import make_fleet, serve, watched_models

    folder, (first, *others) = platform.home.prediction_log, [m.spec.name for m in watched_models(sizes)]
    package = make_fleet(platform, sizes)
    for day in range(DAYS):
        serve(package, first, folder, day, sizes)
    compact(folder, batch_bytes=2**40)
    catalogue, entered = Catalogue(folder), []
    for name in others:
        for file in (*catalogue.files("predictions", first), *catalogue.files("feedback", first)):
            path = file.path.replace(f"model={first}", f"model={name}")
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            os.link(folder / file.path, folder / path)
            entered.append(replace(file, path=path, model=name))
    catalogue.enter(entered, (), (), ())


def _pass(models: "list[WatchedModel]", start: datetime) -> None:
    import dagster as dg

    from mlops_assets.automation.fleet import fleet_definitions
    from mlops_assets.cli.instance import open_instance
    from mlops_assets.cli.project import quiet_dagster
    from mlops_assets.home import Home
    from mlops_assets.stages.monitoring_report import partition_of, pass_config, pass_job

    job = fleet_definitions(models).resolve_job_def(pass_job("day"))
    end = start + timedelta(days=1)
    with quiet_dagster(), open_instance(Home.from_environment().prepare()) as instance:
        done = job.execute_in_process(
            instance=instance,
            partition_key=partition_of(start, "day"),
            run_config=pass_config("day", end + timedelta(hours=6)),
            raise_on_error=False,
        )
        assert isinstance(done, dg.ExecuteInProcessResult)
        if not done.success:
            raise SystemExit(str([e.message for e in done.all_events if e.is_failure]))


def _ticks(models: "list[WatchedModel]") -> None:
    from datetime import UTC

    import dagster as dg
    from timing import median_seconds

    from mlops_assets.automation.fleet import fleet_definitions
    from mlops_assets.cli.instance import open_instance
    from mlops_assets.home import Home
    from mlops_assets.resources import RESOURCES
    from mlops_assets_tests.watched_fleets import FIRST

    definitions = fleet_definitions(models)
    schedule = definitions.resolve_schedule_def("monitoring_day")
    sensor = definitions.resolve_sensor_def("incidents")
    at = (FIRST + timedelta(days=DAYS, hours=6)).replace(tzinfo=UTC)
    with open_instance(Home.from_environment().prepare()) as instance:

        def scheduled() -> None:
            with dg.build_schedule_context(
                instance=instance,
                scheduled_execution_time=at,
                repository_def=definitions.get_repository_def(),
                resources=RESOURCES,
            ) as context:
                assert not schedule.evaluate_tick(context).run_requests

        def tended() -> None:
            with dg.build_sensor_context(
                instance=instance, definitions=definitions, resources=RESOURCES
            ) as context:
                assert "nothing new" in str(sensor.evaluate_tick(context).skip_message)

        for name, tick in (("monitoring schedule", scheduled), ("sensor of incidents", tended)):
            took = median_seconds(tick, 7)
            print(
                f"{len(models):>5} models, idle tick of the {name}: {took * 1000:.0f} ms ({took / 0.3:.0%})"
            )


def _core(models: "list[WatchedModel]", platform: "Platform", start: datetime) -> None:
    from mlops_assets.monitoring.assessment.subject import Span
    from mlops_assets.stages.fleet_look import FleetLook

    look = FleetLook(platform, models)
    span = Span(start, start + timedelta(days=1), start + timedelta(days=1, hours=6))
    for model in models:
        look.at(model, span)


if __name__ == "__main__":
    main()
