"""The log's tables, and how records become rows of them."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.prediction_log.instants import day_of
from mlops_assets.prediction_log.prediction_ids import row_id
from mlops_assets.prediction_log.records import (
    Answers,
    EntityFeedback,
    Failure,
    Feedback,
    Record,
    Schema,
)
from mlops_assets.prediction_log.segments import Loss, Segment

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class TableForm:
    """One table.

    Attributes:
        name: Table name.
        columns: Arrow type of each column, by name; what may be anything is JSON.
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

        types = {"time": pa.timestamp("us"), "text": pa.string(), "int": pa.int64(), "bool": pa.bool_()}
        return pa.schema([(name, types[kind]) for name, kind in self.columns.items()])


PREDICTIONS = TableForm(
    "predictions",
    {
        "prediction_id": "text", "version": "text", "arm": "text", "caller": "text", "entity": "text",
        "event_time": "time", "served_at": "time", "latency_us": "int", "probe": "bool",
        "inputs": "text", "output": "text", "traffic": "int",
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


Row = tuple[Any, ...]
_Placed = tuple[TableForm, str, int, Row]

# So many rows are held as Python objects before they become Arrow's.
_ROWS_AT_ONCE = 20_000


class Rows:
    """Rows of records, collected by the part they belong to.

    Args:
        model: Keep only rows of this model; of all if None.

    Attributes:
        losses: What could not be read.
    """

    def __init__(self, model: str | None = None) -> None:
        self._model = model
        self._rows: dict[Part, list[Row]] = {}
        self._tables: dict[Part, list[pa.Table]] = {}
        self._pending = 0
        self.losses: list[Loss] = []

    def add(self, segment: Segment) -> None:
        """Read a segment.

        Raises:
            FileNotFoundError: It is gone.
        """
        schemas: dict[int, Schema] = {}
        for found in segment.records():
            if isinstance(found, Loss):
                self.losses.append(found)
                continue
            record, frame = found
            if isinstance(record, Schema):
                schemas[record.number] = record
                continue
            try:
                placed = list(_placed(record, schemas, self._model))
                parts = [(Part(form.name, model, day_of(at)), row) for form, model, at, row in placed]
            except (ValueError, LookupError, OverflowError, TypeError) as error:
                self.losses.append(segment.loss(frame, f"not a whole record: {error!r}"))
                continue
            for part, row in parts:
                self._rows.setdefault(part, []).append(row)
            self._pending += len(parts)
            if self._pending >= _ROWS_AT_ONCE:
                self._convert()

    def tables(self) -> "dict[Part, pa.Table]":
        """Return the rows of each part, in the order in which they were written."""
        import pyarrow as pa

        self._convert()
        return {part: pa.concat_tables(pieces) for part, pieces in sorted(self._tables.items())}

    def _convert(self) -> None:
        import pyarrow as pa

        for part, rows in self._rows.items():
            schema = TABLES[part.table].schema()
            arrays = [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), schema, strict=True)]
            self._tables.setdefault(part, []).append(pa.table(arrays, schema=schema))
        self._rows, self._pending = {}, 0


def _placed(record: Record, schemas: dict[int, Schema], only: str | None) -> Iterator[_Placed]:
    """Yield a record's rows: of which table, model and instant."""
    if isinstance(record, Answers):
        schema = schemas.get(record.schema)
        if schema is None:
            raise LookupError(f"answers {record.base} name schema {record.schema}, which is lost")
        if only in (None, schema.model):
            yield from _answers(record, schema)
    elif isinstance(record, Feedback | EntityFeedback | Failure) and only in (None, record.model):
        yield from _others(record)


def _answers(record: Answers, schema: Schema) -> Iterator[_Placed]:
    count = len(record.outputs)
    times = record.event_times or [record.served_at] * count
    entities: Iterable[str | None] = record.entities or [None] * count
    inputs = zip(*record.inputs, strict=True) if record.inputs else iter([()] * count)
    rows = zip(record.outputs, times, entities, inputs, strict=True)
    for row, (output, at, entity, values) in enumerate(rows):
        yield (
            PREDICTIONS,
            schema.model,
            at,
            (
                row_id(record.base, row), schema.version, record.arm, record.caller, entity, at,
                record.served_at, record.latency_us, record.probe,
                to_json(dict(zip(schema.columns, values, strict=True))), to_json(output), record.traffic,
            ),
        )  # fmt: skip


def _others(record: Feedback | EntityFeedback | Failure) -> Iterator[_Placed]:
    if isinstance(record, Failure):
        row: Row = (
            record.occurred_at, record.status, record.message, record.caller, record.base, record.version,
            record.arm, record.traffic, record.entity,
        )  # fmt: skip
        yield FAILURES, record.model, record.occurred_at, row
    elif isinstance(record, Feedback):
        for received, (identity, value, observed) in enumerate(record.items, record.received_at):
            row = (identity, record.kind, to_json(value), observed, received)
            yield FEEDBACK, record.model, observed, row
    else:
        for received, (entity, at, value, observed) in enumerate(record.items, record.received_at):
            row = (entity, at, record.kind, to_json(value), observed, received)
            yield ENTITY_FEEDBACK, record.model, at, row


_json = msgspec.json.Encoder()


def to_json(value: Any) -> str:
    """Return a value as JSON. In it NaN is null, as missing; an infinity by itself is text, to be seen."""
    if value in (math.inf, -math.inf):
        value = str(value)
    return _json.encode(value).decode()


from_json = msgspec.json.Decoder().decode
