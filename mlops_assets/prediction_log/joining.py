"""Feedback and the predictions that it is about."""

from typing import TYPE_CHECKING, Any

from mlops_assets.prediction_log.tables import from_json

if TYPE_CHECKING:
    import pyarrow as pa


def joined(
    wanted: "pa.ChunkedArray", said: "pa.Table", about: "pa.Table", candidates: "pa.Table | None"
) -> dict[str, tuple[Any, int]]:
    """Return what is known of predictions: value, and when it was observed, by prediction id.

    Of several values for one prediction, the one observed last counts; of those, the one received last. So
    it does not matter in which order they come, nor how often, unless they were observed at one time.

    Args:
        wanted: Prediction ids.
        said: Rows of the table ``feedback``.
        about: Rows of ``entity_feedback``. Each belongs to the newest prediction for its entity whose event
            was at or before its time; of those, to the one with the greatest id.
        candidates: All rows of ``predictions`` that these may belong to; None if there are none of these.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    columns = ["prediction_id", "value", "observed_at", "received_at"]
    rows = said.select(columns)
    if candidates is not None:
        rows = pa.concat_tables([rows, _identified(about, candidates).select(columns)])
    rows = rows.filter(pc.field("prediction_id").isin(wanted.combine_chunks()))
    # Two gateways may receive at one time: then the values themselves decide, for all readers alike.
    order = ("observed_at", "received_at", "value")
    rows = rows.sort_by([(column, "ascending") for column in order])
    observed = rows["observed_at"].cast(pa.int64()).to_pylist()
    last = dict(
        zip(
            rows["prediction_id"].to_pylist(),
            zip(rows["value"].to_pylist(), observed, strict=True),
            strict=True,
        )
    )
    return {identity: (from_json(value), at) for identity, (value, at) in last.items()}


def _identified(about: "pa.Table", candidates: "pa.Table") -> "pa.Table":
    """Return feedback on entities with the id of the prediction that it belongs to."""
    import pandas as pd
    import pyarrow as pa

    served = candidates.select(["entity", "event_time", "prediction_id"]).to_pandas()
    found = pd.merge_asof(
        about.to_pandas().sort_values("event_time", kind="stable"),
        served.sort_values(["event_time", "prediction_id"]),
        on="event_time",
        by="entity",
    )
    found = found[found["prediction_id"].notna()]
    schema = pa.schema([*about.schema, pa.field("prediction_id", pa.string())])
    return pa.Table.from_pandas(found, schema=schema, preserve_index=False)
