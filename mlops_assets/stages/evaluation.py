"""Stage 4: the candidate's figures on rows newer than all it learnt from, and beside the champion's."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets import digests
from mlops_assets.data.further_columns import with_further_columns
from mlops_assets.data.snapshots import read_snapshot
from mlops_assets.data.sources import Window
from mlops_assets.errors import DataError
from mlops_assets.evaluation.comparison import compare_with_champion
from mlops_assets.evaluation.intervals import intervals, time_blocks
from mlops_assets.evaluation.metrics import encode_target, metrics_of
from mlops_assets.evaluation.slices import measure_slices
from mlops_assets.registry.training_run import log_metrics
from mlops_assets.resources import Platform
from mlops_assets.specs.gate_rules import ChampionComparisonRules
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules
from mlops_assets.stages import plots
from mlops_assets.stages.holdout_uses import other_candidates
from mlops_assets.stages.outcome import expectation_of, outcome_of, shown_gain
from mlops_assets.stages.records import Comparison, Evaluated, Figure, TrainedModel
from mlops_assets.stages.stage import (
    Result,
    markdown_table,
    readable_errors,
    rounded,
    stage_asset,
    stage_key,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def evaluation(spec: ModelSpec, folder: Path, demanded: Rules) -> dg.AssetsDefinition:
    """Return the asset that evaluates a candidate; ``folder`` is the spec's, ``demanded`` the policy's."""
    rules = spec.evaluation

    @stage_asset(
        spec,
        "evaluation",
        spec.task,
        spec.data.time_column,
        spec.data.target,
        # Thresholds are the gate's: the figures are the same whatever they are held against.
        rules.model_copy(update={"thresholds": {}}),
        kinds={"sklearn", "mlflow"},
        ins={"trained": dg.AssetIn(stage_key(spec, "trained_model"))},
        description="Metrics on the hold-out with intervals, by group, and against the champion.",
    )
    def stage(context: dg.AssetExecutionContext, trained: TrainedModel, platform: Platform) -> Result:
        with readable_errors():
            package = platform.package(trained.run_id, trained.candidate)
            raw = trained.features.raw
            rows = read_snapshot(platform.home.snapshot(spec.name, raw.digest), raw.digest)
            holdout = rows[rows[spec.data.time_column] >= trained.holdout_start]
            context.log.info("Evaluating on %s rows", f"{len(holdout):,}")
            predicted = package.predict(holdout)
            target = encode_target(holdout[spec.data.target], spec.task, package.manifest.classes)
            blocks = time_blocks(holdout[spec.data.time_column])
            figures = intervals(metrics_of(spec.task), target, predicted, blocks, confidence=rules.confidence)
            groups = measure_slices(
                rules.primary_metric, holdout[list(rules.slices)], target, predicted, blocks
            )
            against = demanded.gates.champion_comparison
            comparison = _compare(spec, folder, trained, holdout, predicted, against, platform)
            log_metrics(
                platform.registry,
                trained.run_id,
                {n: i.value for n, i in figures.items()}
                | {f"{rules.primary_metric}/{s.column}/{_plain(s.value)}": s.metric.value for s in groups},
            )
        record = Evaluated(
            trained=trained,
            rows=len(holdout),
            metrics={n: Figure(value=i.value, low=i.low, high=i.high) for n, i in figures.items()},
            comparison=comparison,
        )
        table = [{"metric": n, "value": i.value, "low": i.low, "high": i.high} for n, i in figures.items()]
        return dg.MaterializeResult(
            value=record,
            data_version=dg.DataVersion(_content(record)),
            metadata={
                **{n: rounded(i.value) for n, i in figures.items()},
                "rows": len(holdout),
                "metrics": markdown_table(table),
                "slices": markdown_table(
                    [
                        {
                            "column": s.column,
                            "value": s.value,
                            "rows": s.rows,
                            rules.primary_metric: str(s.metric),
                        }
                        for s in groups
                    ]
                ),
                "champion": comparison.champion or "none yet",
                **({"gain_over_champion": rounded(comparison.gain)} if comparison.gain is not None else {}),
                **_pictures(spec, target, predicted),
                **(
                    {
                        "slices_plot": plots.slices(
                            groups, figures[rules.primary_metric].value, rules.primary_metric
                        )
                    }
                    if groups
                    else {}
                ),
                "mlflow_run": dg.MetadataValue.url(platform.run_link(trained.experiment, trained.run_id)),
            },
        )

    return stage


def _content(record: Evaluated) -> str:
    """Return the digest of a candidate's figures; the champion beside it is no part of them."""
    return digests.of_json([record.trained.candidate, record.model_dump_json(include={"rows", "metrics"})])


def _compare(
    spec: ModelSpec,
    folder: Path,
    trained: TrainedModel,
    holdout: "pd.DataFrame",
    predicted: "np.ndarray[Any, Any]",
    rules: ChampionComparisonRules,
    platform: Platform,
) -> Comparison:
    challenger = platform.package(trained.run_id, trained.candidate)
    champion = platform.champion(spec.name)
    if champion is None:
        return Comparison(champion=None)
    if champion.candidate == challenger.digest:
        return Comparison(champion=champion.version, same=True)
    others = other_candidates(spec.name, trained, platform)
    package = platform.package(champion.run_id, champion.candidate)
    dropped = [column for column in package.manifest.inputs if column.name not in holdout]
    if dropped:
        window = Window(trained.holdout_start, trained.features.raw.end)
        try:
            holdout = with_further_columns(holdout, dropped, spec.data, window, folder)
        except DataError as error:
            names = ", ".join(column.name for column in dropped)
            problem = f"the champion needs {names}, which the spec no longer reads: {error}"
            return Comparison(champion=champion.version, problem=problem)
    found = compare_with_champion(spec, holdout, predicted, challenger.manifest.classes, package, rules)
    difference = found.difference
    outcome = outcome_of(
        spec,
        trained,
        package,
        found.champion_value,
        difference,
        platform.state.candidates().get(spec.name, ()),
    )
    shown, expected = None, None
    if outcome is not None and found.champion_value is not None:
        # What others gained on these rows says of these rows what the comparison says itself.
        known = platform.state.outcomes(without={challenger.digest, *others})
        expected = expectation_of(spec.name, outcome, known)
        shown = shown_gain(spec, outcome, found.champion_value, rules.min_gain)
        platform.state.record_outcome(spec.name, challenger.digest, package.digest, outcome)
    return Comparison(
        champion=champion.version,
        rows=found.rows,
        champion_value=found.champion_value,
        problem=found.problem,
        shown=shown,
        expected=expected,
        **(vars(difference) if difference else {}),
    )


def _plain(value: str) -> str:
    """Return a group's value in the letters MLflow allows in a metric's name."""
    return "".join(c if c.isalnum() or c in "_-. " else "_" for c in value)


def _pictures(
    spec: ModelSpec, target: "np.ndarray[Any, Any]", predicted: "np.ndarray[Any, Any]"
) -> dict[str, dg.MarkdownMetadataValue]:
    if spec.task == "binary_classification":
        return {"calibration": plots.calibration(target, predicted)}
    if spec.task == "regression":
        return {"predicted_against_actual": plots.predicted_against_actual(target, predicted)}
    return {}
