"""What callers were answered in a window, column by column: as fast as Parquet, in constant memory."""

import bisect
import functools
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.prediction_log.chunks import Chunk, matching
from mlops_assets.prediction_log.input_columns import CARRIED, OUTPUT, carried, field_of
from mlops_assets.prediction_log.joining import last_said
from mlops_assets.prediction_log.reading import Reading, seen, within
from mlops_assets.prediction_log.records import LABEL
from mlops_assets.prediction_log.tables import FEEDBACK, PREDICTIONS
from mlops_assets.prediction_log.typed_columns import floats, from_texts, readable, typed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


# A call costs as much as reading some ten thousand values of a column.
_ROWS_AT_ONCE = 131_072
_VALUES_AT_ONCE = 2 * _ROWS_AT_ONCE


@dataclass(frozen=True)
class _Chosen:
    """A chunk, and for each of its rows the number of the version that answered, from 1; 0 if not chosen."""

    chunk: Chunk
    versions: "np.ndarray[Any, Any]"


class ServedWindow:
    """The predictions of a window that callers saw, so without probes and without the shadow's.

    They come in chunks, the same for every column: the row groups of each file, in the order of events, and
    one for each day of what is in no file yet. Kept in memory is only which rows of a chunk are among them: a
    byte for each, unless there are hundreds of versions.

    A chunk has the type that it is stored in, and those of one column may differ: ``bool``, ``int64``,
    ``double``, ``null`` if it has no value in them, ``dictionary<string>`` for text, and ``arrow.json`` for
    values of several kinds, where text is told from a number that it spells. Outputs of several numbers are
    ``list<double>``.

    Args:
        reading: The log, of the model.
        start: Time of the first event, microseconds since 1970.
        end: Time of the last event, exclusive.

    Attributes:
        rows: How many rows there are.
        versions: How many of them each version answered.
        columns: The input columns that requests carried.
    """

    def __init__(self, reading: Reading, start: int, end: int) -> None:
        self._reading, self._start = reading, start
        self._chosen: list[_Chosen] = []
        self.versions: dict[str, int] = {}
        occurring: dict[str, None] = {}
        only = functools.reduce(operator.and_, within(PREDICTIONS, start, end), seen(None))
        about = (PREDICTIONS.time, "probe", "arm", "version", CARRIED)
        for chunk in reading.chunks(since=start, before=end, at_once=_ROWS_AT_ONCE):
            places, found = matching(chunk, only, about)
            if len(places):
                self._chosen.append(_Chosen(chunk, self._marked(chunk.rows, places, found["version"])))
                occurring |= dict.fromkeys(carried(found))
        self.rows = sum(self.versions.values())
        self.columns = tuple(occurring)

    def values(self, column: str, version: str | None = None) -> "Iterator[pa.Array]":
        """Yield the values of an input, null where a row has none or did not carry it.

        Args:
            column: Its name.
            version: Only of rows that this version answered.
        """
        for batch in self.batches([column], version=version):
            yield _array(batch, field_of(column))

    def pieces(self, columns: Sequence[str]) -> "Iterator[tuple[str, pa.Array]]":
        """Yield the values of several inputs piece by piece, each with its column's name; see :meth:`values`.

        They are read one column after the other if there are many rows, and else several at once.
        """
        rows = max((each.chunk.rows for each in self._chosen), default=1)
        at_once = max(1, _VALUES_AT_ONCE // rows)
        for first in range(0, len(columns), at_once):
            group = columns[first : first + at_once]
            for batch in self.batches(group):
                for name in group:
                    yield name, _array(batch, field_of(name))

    def outputs(self, version: str | None = None) -> "Iterator[pa.Array]":
        """Yield the predictions; see :meth:`values`."""
        for batch in self.batches((), (OUTPUT,), version=version):
            yield _array(batch, OUTPUT)

    def base(self, names: Sequence[str], version: str | None = None) -> "Iterator[pa.Table]":
        """Yield columns that all predictions have, such as ``prediction_id`` and ``latency_us``.

        Args:
            names: Of :data:`~mlops_assets.prediction_log.tables.PREDICTIONS`, or ``output``.
            version: Only of rows that this version answered.
        """
        return self.batches((), names, version=version)

    def batches(
        self, columns: Sequence[str], base: Sequence[str] = (), version: str | None = None
    ) -> "Iterator[pa.Table]":
        """Yield several columns side by side.

        Args:
            columns: Inputs, which are called as :func:`.input_columns.field_of` says.
            base: Columns that all predictions have; see :meth:`base`.
            version: Only of rows that this version answered.
        """
        import pyarrow as pa

        names = [*base, *map(field_of, columns)]
        typed_ones = [name for name in names if name not in PREDICTIONS.columns]
        if version not in (None, *self.versions):
            return
        number = None if version is None else [*self.versions].index(version) + 1
        for chosen in self._chosen:
            wanted = chosen.versions > 0 if number is None else chosen.versions == number
            if not wanted.any():
                continue
            batch = chosen.chunk.read(names)
            if not wanted.all():
                batch = batch.filter(pa.array(wanted))
            for name in typed_ones:
                batch = batch.set_column(names.index(name), name, readable(_array(batch, name)))
            yield batch

    def labels(self, known_by: datetime, kind: str = LABEL) -> "pa.Table":
        """Return what was known by a time to be true, in the order in which chunks have the predictions.

        It is held in memory as a whole, unlike all else.

        Args:
            known_by: What was observed later is left out.
            kind: Kind of feedback.

        Returns:
            ``prediction_id``, ``value`` and ``observed_at`` of each prediction that something is known of. Of
            several values the one observed last counts, see :func:`.joining.last_said`. Values are ``double``
            if all are numbers, and else of the types of inputs.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        ids = ("prediction_id",)
        bounds = [pc.min_max(batch["prediction_id"]).as_py() for batch in self.base(ids)]
        last = FEEDBACK.schema().empty_table()
        if bounds:
            among = min(each["min"] for each in bounds), max(each["max"] for each in bounds)
            last = self._reading.said(among, kind, self._start, known_by, shadow=False)
        last = last_said(last).sort_by("prediction_id").combine_chunks()
        pieces = [last.slice(0, 0)]
        for batch, bound in zip(self.base(ids) if len(last) else (), bounds, strict=False):
            near = _between(last, bound["min"], bound["max"])
            places = pc.index_in(batch["prediction_id"], value_set=_array(near, "prediction_id"))
            pieces.append(near.take(places.drop_null()))
        found = pa.concat_tables(pieces)
        values = readable(floats(typed(from_texts(found["value"]))))
        return found.set_column(1, "value", values)

    def _marked(
        self, rows: int, places: "np.ndarray[Any, Any]", versions: "pa.ChunkedArray"
    ) -> "np.ndarray[Any, Any]":
        """Return the number of each row's version, and count the rows of each."""
        import numpy as np

        encoded = versions.combine_chunks().dictionary_encode()
        of_each = encoded.indices.to_numpy()
        names = encoded.dictionary.to_pylist()
        for name, count in zip(names, np.bincount(of_each), strict=True):
            self.versions[name] = self.versions.get(name, 0) + int(count)
        numbers = np.array([[*self.versions].index(name) + 1 for name in names])
        marked = np.zeros(rows, np.min_scalar_type(len(self.versions)))
        marked[places] = numbers[of_each]
        return marked


def _array(table: "pa.Table", name: str) -> "pa.Array":
    column = table[name]
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _between(last: "pa.Table", low: str, high: str) -> "pa.Table":
    """Return the rows of a table in the order of its prediction ids that are between two of these."""
    ids = _array(last, "prediction_id")
    first = bisect.bisect_left(ids, low, key=_plain)
    return last.slice(first, bisect.bisect_right(ids, high, key=_plain) - first)


def _plain(scalar: "pa.Scalar") -> Any:
    return scalar.as_py()
