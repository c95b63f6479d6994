"""Feedback and the predictions that it is about."""

from typing import TYPE_CHECKING, Any

from mlops_assets.prediction_log.typed_columns import from_texts

if TYPE_CHECKING:
    import pyarrow as pa

SAID = ("prediction_id", "value", "observed_at", "received_at")


def last_said(said: "pa.Table") -> "pa.Table":
    """Return what counts of all that was said of predictions: one row of each that anything was said of.

    Of several values for one prediction, the one observed last counts; of those, the one received last. So
    it does not matter in which order they come, nor how often, unless they were observed at one time.

    Args:
        said: At least the columns :data:`SAID`.

    Returns:
        Columns ``prediction_id``, ``value`` (JSON) and ``observed_at``.
    """
    # Two gateways may receive at one time: then the values themselves decide, for all readers alike.
    order = ("observed_at", "received_at", "value")
    in_order = said.sort_by([(column, "ascending") for column in order])
    kept = ("value", "observed_at")
    # A group has its rows in their order only if threads do not share them.
    last = in_order.group_by("prediction_id", use_threads=False).aggregate([(name, "last") for name in kept])
    return last.select(["prediction_id", *(f"{name}_last" for name in kept)]).rename_columns(
        ["prediction_id", *kept]
    )


def of_each(ids: "pa.ChunkedArray", last: "pa.Table") -> "tuple[list[Any], pa.ChunkedArray]":
    """Return the value that counts of each prediction, and when it was observed; null where none is known.

    Args:
        ids: Prediction ids.
        last: See :func:`last_said`.
    """
    import pyarrow.compute as pc

    places = pc.index_in(ids, value_set=last["prediction_id"].combine_chunks())
    return from_texts(last["value"].take(places)), last["observed_at"].take(places)


def identified(about: "pa.Table", candidates: "pa.Table") -> "pa.Table":
    """Return feedback on entities as feedback on predictions.

    Args:
        about: Rows of ``entity_feedback``. Each belongs to the newest prediction for its entity whose event
            was at or before its time; of those, to the one with the greatest id.
        candidates: All predictions that these may belong to: their ids, entities and times of event.
    """
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
