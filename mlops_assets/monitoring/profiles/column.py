"""The profile of one column: how many values, missing or of the wrong type, and their distribution."""

import heapq
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from mlops_assets.monitoring.profiles.categories import Categories
from mlops_assets.monitoring.profiles.cells import Cells, Survey
from mlops_assets.prediction_log.typed_columns import from_texts
from mlops_assets.specs.data_spec import ColumnType

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_EXAMPLES = 5


@dataclass(frozen=True)
class Rows:
    """How many values there were.

    Attributes:
        all: Rows, whatever they hold.
        missing: Of these, without a value.
        refused: Of these, with a value that is not of the column's type: text, or an infinity, where a number
            is asked for.
        examples: The least few of the refused values, as text; as few as merge exactly.
    """

    all: int = 0
    missing: int = 0
    refused: int = 0
    examples: tuple[str, ...] = ()

    @property
    def known(self) -> int:
        """Rows with a value of the column's type."""
        return self.all - self.missing - self.refused

    @property
    def missing_share(self) -> float:
        """Share of rows without a value; 0 of none."""
        return self.missing / self.all if self.all else 0.0

    def merge(self, other: "Rows") -> "Rows":
        """Return the counts of both."""
        return Rows(
            self.all + other.all,
            self.missing + other.missing,
            self.refused + other.refused,
            tuple(heapq.nsmallest(_EXAMPLES, {*self.examples, *other.examples})),
        )


@dataclass(frozen=True)
class NumericProfile:
    """Numbers, truth values (0 and 1) or times (microseconds since 1970).

    Attributes:
        rows: How many.
        cells: Their distribution.
        low: The least; NaN if there is none.
        high: The greatest.
    """

    rows: Rows
    cells: Cells
    low: float
    high: float

    def merge(self, other: "NumericProfile") -> "NumericProfile":
        """Return the profile of all rows; in either order, the same."""
        cells, rows = self.cells.merge(other.cells), self.rows.merge(other.rows)
        known = [each for each in (self, other) if each.rows.known]
        if not known:
            return NumericProfile(rows, cells, float("nan"), float("nan"))
        low, high = min(each.low for each in known), max(each.high for each in known)
        return NumericProfile(rows, cells, low, high)


@dataclass(frozen=True)
class CategoricalProfile:
    """Texts.

    Attributes:
        rows: How many.
        categories: Their distribution.
    """

    rows: Rows
    categories: Categories

    def merge(self, other: "CategoricalProfile") -> "CategoricalProfile":
        """Return the profile of all rows; in either order, the same."""
        return CategoricalProfile(self.rows.merge(other.rows), self.categories.merge(other.categories))


ColumnProfile: TypeAlias = NumericProfile | CategoricalProfile


def nothing(kind: ColumnType) -> ColumnProfile:
    """Return the profile of a column of no rows."""
    import numpy as np

    if kind == "string":
        return CategoricalProfile(Rows(), Categories({}))
    return NumericProfile(Rows(), Cells.of(np.empty(0)), float("nan"), float("nan"))


def merged(a: ColumnProfile, b: ColumnProfile) -> ColumnProfile:
    """Return the profile of the rows of two profiles of one column.

    Raises:
        ValueError: One is of numbers and the other of texts.
    """
    if isinstance(a, NumericProfile) and isinstance(b, NumericProfile):
        return a.merge(b)
    if isinstance(a, CategoricalProfile) and isinstance(b, CategoricalProfile):
        return a.merge(b)
    raise ValueError("a profile of numbers and one of texts do not merge")


