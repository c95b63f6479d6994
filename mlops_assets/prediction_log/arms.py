"""What the arms of a rollout answered, and what came of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.prediction_log.input_columns import OUTPUT, field_of
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.joining import of_each
from mlops_assets.prediction_log.reading import Reading
from mlops_assets.prediction_log.records import (
    CHALLENGER,
    CHAMPION,
    LABEL,
    MODEL_FAILED,
    SHADOW,
)
from mlops_assets.prediction_log.tables import FAILURES, PREDICTIONS
from mlops_assets.prediction_log.typed_columns import plain

if TYPE_CHECKING:
    import pandas as pd

# Most of what is logged of an answer is its inputs, of which a look needs nothing or little.
_COLUMNS = ("prediction_id", "version", "arm", "traffic", "entity", "served_at", "latency_us")
_ARMS = (CHAMPION, CHALLENGER, SHADOW)
_AFTER_ALL_IDS = "~"


def rollout_answers(
    reading: Reading,
    challenger: str,
    percents: Mapping[int, int],
    since: datetime,
    known_by: datetime,
    *,
    kpi: str | None = None,
    columns: Sequence[str] = (),
) -> "pd.DataFrame":
    """Return what both arms of a rollout answered or failed on.

    Its columns are those that :func:`mlops_assets.rollout.outcomes.guards` takes.

    Args:
        reading: The log, of the model.
        challenger: The version that is tried.
        percents: The challenger's share by the serial of the traffic record it had it by.
        since: When the rollout began.
        known_by: What was observed later is not seen.
        kpi: Kind of the feedback that is the business figure.
        columns: Inputs that are wanted too.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    ours = pc.field("traffic").isin(list(percents)) & pc.field("arm").isin(_ARMS) & ~pc.field("probe")
    first = f"{microseconds(since):014x}"
    pieces = [PREDICTIONS.schema().empty_table().select(_COLUMNS)]
    outputs: list[Any] = []
    asked: dict[str, list[Any]] = {column: [] for column in columns}
    for _, piece in reading.predictions(
        ours, ("traffic", "arm", "probe"), (*_COLUMNS, OUTPUT), inputs=columns, ids=(first, _AFTER_ALL_IDS)
    ):
        pieces.append(piece.select(_COLUMNS))
        outputs += plain(piece[OUTPUT])
        for column, values in asked.items():
            values += plain(piece[field_of(column)])
    answered = pa.concat_tables(pieces)
    identities = answered["prediction_id"]
    frame = pd.DataFrame(
        {
            "prediction_id": identities.to_pandas(),
            "request": pc.replace_substring_regex(identities, "-.*", "").to_pandas(),
            "version": answered["version"].to_pandas(),
            "arm": answered["arm"].to_pandas(),
            "traffic": answered["traffic"].to_pandas(),
            "entity": answered["entity"].to_pandas(),
            "served_at": answered["served_at"].to_pandas(),
            "latency_ms": answered["latency_us"].to_pandas() / 1000,
            "output": outputs,
            "failed": False,
        }
    )
    for name, kind in (("label", LABEL), ("kpi", kpi)):
        wanted = identities if kind else identities.slice(0, 0)
        last = reading.known(wanted, kind or "", microseconds(since), known_by, shadow=False)
        values, observed = of_each(identities, last)
        frame[name] = pd.Series(values, dtype=object)
        frame[f"{name}_at"] = observed.to_pandas()
    for column, values in asked.items():
        frame[column] = values
    failures = _failures(reading, percents, since)
    frame = pd.concat([part for part in (frame, failures) if len(part)] or [frame], ignore_index=True)
    frame["labelled_at"] = frame.pop("label_at")
    frame["percent"] = frame["traffic"].map(percents).astype(int)
    frame["shadow"] = frame["arm"] == SHADOW
    frame["challenger"] = frame["version"] == challenger
    frame["unit"] = frame["entity"].where(_of_one_entity(frame), frame["request"])
    return frame


def _of_one_entity(frame: "pd.DataFrame") -> "pd.Series[bool]":
    """Return whether each row's request is about one entity, and the row names it."""
    named = frame["entity"].notna()
    several = frame["request"].duplicated(keep=False)
    entities = frame[several].groupby("request")["entity"].transform("nunique")
    return named & (entities.reindex(frame.index, fill_value=1) == 1)


def _failures(reading: Reading, percents: Mapping[int, int], since: datetime) -> "pd.DataFrame":
    import pandas as pd
    import pyarrow.compute as pc

    ours = pc.field("traffic").isin(list(percents)) & pc.field("status").isin(list(MODEL_FAILED))
    failed = reading.rows(FAILURES, since=microseconds(since), only=ours)
    return pd.DataFrame(
        {
            "prediction_id": failed["base"].to_pylist(),
            "request": failed["base"].to_pylist(),
            "version": failed["version"].to_pylist(),
            "arm": failed["arm"].to_pylist(),
            "traffic": failed["traffic"].to_pylist(),
            "entity": failed["entity"].to_pylist(),
            "served_at": failed["occurred_at"].to_pandas(),
            "failed": True,
        }
    )
