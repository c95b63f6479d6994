"""The log's tables."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TableForm:
    """One table.

    Attributes:
        name: Table name.
        columns: Arrow type of each column, by name; what may be anything is JSON. Predictions have further
            ones, see :mod:`~mlops_assets.prediction_log.input_columns`.
        time: Column that rows are sorted by and parted into days by.
        written: Column that tells when a row was written.
        identity: Column of prediction ids, if there is one.
    """

    name: str
    columns: dict[str, str]
    time: str
    written: str
    identity: str | None = None

    def schema(self) -> "pa.Schema":
        """Return the Arrow schema."""
        import pyarrow as pa

        types = {
            "time": pa.timestamp("us"), "text": pa.string(), "int": pa.int64(), "bool": pa.bool_(),
            "category": pa.dictionary(pa.int32(), pa.string()),
        }  # fmt: skip
        return pa.schema([(name, types[kind]) for name, kind in self.columns.items()])


PREDICTIONS = TableForm(
    "predictions",
    {
        "prediction_id": "text", "version": "text", "arm": "text", "caller": "text", "entity": "text",
        "event_time": "time", "served_at": "time", "latency_us": "int", "probe": "bool",
        "columns": "category", "traffic": "int",
    },
    time="event_time",
    written="served_at",
    identity="prediction_id",
)  # fmt: skip
FEEDBACK = TableForm(
    "feedback",
    {"prediction_id": "text", "kind": "text", "value": "text", "observed_at": "time", "received_at": "int"},
    time="observed_at",
    written="received_at",
    identity="prediction_id",
)
ENTITY_FEEDBACK = TableForm(
    "entity_feedback",
    {
        "entity": "text", "event_time": "time", "kind": "text", "value": "text", "observed_at": "time",
        "received_at": "int",
    },
    time="event_time",
    written="received_at",
)  # fmt: skip
FAILURES = TableForm(
    "failures",
    {
        "occurred_at": "time", "status": "int", "message": "text", "caller": "text", "base": "text",
        "version": "text", "arm": "text", "traffic": "int", "entity": "text",
    },
    time="occurred_at",
    written="occurred_at",
)  # fmt: skip
TABLES = {form.name: form for form in (PREDICTIONS, FEEDBACK, ENTITY_FEEDBACK, FAILURES)}


@dataclass(frozen=True, order=True)
class Part:
    """What one Parquet file holds: a day of one model in one table."""

    table: str
    model: str
    day: str


_json = msgspec.json.Encoder()


def to_json(value: Any) -> str:
    """Return a value as JSON. In it NaN is null, as missing; an infinity by itself is text, to be seen."""
    if value in (math.inf, -math.inf):
        value = str(value)
    return _json.encode(value).decode()


from_json = msgspec.json.Decoder().decode
