"""What was asked and answered, row by row, as columns: one for each column of the inputs.

Such a table has the columns of :data:`~mlops_assets.prediction_log.tables.PREDICTIONS`, of which ``columns``
names those that the row carried, in their order and as JSON; ``output``; and ``input.NAME`` for each of the
inputs, null where the row has no value or did not carry the column at all.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.prediction_log.tables import PREDICTIONS, from_json, to_json
from mlops_assets.prediction_log.typed_columns import merged, plain, typed, typed_outputs

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

OUTPUT = "output"
CARRIED = "columns"
_INPUT = "input."


def field_of(name: str) -> str:
    """Return what the column of an input is called, which no column of the platform's own is."""
    return _INPUT + name


def is_input(field: str) -> bool:
    """Return whether a column is one of the inputs."""
    return field.startswith(_INPUT)


def as_columns(
    rest: "Mapping[str, pa.Array]", inputs: Mapping[str, Sequence[Any]], outputs: Sequence[Any]
) -> "pa.Table":
    """Return rows that carried the same columns as a table.

    Args:
        rest: The platform's own columns, all but the one that names those of the inputs.
        inputs: Values by column.
        outputs: The prediction of each row.
    """
    import pyarrow as pa

    every = pa.repeat(pa.scalar(0, pa.int32()), len(outputs))
    own = {**rest, CARRIED: pa.DictionaryArray.from_arrays(every, [to_json([*inputs])])}
    return pa.table(
        {
            **{name: own[name] for name in PREDICTIONS.columns},
            OUTPUT: typed_outputs(outputs),
            **{field_of(name): typed(values) for name, values in inputs.items()},
        }
    )


def carried(table: "pa.Table") -> tuple[str, ...]:
    """Return which inputs some row carried."""
    return tuple(dict.fromkeys(name for _, names in _alike(table) for name in names))


def rows_of(table: "pa.Table") -> list[dict[str, Any]]:
    """Return each row's inputs as they were sent: which columns, in which order, and their values."""
    rows: list[dict[str, Any]] = [{} for _ in range(len(table))]
    for places, names in _alike(table):
        part = table if len(places) == len(table) else table.take(places)
        values = [plain(part[field_of(name)]) for name in names]
        for place, row in zip(places.tolist(), zip(*values, strict=True), strict=bool(names)):
            rows[place] = dict(zip(names, row, strict=True))
    return rows


def together(tables: "Sequence[pa.Table]") -> "pa.Table":
    """Return tables as one, of whose typed columns each is of a type that holds all of its values."""
    import pyarrow as pa

    if len(tables) == 1:
        return tables[0]
    own = pa.concat_tables([table.select([*PREDICTIONS.columns]) for table in tables])
    by_name = [dict(zip(table.column_names, table.columns, strict=True)) for table in tables]
    lacking = [pa.chunked_array([pa.nulls(len(table))]) for table in tables]
    typed_ones = {
        name: merged([columns.get(name, nulls) for columns, nulls in zip(by_name, lacking, strict=True)])
        for name in dict.fromkeys(name for columns in by_name for name in columns)
        if name not in PREDICTIONS.columns
    }
    return pa.table({**dict(zip(own.column_names, own.columns, strict=True)), **typed_ones})


def _alike(table: "pa.Table") -> "Iterator[tuple[np.ndarray[Any, Any], list[str]]]":
    """Yield which rows carried the same columns, and their names."""
    import numpy as np

    forms = table[CARRIED].combine_chunks()
    codes = forms.indices.to_numpy()
    for code in np.unique(codes):
        yield np.flatnonzero(codes == code), from_json(forms.dictionary[code].as_py())
