"""How records become rows of the log's tables."""

import operator
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from mlops_assets.prediction_log.input_columns import as_columns, together
from mlops_assets.prediction_log.instants import DAY, FIRST, LAST, day_of
from mlops_assets.prediction_log.prediction_ids import row_ids
from mlops_assets.prediction_log.records import (
    Answers,
    EntityFeedback,
    Failure,
    Feedback,
    Record,
    Schema,
)
from mlops_assets.prediction_log.segments import Loss, Segment
from mlops_assets.prediction_log.tables import (
    ENTITY_FEEDBACK,
    FAILURES,
    FEEDBACK,
    PREDICTIONS,
    TABLES,
    Part,
    TableForm,
    to_json,
)

if TYPE_CHECKING:
    import pyarrow as pa

Row = tuple[Any, ...]

_OF_REQUEST = ("arm", "caller", "served_at", "latency_us", "probe", "traffic")
_of_its_request = operator.attrgetter(*_OF_REQUEST)
# So many rows of a kind are held as Python objects before they become Arrow's.
_ROWS_AT_ONCE = 5_000


class Rows:
    """Rows of records, collected by the part they belong to.

    Args:
        model: Keep only rows of this model; of all if None.

    Attributes:
        losses: What could not be read.
    """

    def __init__(self, model: str | None = None) -> None:
        self._model = model
        self._answers: dict[tuple[str, str, tuple[str, ...]], _Answered] = {}
        self._others: dict[Part, list[Row]] = {}
        self._tables: dict[Part, list[pa.Table]] = {}
        self.losses: list[Loss] = []

    def add(self, segment: Segment) -> None:
        """Read a segment.

        Raises:
            FileNotFoundError: It is gone.
        """
        schemas: dict[int, _Answered] = {}
        for found in segment.records():
            if isinstance(found, Loss):
                self.losses.append(found)
                continue
            record, frame = found
            try:
                if isinstance(record, Answers):
                    self._add_answers(record, schemas)
                elif isinstance(record, Schema):
                    alike = record.model, record.version, record.columns
                    schemas[record.number] = self._answers.setdefault(alike, _Answered(*alike))
                else:
                    self._add_other(record)
            except (ValueError, LookupError, OverflowError, TypeError) as error:
                self.losses.append(segment.loss(frame, f"not a whole record: {error!r}"))

    def tables(self) -> "dict[Part, pa.Table]":
        """Return the rows of each part, in the order in which they were written."""
        import pyarrow as pa

        for answered in self._answers.values():
            self._convert_answers(answered)
        for part in [*self._others]:
            self._convert_others(part)
        return {
            part: together(pieces) if part.table == PREDICTIONS.name else pa.concat_tables(pieces)
            for part, pieces in sorted(self._tables.items())
        }

    def _add_answers(self, record: Answers, schemas: "dict[int, _Answered]") -> None:
        answered = schemas.get(record.schema)
        if answered is None:
            raise LookupError(f"answers {record.base} name schema {record.schema}, which is lost")
        if self._model in (None, answered.model):
            answered.add(record)
            if answered.rows >= _ROWS_AT_ONCE:
                self._convert_answers(answered)

    def _add_other(self, record: Record) -> None:
        if not isinstance(record, Feedback | EntityFeedback | Failure):
            return
        if self._model in (None, record.model):
            for part, row in [*_placed(record)]:
                self._others.setdefault(part, []).append(row)
                if len(self._others[part]) >= _ROWS_AT_ONCE:
                    self._convert_others(part)

    def _convert_answers(self, answered: "_Answered") -> None:
        for day, table in _by_day(answered.taken()) if answered.rows else ():
            self._tables.setdefault(Part(PREDICTIONS.name, answered.model, day), []).append(table)

    def _convert_others(self, part: Part) -> None:
        import pyarrow as pa

        schema, rows = TABLES[part.table].schema(), self._others.pop(part)
        arrays = [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), schema, strict=True)]
        self._tables.setdefault(part, []).append(pa.table(arrays, schema=schema))


