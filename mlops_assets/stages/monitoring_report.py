"""The seventh asset watches: what was served, what moved, and whether it did harm.

That of all models is made in one pass, whose partitions are the windows that are watched. So a pass costs one
run and one step however many models there are, and any window of the past can be looked at again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from mlops_assets import digests
from mlops_assets.data.sources import Window, read_window
from mlops_assets.errors import DataError, MlopsError
from mlops_assets.monitoring.assessment import Assessment, assess
from mlops_assets.monitoring.windows import Period
from mlops_assets.registry.port import ModelVersion
from mlops_assets.registry.proof import read_evidence
from mlops_assets.registry.training_run import TrainingRun, log_monitoring
from mlops_assets.resources import Platform
from mlops_assets.specs.durations import format_duration, naive_utc
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules
from mlops_assets.stages import plots
from mlops_assets.stages.stage import (
    MONITORING,
    Result,
    asked_time,
    markdown_table,
    readable_errors,
    rounded,
    stage_key,
    stage_spec,
)

# The kind of a failure that has a line for each model that could not be looked at.
OF_MODELS = "models"
# Under this name an asset's metadata tells how long what was served is kept.
KEEPS_PREDICTIONS = "keeps_predictions"
# Long enough ago for the flights of the demo; Dagster lists a partition for every window since.
FIRST_WINDOW = date(2013, 1, 1)
_PARTITIONS: dict[Period, Callable[[date], dg.TimeWindowPartitionsDefinition]] = {
    "hour": lambda since: dg.HourlyPartitionsDefinition(start_date=f"{since}-00:00"),
    "day": lambda since: dg.DailyPartitionsDefinition(start_date=str(since)),
    "week": lambda since: dg.WeeklyPartitionsDefinition(start_date=str(since), day_offset=1),
    "month": lambda since: dg.MonthlyPartitionsDefinition(start_date=str(since)),
}


class MonitoringConfig(dg.Config):
    """What a run may say about the window it looks at."""

    as_of: str = Field("", description="Look as if it were this time (ISO 8601, UTC); now if empty.")


@dataclass(frozen=True)
class WatchedModel:
    """A model that is watched.

    Attributes:
        spec: Its spec.
        folder: Folder to which the spec's relative paths refer.
        rules: All that is demanded of it.
    """

    spec: ModelSpec
    folder: Path
    rules: Rules


def monitoring_reports(
    models: Sequence[WatchedModel], period: Period, since: date = FIRST_WINDOW
) -> dg.AssetsDefinition:
    """Return the reports of all models that are watched by windows of one length, made in one pass.

    Args:
        models: These models.
        period: Length of their windows.
        since: Day of the first window there can be.
    """
    watched = {model.spec.name: model for model in models}

    @dg.multi_asset(
        name=pass_name(period),
        specs=[_asset(model) for model in models],
        partitions_def=_PARTITIONS[period](since),
        can_subset=True,
    )
    def look(
        context: dg.AssetExecutionContext, config: MonitoringConfig, platform: Platform
    ) -> Iterator[Result]:
        with readable_errors():
            as_of = asked_time(config.as_of)
            window = _window(context, as_of)
        failures: dict[str, str] = {}
        for key in sorted(context.selected_asset_keys):
            name = key.path[0]
            try:
                yield _report(watched[name], window, as_of, platform, context.log)
            except MlopsError as error:
                failures[name] = str(error)
            except Exception as error:
                # One model's surprise must not keep the others from being watched.
                context.log.exception("%s", name)
                failures[name] = f"{error!r} (unexpected; the log of this run has the traceback)"
        if failures:
            lines = (f"{name} {MONITORING}: {' '.join(why.split())}" for name, why in failures.items())
            raise dg.Failure("\n".join(lines), metadata={"kind": OF_MODELS}, allow_retries=False)

    return look


def pass_name(period: Period) -> str:
    """Return the name of the op that watches by windows of a length."""
    return f"monitoring_{period}"


def pass_job(period: Period) -> str:
    """Return the name of the job that does."""
    return f"monitor_{period}"


def pass_config(period: Period, as_of: datetime) -> dict[str, Any]:
    """Return the run config of a pass as of a time."""
    return {"ops": {pass_name(period): {"config": {"as_of": as_of.isoformat()}}}}


def partition_of(start: datetime, period: Period) -> str:
    """Return the partition that is the window that starts at a time."""
    return start.strftime("%Y-%m-%d-%H:%M" if period == "hour" else "%Y-%m-%d")


def _asset(model: WatchedModel) -> dg.AssetSpec:
    spec = model.spec
    return stage_spec(
        spec,
        MONITORING,
        spec.data,
        spec.evaluation,
        spec.monitoring,
        spec.retraining,
        kinds={"evidently"},
        deps=[stage_key(spec, "deployed_endpoint")],
        metadata={KEEPS_PREDICTIONS: format_duration(model.rules.retention.predictions)},
        description=f"Windows of a {spec.monitoring.window}: drift, quality, performance, harm.",
    )


def _window(context: dg.AssetExecutionContext, as_of: datetime) -> tuple[datetime, datetime]:
    start, end = (naive_utc(edge) for edge in context.partition_time_window)
    if end > as_of:
        raise DataError(f"the window {context.partition_key} is not over; it ends at {end:%Y-%m-%d %H:%M}")
    return start, end


def _report(
    model: WatchedModel,
    window: tuple[datetime, datetime],
    as_of: datetime,
    platform: Platform,
    log: dg.DagsterLogManager,
) -> Result:
    spec = model.spec
    champion = platform.champion(spec.name)
    if champion is None:
        raise DataError("no champion to watch; run its lifecycle first")
    found = _assess(model, champion, window, as_of, platform)
    assessment = found.model_copy(update={"budget": model.rules.retraining.budget})
    filed_as = platform.state.record_assessment(assessment)
    content = digests.of_bytes(assessment.model_dump_json(exclude={"report"}).encode())
    run = _log(spec, assessment, content, platform)
    history = platform.state.assessments(spec.name)
    log.info("%s: %s", spec.name, assessment.reason)
    metadata = _metadata(assessment, filed_as, platform, run)
    metric = spec.evaluation.primary_metric
    if any(metric in each.metrics for each in history):
        metadata["history"] = plots.history(history, metric)
    key = stage_key(spec, MONITORING)
    return dg.MaterializeResult(asset_key=key, data_version=dg.DataVersion(content), metadata=metadata)


def _assess(
    model: WatchedModel,
    champion: ModelVersion,
    window: tuple[datetime, datetime],
    as_of: datetime,
    platform: Platform,
) -> Assessment:
    spec, (start, end) = model.spec, window
    rows = platform.prediction_log.window(spec.name, start, end, known_by=as_of)
    package = platform.package(champion.run_id, champion.candidate)
    return assess(
        spec,
        package,
        champion.version,
        rows,
        as_of=as_of,
        window=window,
        errors=platform.prediction_log.errors(spec.name, start, end),
        refused=platform.prediction_log.refused(spec.name, start, end),
        unseen_rows=_unseen_rows(spec, model.folder, champion, as_of, platform),
        report=platform.home.report(spec.name, f"{start:%Y-%m-%d}_{end:%Y-%m-%d}_v{champion.version}"),
    )


def _unseen_rows(
    spec: ModelSpec, folder: Path, champion: ModelVersion, as_of: datetime, platform: Platform
) -> int | None:
    """Return how many rows the source has beyond the champion's window; asked only if a rule needs it."""
    if spec.retraining.on_new_rows is None:
        return None
    evidence = read_evidence(platform.registry, champion, platform.verifier)
    seen = datetime.fromisoformat(evidence.facts["window"].split("/")[1])
    until = as_of - spec.data.label_delay
    if until <= seen:
        return 0
    try:
        return len(read_window(spec.data, Window(seen, until), folder))
    except DataError:
        return 0


