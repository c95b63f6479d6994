"""A candidate's MLflow run: parameters, metrics, digests and the packaged model.

A candidate is known by its *recipe*, the digest of all that determines it (data, features, code,
parameters, environment). Training the same recipe again finds the finished run instead of making a
second one, so a killed lifecycle is mended by running it again.
"""

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.home import storage_errors
from mlops_assets.registry.mlflow_registry import ARTIFACT_PATH, MlflowRegistry
from mlops_assets.training.package import PackagedModel

if TYPE_CHECKING:
    import pandas as pd

RECIPE_TAG = "mlops.recipe"
ASSESSMENT_TAG = "mlops.assessment"
_LONGEST_VALUE = 5000


@dataclass(frozen=True)
class TrainingRun:
    """Where a candidate's MLflow run is."""

    run_id: str
    experiment: str


def find_finished(
    registry: MlflowRegistry,
    model: str,
    digest: str,
    tag: str = RECIPE_TAG,
    is_it: Callable[[str], bool] = lambda run_id: True,
) -> TrainingRun | None:
    """Return the finished run of a recipe, or of what else a tag names, and close what a kill left open.

    Args:
        registry: Where runs are.
        model: Model name, also the experiment's.
        digest: The tag's value.
        tag: The tag's name.
        is_it: Told a run's id, says whether it is what its tag says: anybody may write tags.
    """
    experiment = registry.experiment(model)
    with registry.errors():
        runs = registry.client.search_runs([experiment], f"tags.`{tag}` = '{digest}'")
        finished = [str(r.info.run_id) for r in runs if r.info.status == "FINISHED"]
        for run in runs:
            if run.info.status == "RUNNING":
                registry.client.set_terminated(run.info.run_id, "KILLED")
    found = next(filter(is_it, finished), None)
    return TrainingRun(found, experiment) if found else None


def log_training(
    registry: MlflowRegistry,
    model: str,
    recipe: str,
    *,
    name: str,
    params: Mapping[str, Any],
    metrics: Mapping[str, float],
    tags: Mapping[str, str],
    example: "pd.DataFrame",
    write: Callable[[Path], PackagedModel],
) -> TrainingRun:
    """Write the package and log it with everything that is known of the training.

    The run is made when there is something to log, and finished last: a run that is FINISHED has all
    of its parts.

    Args:
        registry: Where to log.
        model: Model name, also the experiment's.
        recipe: Digest of all that determines the candidate.
        name: The run's display name.
        params: Training parameters.
        metrics: Figures of the training, logged in one batch.
        tags: Digests and lineage.
        example: A few raw rows: MLflow's input example, from which the signature is read.
        write: Writes the package into an empty folder.
    """
    from mlflow import pyfunc
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.models import infer_signature
    from mlflow.utils.time import get_current_time_millis

    experiment = registry.experiment(model)
    with tempfile.TemporaryDirectory() as scratch, storage_errors(Path(scratch)):
        package = write(Path(scratch) / "package")
        signature = infer_signature(example, package.predict(example))
        with registry.errors():
            run = registry.client.create_run(experiment, run_name=name, tags={RECIPE_TAG: recipe})
            saved = Path(scratch) / "model"
            pyfunc.save_model(
                saved,
                loader_module="mlops_assets.registry.pyfunc",
                data_path=str(package.folder),
                signature=signature,
                input_example=example,
                # Inferring requirements takes seconds and starts the model; we know them.
                pip_requirements=["mlops-assets", "scikit-learn", "onnxruntime", "pandas"],
            )
            registry.client.log_artifacts(run.info.run_id, str(saved), ARTIFACT_PATH)
            now = get_current_time_millis()
            registry.client.log_batch(
                run.info.run_id,
                metrics=[Metric(k, v, now, 0) for k, v in metrics.items()],
                params=[Param(k, str(v)[:_LONGEST_VALUE]) for k, v in params.items()],
                tags=[RunTag(k, v) for k, v in tags.items()],
            )
            registry.client.set_terminated(run.info.run_id, "FINISHED")
    return TrainingRun(run.info.run_id, experiment)


def log_metrics(registry: MlflowRegistry, run_id: str, metrics: Mapping[str, float]) -> None:
    """Add metrics to a run in one batch."""
    from mlflow.entities import Metric
    from mlflow.utils.time import get_current_time_millis

    now = get_current_time_millis()
    with registry.errors():
        registry.client.log_batch(run_id, metrics=[Metric(k, v, now, 0) for k, v in metrics.items()])


def log_monitoring(
    registry: MlflowRegistry,
    model: str,
    assessment: str,
    *,
    name: str,
    metrics: Mapping[str, float],
    report: Path | None,
) -> TrainingRun:
    """Log a monitoring window's figures and its HTML report as a run beside the trainings.

    Args:
        registry: Where to log.
        model: Model name, also the experiment's.
        assessment: Digest of what was found; found again, it is the same run.
        name: The run's display name.
        metrics: The window's figures.
        report: The report, if one was made.
    """
    known = find_finished(registry, model, assessment, ASSESSMENT_TAG)
    if known is not None:
        return known
    experiment = registry.experiment(model)
    with registry.errors():
        tags = {"mlops.kind": "monitoring", ASSESSMENT_TAG: assessment}
        run = registry.client.create_run(experiment, run_name=name, tags=tags)
        log_metrics(registry, run.info.run_id, metrics)
        if report is not None and report.exists():
            registry.client.log_artifact(run.info.run_id, str(report))
        registry.client.set_terminated(run.info.run_id, "FINISHED")
    return TrainingRun(run.info.run_id, experiment)
