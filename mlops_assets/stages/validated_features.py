"""Stage 2: features, computed by the very code that will travel with the model."""

import dagster as dg

from mlops_assets.data.features import FeatureView
from mlops_assets.data.snapshots import read_snapshot, write_snapshot
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.records import RawData, ValidatedFeatures
from mlops_assets.stages.stage import (
    Result,
    markdown_table,
    readable_errors,
    stage_asset,
    stage_key,
)
from mlops_assets.training.split import require_target


def validated_features(spec: ModelSpec) -> dg.AssetsDefinition:
    """Return the asset that computes a model's features."""

    @stage_asset(
        spec,
        "validated_features",
        spec.task,
        spec.data.target,
        spec.data.features,
        spec.data.feature_function,
        kinds={"pandas", "parquet"},
        ins={"raw": dg.AssetIn(stage_key(spec, "raw_data"))},
        description="Features by the function that travels with the model, so serving computes the same.",
    )
    def stage(context: dg.AssetExecutionContext, raw: RawData, platform: Platform) -> Result:
        with readable_errors():
            rows = read_snapshot(platform.home.snapshot(spec.name, raw.digest), raw.digest)
            target = rows[spec.data.target].to_numpy()
            require_target(target, spec.task, spec.data.target, "training window")
            view = FeatureView.from_spec(spec.data)
            context.log.info("Computing features of %s rows", f"{len(rows):,}")
            features = view.compute(rows)
            digest, path = write_snapshot(features, lambda d: platform.home.features(spec.name, d))
        record = ValidatedFeatures(
            raw=raw,
            digest=digest,
            code=view.digest,
            rows=len(features),
            names=tuple(map(str, features.columns)),
        )
        numbers = features.select_dtypes("number").describe().T.reset_index(names="feature")
        return dg.MaterializeResult(
            value=record,
            data_version=dg.DataVersion(digest),
            metadata={
                "dagster/row_count": len(features),
                "features": len(record.names),
                "code_digest": view.digest,
                "digest": digest,
                "path": dg.MetadataValue.path(str(path)),
                "distributions": markdown_table(numbers.round(3).to_dict("records")),
            },
        )

    return stage
