"""The seventh asset watches: what was served, what moved, and whether it did harm."""

from datetime import datetime
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from mlops_assets import digests
from mlops_assets.data.sources import Window, read_window
from mlops_assets.errors import DataError
from mlops_assets.monitoring.assessment import Assessment, assess
from mlops_assets.monitoring.windows import last_complete_window
from mlops_assets.registry.port import ModelVersion
from mlops_assets.registry.proof import read_evidence
from mlops_assets.registry.training_run import TrainingRun, log_monitoring
from mlops_assets.resources import Platform
from mlops_assets.specs.durations import format_duration
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
    stage_asset,
    stage_key,
)

# Under this name an asset's metadata tells how long what was served is kept.
KEEPS_PREDICTIONS = "keeps_predictions"


class MonitoringConfig(dg.Config):
    """What a run may say about the window it looks at."""

    as_of: str = Field("", description="Look as if it were this time (ISO 8601, UTC); now if empty.")


def monitoring_report(spec: ModelSpec, folder: Path, demanded: Rules) -> dg.AssetsDefinition:
    """Return the asset that watches a model's endpoint; ``demanded`` is all that is demanded of it."""
    rules = spec.evaluation

    @stage_asset(
        spec,
        MONITORING,
        spec.data,
        spec.evaluation,
        spec.monitoring,
        spec.retraining,
        kinds={"evidently"},
        deps=[stage_key(spec, "deployed_endpoint")],
        metadata={KEEPS_PREDICTIONS: format_duration(demanded.retention.predictions)},
        description=f"The last complete {spec.monitoring.window}: drift, quality, performance, harm.",
    )
    def stage(context: dg.AssetExecutionContext, config: MonitoringConfig, platform: Platform) -> Result:
        with readable_errors():
            as_of = asked_time(config.as_of)
            champion = platform.champion(spec.name)
            if champion is None:
                raise DataError(f"{spec.name} has no champion to watch; run its lifecycle first")
            found = _assess(spec, folder, champion, as_of, platform)
            assessment = found.model_copy(update={"budget": demanded.retraining.budget})
            filed_as = platform.state.record_assessment(assessment)
            content = digests.of_bytes(assessment.model_dump_json(exclude={"report"}).encode())
            run = _log(spec, assessment, content, platform)
            history = platform.state.assessments(spec.name)
        context.log.info("%s", assessment.reason)
        metadata = _metadata(assessment, filed_as, platform, run)
        if any(rules.primary_metric in each.metrics for each in history):
            metadata["history"] = plots.history(history, rules.primary_metric)
        return dg.MaterializeResult(value=assessment, data_version=dg.DataVersion(content), metadata=metadata)

    return stage


def _assess(
    spec: ModelSpec, folder: Path, champion: ModelVersion, as_of: datetime, platform: Platform
) -> Assessment:
    # The window ends where labels can be known, so that each is judged once and in full.
    start, end = last_complete_window(as_of - spec.data.label_delay, spec.monitoring.window)
    rows = platform.prediction_log.window(spec.name, start, end, known_by=as_of)
    package = platform.package(champion.run_id, champion.candidate)
    return assess(
        spec,
        package,
        champion.version,
        rows,
        as_of=as_of,
        window=(start, end),
        errors=platform.prediction_log.errors(spec.name, start, end),
        refused=platform.prediction_log.refused(spec.name, start, end),
        unseen_rows=_unseen_rows(spec, folder, champion, as_of, platform),
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