class _Answered:
    """Answers of one version to requests with the same columns, on their way into a table.

    Args:
        model: Model name.
        version: Version that answered.
        columns: Input columns.
    """

    def __init__(self, model: str, version: str, columns: tuple[str, ...]) -> None:
        self.model, self._version, self._columns = model, version, columns
        self._begin()

    def _begin(self) -> None:
        # Values are taken out of their records at once: many small lists that live are slow to collect.
        self._requests: list[tuple[Any, ...]] = []
        self._ids: list[str] = []
        self._times: list[int] = []
        self._entities: list[str | None] = []
        self._outputs: list[Any] = []
        self._inputs: list[list[Any]] = [[] for _ in self._columns]

    @property
    def rows(self) -> int:
        """How many rows they have."""
        return len(self._outputs)

    def add(self, record: Answers) -> None:
        """Take one request's answers.

        Raises:
            ValueError: They are not as long as each other.
            OverflowError: A time is none.
        """
        count = len(record.outputs)
        if not count:
            return
        times = record.event_times or [record.served_at] * count
        entities = record.entities or [None] * count
        lengths = {len(times), len(entities), *map(len, record.inputs)}
        if lengths != {count} or len(record.inputs) != len(self._columns):
            raise ValueError(f"answers {record.base} to {count} rows have values of {sorted(lengths)}")
        if not FIRST <= min(times) <= max(times) <= LAST:
            raise OverflowError(f"answers {record.base} are of no time: {times}")
        self._requests.append((count, *_of_its_request(record)))
        self._ids += row_ids(record.base, count)
        self._times += times
        self._entities += entities
        self._outputs += record.outputs
        for column, values in zip(self._inputs, record.inputs, strict=True):
            column += values

    def taken(self) -> "pa.Table":
        """Return them all as a table, and hold none any more."""
        import numpy as np
        import pyarrow as pa

        counts, *of_requests = zip(*self._requests, strict=True)
        of_request = np.repeat(np.arange(len(counts)), counts)
        types = {field.name: field.type for field in PREDICTIONS.schema()}
        own = {
            name: pa.array(values, types[name]).take(of_request)
            for name, values in zip(_OF_REQUEST, of_requests, strict=True)
        }
        of_rows = {"prediction_id": self._ids, "event_time": self._times, "entity": self._entities}
        own |= {name: pa.array(values, types[name]) for name, values in of_rows.items()}
        own["version"] = pa.array([self._version] * len(of_request))
        table = as_columns(own, dict(zip(self._columns, self._inputs, strict=True)), self._outputs)
        self._begin()
        return table


def _by_day(table: "pa.Table") -> "Iterator[tuple[str, pa.Table]]":
    """Yield the rows of each day."""
    import numpy as np
    import pyarrow as pa

    days = table[PREDICTIONS.time].cast(pa.int64()).to_numpy() // DAY
    for day in np.unique(days):
        of_day = days == day
        yield day_of(int(day) * DAY), table if of_day.all() else table.filter(of_day)


def _placed(record: Feedback | EntityFeedback | Failure) -> Iterator[tuple[Part, Row]]:
    """Yield a record's rows, each with the part it belongs to."""

    def placed(form: TableForm, at: int, row: Row) -> tuple[Part, Row]:
        return Part(form.name, record.model, day_of(at)), row

    if isinstance(record, Failure):
        row: Row = (
            record.occurred_at, record.status, record.message, record.caller, record.base, record.version,
            record.arm, record.traffic, record.entity,
        )  # fmt: skip
        yield placed(FAILURES, record.occurred_at, row)
    elif isinstance(record, Feedback):
        for received, (identity, value, observed) in enumerate(record.items, record.received_at):
            row = (identity, record.kind, to_json(value), observed, received)
            yield placed(FEEDBACK, observed, row)
    else:
        for received, (entity, at, value, observed) in enumerate(record.items, record.received_at):
            row = (entity, at, record.kind, to_json(value), observed, received)
            yield placed(ENTITY_FEEDBACK, at, row)
