"""Stage 5: a version in the registry, for a candidate that every gate vouches for."""

import dagster as dg

from mlops_assets.errors import MlopsError
from mlops_assets.registry.admission import objections
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.records import Evaluated, Registered
from mlops_assets.stages.stage import (
    Result,
    markdown_table,
    readable_errors,
    stage_asset,
    stage_key,
)


def registered_version(spec: ModelSpec) -> dg.AssetsDefinition:
    """Return the asset that registers a candidate."""

    @stage_asset(
        spec,
        "registered_version",
        kinds={"mlflow"},
        ins={"evaluated": dg.AssetIn(stage_key(spec, "evaluation"))},
        description="A version in MLflow whose tags tell its data, code, scores and Dagster run.",
    )
    def stage(context: dg.AssetExecutionContext, evaluated: Evaluated, platform: Platform) -> Result:
        trained = evaluated.trained
        with readable_errors():
            require_admission(spec, evaluated, platform)
            tags = _lineage_tags(spec, evaluated, context.run_id)
            version = platform.registry.register(
                spec.name,
                trained.run_id,
                trained.candidate,
                tags,
                purpose=spec.purpose,
                summary=_summary(spec, evaluated),
            )
        return dg.MaterializeResult(
            value=Registered(evaluated=evaluated, version=version.version),
            data_version=dg.DataVersion(trained.candidate),
            metadata={
                "version": int(version.version),
                "candidate": trained.candidate,
                "lineage": markdown_table([{"tag": k, "value": v} for k, v in sorted(version.tags.items())]),
                "mlflow_version": dg.MetadataValue.url(
                    f"{platform.mlflow_ui}/#/models/{spec.name}/versions/{version.version}"
                ),
            },
        )

    return stage


def require_admission(spec: ModelSpec, evaluated: Evaluated, platform: Platform) -> None:
    """Refuse a candidate that some gate does not vouch for.

    Raises:
        MlopsError: Names every gate that is missing, failed or out of date.
    """
    trained = evaluated.trained
    found = objections(
        platform.verdicts,
        platform.registry,
        spec.name,
        data=trained.features.raw.digest,
        features=trained.features.digest,
        candidate=trained.candidate,
    )
    if found:
        raise MlopsError(f"{spec.name} candidate {trained.candidate[:12]} is refused: {'; '.join(found)}")


def _summary(spec: ModelSpec, evaluated: Evaluated) -> str:
    """Return what a person wants to know of a version before all else."""
    metric = spec.evaluation.primary_metric
    figure = evaluated.metrics[metric]
    compared = evaluated.comparison
    return (
        f"As of {evaluated.trained.features.raw.as_of:%Y-%m-%d}: {metric} {figure.value:.4f} "
        f"[{figure.low:.4f}, {figure.high:.4f}] on {evaluated.rows:,} rows newer than all it learnt from; "
        + (f"beat version {compared.champion}" if compared.champion else "the first version")
    )


def _lineage_tags(spec: ModelSpec, evaluated: Evaluated, run_id: str) -> dict[str, str]:
    trained = evaluated.trained
    raw = trained.features.raw
    scores = {f"mlops.score.{name}": f"{figure.value:.6g}" for name, figure in evaluated.metrics.items()}
    return {
        "mlops.recipe": trained.recipe,
        "mlops.data": raw.digest,
        "mlops.features": trained.features.digest,
        "mlops.feature_code": trained.features.code,
        "mlops.as_of": raw.as_of.isoformat(),
        "mlops.window": f"{raw.start.isoformat()}/{raw.end.isoformat()}",
        "mlops.trained_until": trained.holdout_start.isoformat(),
        "mlops.runtime": trained.runtime,
        "mlops.risk": spec.risk,
        "mlops.owner": spec.owner,
        "mlops.dagster_run": run_id,
        "mlops.compared_with": evaluated.comparison.champion or "none",
        **scores,
    }
