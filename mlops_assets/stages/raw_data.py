"""Stage 1: an immutable snapshot of the source, for a window that ends at a stated time."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from mlops_assets.data.snapshots import write_snapshot
from mlops_assets.data.sources import read_window, training_window
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages import plots
from mlops_assets.stages.records import RawData
from mlops_assets.stages.stage import (
    Result,
    asked_time,
    asked_window,
    markdown_table,
    readable_errors,
    stage_asset,
)


class RawDataConfig(dg.Config):
    """What a run may say about the data it trains on."""

    as_of: str = Field("", description="Train as if it were this time (ISO 8601, UTC); now if empty.")
    window: str = Field("", description="How much history to read, such as 90d; the spec's if empty.")


def raw_data(spec: ModelSpec, folder: Path) -> dg.AssetsDefinition:
    """Return the asset that reads a model's source."""
    data = spec.data

    @stage_asset(
        spec,
        "raw_data",
        # All but what the gate holds the rows against, and what the next stage makes of them.
        data.model_dump(mode="json", exclude={"contract", "feature_function"}),
        kinds={data.source.type, "parquet"},
        description=f"Immutable snapshot of what {spec.name} may learn from. {spec.purpose}",
    )
    def stage(context: dg.AssetExecutionContext, config: RawDataConfig, platform: Platform) -> Result:
        with readable_errors():
            as_of = asked_time(config.as_of)
            reading = data.model_copy(update=asked_window(config.window))
            window = training_window(reading, as_of)
            context.log.info("Reading %s", window)
            rows = read_window(reading, window, folder)
            digest, path = write_snapshot(rows, lambda d: platform.home.snapshot(spec.name, d))
        record = RawData(as_of=as_of, start=window.start, end=window.end, digest=digest, rows=len(rows))
        return dg.MaterializeResult(
            value=record,
            data_version=dg.DataVersion(digest),
            metadata={
                "dagster/row_count": len(rows),
                "as_of": dg.MetadataValue.text(str(as_of)),
                "window": str(window),
                "newest_row": str(rows[data.time_column].max()),
                "digest": digest,
                "path": dg.MetadataValue.path(str(path)),
                "first_rows": markdown_table(rows.head(5).astype(str).to_dict("records")),
                "rows_by_day": plots.rows_by_day(rows[data.time_column]),
            },
        )

    return stage
