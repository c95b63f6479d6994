"""Stage 3: a candidate, trained on all but the newest rows, packaged, signed and logged."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets import digests
from mlops_assets.data.features import FeatureView, types_of
from mlops_assets.data.snapshots import read_snapshot
from mlops_assets.errors import PackageError
from mlops_assets.evaluation.fairness import group_columns
from mlops_assets.governance.environment import Environment
from mlops_assets.monitoring.performance.standard import FILE as STANDARD
from mlops_assets.monitoring.performance.standard import standard_of
from mlops_assets.monitoring.reference import FILE as REFERENCE
from mlops_assets.monitoring.reference import reference_of
from mlops_assets.registry.training_run import find_finished, log_training
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.records import TrainedModel, ValidatedFeatures
from mlops_assets.stages.stage import Result, readable_errors, stage_asset, stage_key, started_by
from mlops_assets.training import onnx_form
from mlops_assets.training.envelope import envelope_of
from mlops_assets.training.manifest import Manifest
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.package_writer import write_package
from mlops_assets.training.split import holdout_start, require_target
from mlops_assets.training.trainer import code_behind, digest_behind, fit, require_answer_for

if TYPE_CHECKING:
    import pandas as pd

# Enough for every drift method and small enough to travel with each version.
_REFERENCE_ROWS = 20_000


def trained_model(spec: ModelSpec, folder: Path) -> dg.AssetsDefinition:
    """Return the asset that trains and packages a candidate."""

    @stage_asset(
        spec,
        "trained_model",
        _determining(spec),
        spec.evaluation.holdout,
        kinds={"sklearn", "mlflow", "onnx"},
        ins={"features": dg.AssetIn(stage_key(spec, "validated_features"))},
        description=f"A candidate for {spec.name}: packaged with its features, signed, logged in MLflow.",
    )
    def stage(context: dg.AssetExecutionContext, features: ValidatedFeatures, platform: Platform) -> Result:
        with readable_errors():
            raw = read_snapshot(platform.home.snapshot(spec.name, features.raw.digest), features.raw.digest)
            start = holdout_start(raw[spec.data.time_column], spec.evaluation.holdout)
            lineage = _lineage(spec, folder, features, start.isoformat())
            recipe = digests.of_json(lineage)
            platform.state.record_training(spec.name, features.raw.as_of)
            run = find_finished(
                platform.registry, spec.name, recipe, is_it=lambda run: _has_lineage(run, lineage, platform)
            )
            if run is None:
                began = time.process_time()
                table = read_snapshot(platform.home.features(spec.name, features.digest), features.digest)
                context.log.info(
                    "Training on %s rows", f"{int((raw[spec.data.time_column] < start).sum()):,}"
                )
                candidate = _Candidate(spec, folder, raw, table, raw[spec.data.time_column] < start, lineage)
                run = log_training(
                    platform.registry,
                    spec.name,
                    recipe,
                    name=f"{spec.name} as of {features.raw.as_of:%Y-%m-%d}",
                    params={
                        "estimator": spec.training.trainer,
                        "seed": spec.training.seed,
                        **spec.training.params,
                    },
                    metrics={
                        "rows_trained": float(candidate.older.sum()),
                        "rows_holdout": float((~candidate.older).sum()),
                    },
                    tags={f"mlops.{k}": v for k, v in lineage.items()}
                    | {"mlops.dagster_run": context.run_id},
                    example=raw.loc[candidate.older, [c.name for c in spec.data.features]].head(5),
                    write=lambda folder: candidate.write(folder, platform),
                )
                platform.state.record_candidate(
                    spec.name,
                    platform.package_of(run.run_id).digest,
                    int(candidate.older.sum()),
                    time.process_time() - began,
                )
            else:
                context.log.info("This recipe was trained before: MLflow run %s", run.run_id)
            package = platform.package_of(run.run_id)
        record = TrainedModel(
            features=features,
            recipe=recipe,
            candidate=package.digest,
            run_id=run.run_id,
            experiment=run.experiment,
            holdout_start=start,
            runtime=package.manifest.runtime,
            by=started_by(context.run),
        )
        return dg.MaterializeResult(
            value=record,
            data_version=dg.DataVersion(package.digest),
            metadata={
                "candidate": package.digest,
                "recipe": recipe,
                "runtime": package.manifest.runtime,
                "rows_trained": int((raw[spec.data.time_column] < start).sum()),
                "holdout_from": str(start),
                "size_bytes": package.size,
                "mlflow_run": dg.MetadataValue.url(platform.run_link(run.experiment, run.run_id)),
            },
        )

    return stage


def _has_lineage(run_id: str, lineage: dict[str, str], platform: Platform) -> bool:
    """Return whether a run's package says itself, signed, that it was made of this."""
    try:
        return platform.package_of(run_id).manifest.lineage == lineage
    except PackageError:
        return False


