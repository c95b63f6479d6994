"""Columns whose type is what their values are, read as fast as Parquet is and given back as they came.

A column holds truth values, whole numbers, floating-point numbers or text. Whole numbers among floating-point
ones become such where that is exact; anything else, and any mixture, is JSON text (Arrow's type
``arrow.json``, Parquet's logical type ``JSON``). A missing value and NaN are null.
"""

from collections.abc import Sequence
from itertools import chain
from math import inf
from typing import TYPE_CHECKING, Any

from mlops_assets.prediction_log.tables import from_json, to_json

if TYPE_CHECKING:
    import pyarrow as pa

_MISSING = type(None)


def typed(values: Sequence[Any]) -> "pa.Array":
    """Return values as an array of the narrowest type that holds all of them; all null has the type null."""
    import pyarrow as pa

    kinds = {*map(type, values)}
    if float in kinds and kinds - {float, _MISSING}:
        values = [None if value != value else value for value in values]  # NaN has no say
        kinds = {*map(type, values)}
    narrowest: tuple[tuple[set[type], pa.DataType], ...] = (
        (set(), pa.null()), ({bool}, pa.bool_()), ({int}, pa.int64()), ({int, float}, pa.float64()),
        ({str}, pa.string()),
    )  # fmt: skip
    for held, kind in narrowest:
        if kinds - {_MISSING} <= held:
            try:
                return pa.array(values, kind, from_pandas=True)
            except (pa.ArrowInvalid, OverflowError):  # a number that it cannot hold, or not exactly
                break
    return _as_json(values)


def typed_outputs(values: Sequence[Any]) -> "pa.Array":
    """Return predictions as an array: of float64, of lists of float64, or of JSON text."""
    import pyarrow as pa

    if {*map(type, values)} - {_MISSING} == {list}:
        inner = [*chain.from_iterable(each for each in values if each is not None)]
        if {*map(type, inner)} <= {int, float, _MISSING} and inf not in inner and -inf not in inner:
            try:
                return pa.array(values, _numbers(), from_pandas=True)
            except pa.ArrowInvalid:
                pass
        return _as_json(values)
    found = floats(typed(values))
    return found if found.type in (pa.null(), pa.float64()) else _as_json(values)


def floats(array: "pa.Array | pa.ChunkedArray") -> "pa.Array | pa.ChunkedArray":
    """Return whole numbers as floating-point ones if that is exact; else, and anything else, as it is."""
    import pyarrow as pa

    if array.type != pa.int64():
        return array
    try:
        return array.cast(pa.float64())
    except pa.ArrowInvalid:
        return array


def merged(columns: "Sequence[pa.ChunkedArray]") -> "pa.ChunkedArray":
    """Return columns as one, of a type that holds the values of all; one without values has no say."""
    import pyarrow as pa

    kinds = {column.type for column in columns if column.null_count < len(column)}
    if kinds == {pa.int64(), pa.float64()}:
        columns = [floats(column) for column in columns]
        kinds = {column.type for column in columns if column.null_count < len(column)}
    kind = pa.null() if not kinds else kinds.pop() if len(kinds) == 1 else pa.json_()
    chunks = [chunk for column in columns for chunk in _of(column, kind).chunks]
    return pa.chunked_array(chunks, kind)


def plain(column: "pa.Array | pa.ChunkedArray") -> list[Any]:
    """Return a column's values as JSON has them, where an infinity is text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(column.type, pa.JsonType):
        return _parsed(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    values: list[Any] = column.to_pylist()
    if column.type == pa.float64() and pc.any(pc.is_inf(column)).as_py():
        return [str(value) if value in (inf, -inf) else value for value in values]
    return values


def readable(array: "pa.Array") -> "pa.Array":
    """Return an array as whoever counts its values takes it: text in a dictionary."""
    import pyarrow as pa

    return array.dictionary_encode() if array.type == pa.string() else array


def from_texts(texts: "pa.Array | pa.ChunkedArray") -> list[Any]:
    """Return what JSON texts say; null says that nothing is known."""
    import pyarrow.compute as pc

    # Parsed as one text, they cost no call each.
    found: list[Any] = from_json("[" + ",".join(pc.fill_null(texts, "null").to_pylist()) + "]")
    return found


def _parsed(column: "pa.Array | pa.ChunkedArray") -> list[Any]:
    import pyarrow as pa

    return from_texts(column.cast(pa.string()))


def _of(column: "pa.ChunkedArray", kind: "pa.DataType") -> "pa.ChunkedArray":
    """Return a column as one of another type, which holds its values."""
    import pyarrow as pa

    if column.type == kind:
        return column
    if column.null_count == len(column):
        return pa.chunked_array([pa.nulls(len(column), kind)])
    return pa.chunked_array([_as_json(plain(column))])


def _as_json(values: Sequence[Any]) -> "pa.Array":
    import pyarrow as pa

    texts = [None if value is None or value != value else to_json(value) for value in values]
    return pa.ExtensionArray.from_storage(pa.json_(), pa.array(texts, pa.string()))


def _numbers() -> "pa.DataType":
    import pyarrow as pa

    return pa.list_(pa.field("element", pa.float64()))
