"""Beside the endpoint: a file or table that is scored by the version that serves, again and again."""

import tempfile
from pathlib import Path

import dagster as dg

from mlops_assets.prediction_log.prediction_ids import PredictionIds
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.secret import secret_for
from mlops_assets.resources import Platform
from mlops_assets.scoring.job import Scored, Scorer
from mlops_assets.scoring.records import Records
from mlops_assets.scoring.sql_input import SqlRows
from mlops_assets.serving.proven import ProvenVersions
from mlops_assets.specs.data_spec import SqlSource
from mlops_assets.specs.model_spec import Batch, ModelSpec
from mlops_assets.specs.policy_file import current_policy
from mlops_assets.stages.records import BatchScores
from mlops_assets.stages.stage import BATCH, Result, actor_of, readable_errors, stage_asset, stage_key


def batch_scores(spec: ModelSpec, batch: Batch, folder: Path) -> dg.AssetsDefinition:
    """Return the asset that scores a model's batch.

    Args:
        spec: The model's spec.
        batch: What to score, and where to.
        folder: Folder to which relative paths refer.
    """
    due = dg.AutomationCondition.cron_tick_passed(batch.schedule) if batch.schedule else None

    @stage_asset(
        spec,
        BATCH,
        batch,
        kinds={batch.input.type, batch.output.suffix.lower().removeprefix(".")},
        deps=[stage_key(spec, "deployed_endpoint")],
        automation_condition=due & ~dg.AutomationCondition.in_progress() if due else None,
        description="Predictions for a file or table, by the version that serves by right.",
    )
    def stage(context: dg.AssetExecutionContext, platform: Platform) -> Result:
        with readable_errors(), tempfile.TemporaryDirectory(prefix="mlops-score-") as private:
            scored, version = _scored(spec, batch, folder, platform, context, Path(private))
        return dg.MaterializeResult(
            value=BatchScores(
                version=version,
                input_digest=scored.input_digest,
                output=str(scored.output),
                output_digest=scored.output_digest,
                rows=scored.rows,
            ),
            data_version=dg.DataVersion(scored.output_digest),
            metadata={
                "dagster/row_count": scored.rows,
                "version": int(version),
                "output": dg.MetadataValue.path(str(scored.output)),
                "input": scored.input,
                "input_digest": scored.input_digest,
                "form": scored.plan.why,
                "logged": batch.log,
            },
        )

    return stage


def _scored(
    spec: ModelSpec,
    batch: Batch,
    folder: Path,
    platform: Platform,
    context: dg.AssetExecutionContext,
    private: Path,
) -> tuple[Scored, str]:
    home = platform.home
    versions = ProvenVersions(platform.registry, platform.verifier, platform.audit, current_policy, private)
    proven = versions.load(spec.name)
    context.log.info("Version %s scores", proven.resident.version)
    records = Records(
        proven,
        platform.audit,
        actor_of(context),
        context.run_id,
        (lambda: Recorder.for_home(home, "batch")) if batch.log else None,
        platform.prediction_log if batch.log else None,
    )
    ids = PredictionIds(secret_for(home.root))
    source = SqlRows.of(batch.input) if isinstance(batch.input, SqlSource) else folder / batch.input.path
    scorer = Scorer(proven.resident, ids, deliver=records.keep)
    return scorer.score(source, folder / batch.output, batch.keep), proven.resident.version