def profiled(values: "pa.Array", kind: ColumnType) -> ColumnProfile:
    """Return the profile of a column's values.

    Whether a value is of the column's type is decided as for training data and requests, see
    :func:`mlops_assets.data.columns.convert`.

    Args:
        values: As the prediction log or a Parquet file holds them; of Arrow's JSON type, each is what its
            text says.
        kind: Declared type.
    """
    import pyarrow as pa

    types = pa.types
    plain = {
        "number": types.is_floating(values.type) or types.is_integer(values.type),
        "integer": types.is_integer(values.type),
        "boolean": types.is_boolean(values.type),
        "datetime": types.is_timestamp(values.type),
        "string": types.is_string(values.type) or types.is_large_string(values.type) or _is_coded(values),
    }
    if not plain[kind]:
        return _of_anything(values, kind)
    return _of_texts(values) if kind == "string" else _of_numbers(values)


def of_numbers(numbers: "np.ndarray[Any, Any]") -> NumericProfile:
    """Return the profile of numbers of which NaN are missing and infinities refused; shape (n,)."""
    import numpy as np

    numbers = np.ascontiguousarray(numbers, dtype=np.float64)
    survey = Survey.of(numbers)
    infinite = (("-inf", survey.below), ("inf", survey.above))
    examples = tuple(text for text, count in infinite if count)
    rows = Rows(survey.size, survey.missing, survey.below + survey.above, examples)
    cells = Cells.surveyed(numbers, survey)
    if not survey.finite:
        return NumericProfile(rows, cells, float("nan"), float("nan"))
    return NumericProfile(rows, cells, survey.low, survey.high)


def _of_numbers(values: "pa.Array") -> NumericProfile:
    import pyarrow as pa

    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us")).cast(pa.int64())
    if values.type != pa.float64():
        values = values.cast(pa.float64(), safe=False)
    return of_numbers(values.to_numpy(zero_copy_only=False))


def _of_texts(values: "pa.Array") -> CategoricalProfile:
    import numpy as np

    known = values.drop_null()
    if _is_coded(known):
        used = np.bincount(known.indices.to_numpy(), minlength=len(known.dictionary))
        # A dictionary may name a text twice.
        pairs = zip(known.dictionary.to_pylist(), used.tolist(), strict=True)
    else:
        counted = known.value_counts()
        pairs = zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True)
    counts: dict[str, int] = {}
    for text, count in pairs:
        if count:
            counts[text] = counts.get(text, 0) + count
    return CategoricalProfile(Rows(len(values), len(values) - len(known)), Categories.of(counts))


def _is_coded(values: "pa.Array") -> bool:
    import pyarrow as pa

    return bool(pa.types.is_dictionary(values.type)) and bool(pa.types.is_string(values.type.value_type))


def _of_anything(values: "pa.Array", kind: ColumnType) -> ColumnProfile:
    """Profile values of another type than the declared one, or of several, one distinct value at a time."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    from mlops_assets.data.columns import convert

    are_json = isinstance(values.type, pa.JsonType)
    counted = (values.storage if are_json else values).value_counts()
    distinct = from_texts(counted.field(0)) if are_json else counted.field(0).to_pylist()
    counts = counted.field(1).to_numpy()
    converted, bad = convert(pd.Series(distinct, dtype="object"), kind)
    refused = bad.to_numpy(dtype=bool)
    missing = converted.isna().to_numpy() & ~refused
    examples = heapq.nsmallest(_EXAMPLES, {_shown(distinct[i]) for i in np.flatnonzero(refused)})
    rows = Rows(len(values), int(counts[missing].sum()), int(counts[refused].sum()), tuple(examples))
    known = ~refused & ~missing
    if kind == "string":
        of_each: Counter[str] = Counter()
        for text, count in zip(converted[known].tolist(), counts[known].tolist(), strict=True):
            of_each[text] += count
        return CategoricalProfile(rows, Categories.of(of_each))
    if kind == "datetime":
        converted = converted.astype("int64")
    found = of_numbers(np.repeat(converted[known].to_numpy(dtype="float64"), counts[known]))
    return replace(found, rows=rows)


def _shown(value: Any) -> str:
    """Return a value as text. 1.0 is 1, which it may have been before others came into its column."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