def _log(spec: ModelSpec, assessment: Assessment, content: str, platform: Platform) -> TrainingRun:
    figures = {k: float(v) for k, v in _figures(assessment).items()}
    name = f"{spec.name} {assessment.start:%Y-%m-%d} to {assessment.end:%Y-%m-%d}"
    report = Path(assessment.report) if assessment.report else None
    return log_monitoring(platform.registry, spec.name, content, name=name, metrics=figures, report=report)


def _figures(assessment: Assessment) -> dict[str, float | int]:
    """Return the numbers the UI plots over time."""
    drift = assessment.prediction_drift
    return {
        "served": assessment.served,
        "labelled": assessment.labelled,
        "drifted_features": len(assessment.drifted),
        "quality_findings": len(assessment.quality),
        "errors": assessment.errors,
        **({} if assessment.refused is None else {"refused": assessment.refused}),
        "harm": int(assessment.harm),
        **({"prediction_drift": float(drift["score"])} if drift else {}),
        **{name: value for name, (value, _, _) in assessment.metrics.items()},
        **{f"latency_ms_{name}": value for name, value in assessment.latency_ms.items()},
    }


def _metadata(assessment: Assessment, filed_as: int, platform: Platform, run: TrainingRun) -> dict[str, Any]:
    shown: dict[str, Any] = {
        **{k: rounded(v) if isinstance(v, float) else v for k, v in _figures(assessment).items()},
        "champion": int(assessment.version),
        "assessment": filed_as,
        "window": f"{assessment.start} to {assessment.end}",
        "verdict": assessment.reason,
        "quality": markdown_table(assessment.quality),
        "performance": markdown_table(
            [
                {"metric": n, "value": v, "low": lo, "high": hi}
                for n, (v, lo, hi) in assessment.metrics.items()
            ]
        ),
    }
    if assessment.drift:
        shown["drift"] = markdown_table(assessment.drift)
        shown["drift_plot"] = plots.drift(assessment.drift)
    if assessment.report:
        shown["report"] = dg.MetadataValue.path(assessment.report)
        name = Path(assessment.report).name
        shown["report_in_mlflow"] = dg.MetadataValue.url(
            f"{platform.run_link(run.experiment, run.run_id)}/artifacts/{name}"
        )
    return shown