def _lineage(spec: ModelSpec, folder: Path, features: ValidatedFeatures, start: str) -> dict[str, str]:
    """Return all that determines the candidate; equal lineage means equal model."""
    return {
        "data": features.raw.digest,
        "features": features.digest,
        "feature_code": features.code,
        "code": digest_behind(spec.training, folder),
        "spec": digests.of_json(_determining(spec)),
        "environment": Environment.present().digest,
        "trained_until": start,
    }


def _determining(spec: ModelSpec) -> dict[str, Any]:
    """Return the parts of the spec that determine the candidate, given its rows.

    Where rows come from and what the gate holds them against does not: a stricter contract makes no
    other model.
    """
    return {
        "data": spec.data.model_dump(mode="json", exclude={"source", "window", "label_delay", "contract"}),
        "training": spec.training.model_dump(mode="json"),
        "task": spec.task,
        # What is watched by the hour is compared with hours, all else with days.
        **({"watched": "hour"} if spec.monitoring.window == "hour" else {}),
    }


class _Candidate:
    """A fitted estimator on its way into a package."""

    def __init__(
        self,
        spec: ModelSpec,
        folder: Path,
        raw: "pd.DataFrame",
        features: "pd.DataFrame",
        older: "pd.Series[bool]",
        lineage: dict[str, str],
    ) -> None:
        target = raw[spec.data.target]
        require_target(target[older].to_numpy(), spec.task, spec.data.target, "rows to train on")
        self.older = older
        self._spec, self._folder, self._raw, self._lineage = spec, folder, raw, lineage
        self._holdout, self._types = features[~older], types_of(features)
        self._estimator = fit(spec.training, spec.task, features[older], target[older], folder)
        require_answer_for(self._holdout, self._estimator, spec.training, spec.task)

    def write(self, folder: Path, platform: Platform) -> PackagedModel:
        spec, view = self._spec, FeatureView.from_spec(self._spec.data)
        form, runtime = onnx_form.agreed_form(self._estimator, spec.task, self._holdout)
        classes = (
            ()
            if spec.task == "regression"
            else tuple(c.item() if hasattr(c, "item") else c for c in self._estimator.classes_)
        )
        manifest = Manifest(
            model=spec.name,
            task=spec.task,
            inputs=spec.data.features,
            feature_names=tuple(map(str, self._holdout.columns)),
            feature_types=self._types,
            feature_function=view.function,
            classes=classes,
            runtime=runtime,
            time_column=spec.data.time_column,
            target=spec.data.target,
            lineage=self._lineage,
            entity=spec.data.entity,
            envelope=envelope_of(self._raw[self.older], spec.data.features),
        )
        unseen = self._raw[~self.older]
        step = -(-len(unseen) // _REFERENCE_ROWS)
        columns = [*(c.name for c in spec.data.features), spec.data.target]
        reference = unseen.iloc[::step][columns].reset_index(drop=True)
        return write_package(
            folder,
            self._estimator,
            view,
            manifest,
            form,
            reference,
            platform.signer,
            environment=Environment.present(),
            code=code_behind(spec.training, self._folder),
            further=self._reference,
        )

    def _reference(self, draft: PackagedModel) -> dict[str, bytes]:
        data, window = self._spec.data, self._spec.monitoring.window
        times, unseen = self._raw[data.time_column], ~self.older
        reference = reference_of(self._raw, times, unseen, draft.predict, draft.manifest, window)
        standard = standard_of(
            self._raw[unseen],
            times[unseen],
            draft.predict,
            draft.manifest,
            self._spec.evaluation.primary_metric,
            group_columns(self._spec),
            window,
        )
        return {REFERENCE: reference.to_bytes(), STANDARD: standard.to_bytes()}
