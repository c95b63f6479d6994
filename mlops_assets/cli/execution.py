"""Run jobs through Dagster in this process, with progress, and say what became of them.

In-process on purpose: libraries are imported once and not once a step, which makes a lifecycle several
times faster. The run is a full citizen of the instance: the UI shows its events, checks and lineage.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.cli.instance import PID_TAG, close_orphans, storage_reason
from mlops_assets.errors import StorageError
from mlops_assets.home import Home, exclusive, storage_failure_in

if TYPE_CHECKING:
    import dagster as dg
    from dagster import DagsterInstance

    from mlops_assets.monitoring.windows import Period
    from mlops_assets.specs.model_spec import ModelSpec

Progress = Callable[[str], None]


@dataclass
class Refusal:
    """A gate that refused."""

    stage: str
    gate: str
    summary: str


@dataclass
class Outcome:
    """What became of a run.

    Attributes:
        run_id: The Dagster run.
        success: Whether every stage and gate passed.
        refusals: The gates that refused, with their reasons.
        failures: Why stages failed, one line each.
        bad_input: Whether a failure is the user's to cure, not a gate's verdict.
        metadata: Plain metadata values of each materialized stage, by model and stage.
    """

    run_id: str
    success: bool
    refusals: list[Refusal] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    bad_input: bool = False
    metadata: dict[tuple[str, ...], dict[str, Any]] = field(default_factory=dict)

    @property
    def failure(self) -> str | None:
        """Why it failed, in one line; None if it did not, or if a gate refused."""
        return "; ".join(self.failures) or None


def run_lifecycle(
    definitions: "dg.Definitions",
    instance: "DagsterInstance",
    home: Home,
    model: str,
    *,
    as_of: datetime | None = None,
    window: str | None = None,
    tags: Mapping[str, str] | None = None,
    stages: Sequence[str] | None = None,
    progress: Progress = lambda line: None,
) -> Outcome:
    """Run one model's lifecycle.

    Args:
        definitions: Definitions that hold the model and the job ``lifecycle``.
        instance: Where the run is recorded.
        home: For the lock: one run per model at a time.
        model: Model name.
        as_of: Train as if it were this time; now if None.
        window: How much history to read; the spec's if None.
        tags: Further run tags, such as why it was started.
        stages: Only these stages; all if None.
        progress: Told one line per stage and gate.

    Raises:
        BusyError: Another process runs this model.
        StorageError: The run cannot be recorded.
    """
    import dagster as dg

    from mlops_assets.stages.stage import LIFECYCLE, stage_config

    time = as_of.isoformat() if as_of else ""
    with exclusive(home.root / "locks" / f"{model}.lock", f"{model} is being run"):
        close_orphans(instance)
        return _run(
            definitions,
            instance,
            "lifecycle",
            [dg.AssetKey([model, stage]) for stage in stages or LIFECYCLE],
            {} if stages else stage_config(LIFECYCLE[0], model, as_of=time, window=window or ""),
            {"mlops/model": model, **(tags or {})},
            progress,
        )


def run_monitoring(
    definitions: "dg.Definitions",
    instance: "DagsterInstance",
    models: "Sequence[ModelSpec]",
    *,
    as_of: datetime | None = None,
    report: bool = False,
    progress: Progress = lambda line: None,
) -> list[Outcome]:
    """Run a monitoring pass over some models, which must have a champion each: a run for each window.

    Args:
        definitions: Of the fleet.
        instance: Dagster's.
        models: The models.
        as_of: As if it were this time; now if None.
        report: Whether each gets Evidently's report, alarm or not.
        progress: Told what goes on, line by line.

    Returns:
        What became of each run, those of earlier windows first.
    """
    import dagster as dg

    from mlops_assets.monitoring.windows import windows_to_assess
    from mlops_assets.specs.durations import utc_now
    from mlops_assets.stages.monitoring_report import partition_of, pass_config, pass_job
    from mlops_assets.stages.stage import MONITORING

    time = as_of or utc_now()
    close_orphans(instance)
    windows: dict[tuple[datetime, Period], list[str]] = {}
    for spec in models:
        period = spec.monitoring.window
        for start, _ in windows_to_assess(time, period, spec.data.label_delay):
            windows.setdefault((start, period), []).append(spec.name)
    return [
        _run(
            definitions,
            instance,
            pass_job(period),
            [dg.AssetKey([name, MONITORING]) for name in sorted(names)],
            pass_config(period, time, report=report),
            {"mlops/as_of": time.isoformat()},
            progress,
            partition=partition_of(start, period),
        )
        for (start, period), names in sorted(windows.items())
    ]


def _run(
    definitions: "dg.Definitions",
    instance: "DagsterInstance",
    job: str,
    selection: "list[dg.AssetKey]",
    run_config: dict[str, Any],
    tags: dict[str, str],
    progress: Progress,
    *,
    partition: str | None = None,
) -> Outcome:
    import dagster as dg

    from mlops_assets.cli.project import quiet_dagster

    with quiet_dagster():
        speaking = dg.Definitions.merge(
            definitions, dg.Definitions(loggers={"console": _progress_logger(progress)})
        )
        try:
            result = speaking.resolve_job_def(job).execute_in_process(
                instance=instance,
                partition_key=partition,
                asset_selection=selection,
                # An empty logger config replaces Dagster's default console output by ours.
                run_config={**run_config, "loggers": {"console": {}}},
                tags={**tags, PID_TAG: str(os.getpid())},
                raise_on_error=False,
            )
        except Exception as error:
            reason = storage_reason(error)
            if reason is None:
                raise
            raise StorageError(f"Dagster's storage: {reason}") from error
    return _outcome(result)


def _outcome(result: "dg.ExecuteInProcessResult") -> Outcome:
    outcome = Outcome(result.run_id, result.success)
    for check in result.get_asset_check_evaluations():
        if not check.passed:
            outcome.refusals.append(
                Refusal(check.asset_key.path[-1], check.check_name, check.description or "")
            )
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            failures, bad_input = _failures(event, result.run_id)
            outcome.failures += failures
            outcome.bad_input |= bad_input
        elif event.event_type_value == "ASSET_MATERIALIZATION":
            materialization = event.step_materialization_data.materialization
            outcome.metadata[tuple(materialization.asset_key.path)] = {
                k: v.value for k, v in materialization.metadata.items()
            }
    if not result.success and not outcome.failures and not outcome.refusals:
        outcome.failures.append(f"the run failed; see the log of run {result.run_id}")
    if outcome.refusals and not outcome.bad_input:
        # A blocking check also fails its step; the gate's own words are the better ones.
        outcome.failures.clear()
    return outcome


def _failures(event: "dg.DagsterEvent", run_id: str) -> tuple[list[str], bool]:
    """Return why a step failed, a line each for the models it failed for, and whether a user can cure it."""
    from mlops_assets.stages.monitoring_report import OF_MODELS

    data: Any = event.step_failure_data
    where = str(event.step_key).replace("__", " ", 1)
    user = data.user_failure_data
    if user is not None and user.description:
        kind = user.metadata.get("kind")
        if kind is not None and kind.value == OF_MODELS:
            return user.description.splitlines(), True
        gate = kind is not None and kind.value == "MlopsError"
        return [f"{where}: {_one_line(user.description)}"], not gate
    error = data.error
    while error.cause is not None:
        error = error.cause
    if storage := storage_failure_in(error.message):
        return [f"{where}: {storage}"], True
    said = _one_line(error.message) or str(error.cls_name)
    return (
        [f"{where}: {said} (unexpected; the log of run {run_id} has the traceback)"],
        "ssetCheck" not in str(error.cls_name),
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _progress_logger(progress: Progress) -> "dg.LoggerDefinition":
    """Return a Dagster logger that tells progress in the user's words instead of event names."""
    import dagster as dg

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            meta: Mapping[str, Any] = getattr(record, "dagster_meta", {})
            event = meta.get("dagster_event")
            if event is None:
                if record.levelno == logging.INFO:
                    progress(f"  {meta.get('orig_message', record.getMessage())}")
            elif event.event_type_value == "ASSET_MATERIALIZATION":
                progress(f"✓ {event.asset_key.path[-1]}")
            elif event.event_type_value == "ASSET_CHECK_EVALUATION":
                check = event.asset_check_evaluation_data
                mark = "✓" if check.passed else "✗"
                progress(f"{mark} gate {check.check_name}: {check.description}")

    def make(context: "dg.InitLoggerContext") -> logging.Logger:
        logger = logging.Logger("mlops_assets.progress", level=logging.DEBUG)
        logger.addHandler(Handler())
        return logger

    return dg.LoggerDefinition(make)
