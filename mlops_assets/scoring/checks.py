"""Rows of a file held against a model's signature, as the gateway holds a request's.

The usual column, numbers where numbers are declared, is looked at as a whole. What does not fit is converted
by the same rules as a request, which also find the first value that is wrong.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.data.columns import convert
from mlops_assets.data.sources import MISSING
from mlops_assets.errors import DataError
from mlops_assets.serving.discretion import LONGEST_ENTITY, entities_in
from mlops_assets.serving.plausibility import first_refused, refusing
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.rows import LARGEST, declarations, quoted_value
from mlops_assets.specs.data_spec import Column
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Signature:
    """What of a file's columns is used, and for what.

    Attributes:
        manifest: Of the model.
        name: The file, as messages name it.
        kept: Columns that are carried over to the output.
        time: The time column, if the file has it.
        entity: The column that tells whom or what a row is about, if the file has it.
    """

    manifest: Manifest
    name: str
    kept: tuple[str, ...]
    time: str | None
    entity: str | None

    @classmethod
    def of(
        cls, manifest: Manifest, name: str, columns: Sequence[str], kept: Collection[str] = ()
    ) -> "Signature":
        """Return how a file's columns are used.

        Raises:
            DataError: One is missing, not known, or there twice.
        """
        twice = sorted({column for column in columns if columns.count(column) > 1})
        if twice:
            raise DataError(f"{name} has the column {', '.join(map(repr, twice))} more than once")
        for column in kept:
            if column not in columns:
                raise DataError(f"{name} has no column {column!r} to keep")
        asked = {c.name for c in manifest.inputs} | {manifest.time_column}
        try:
            declarations([c for c in columns if c in asked or c not in kept], manifest)
        except Refusal as error:
            hint = "; --keep NAME carries a further column over" if "unknown" in str(error) else ""
            raise DataError(f"{name}: {error}{hint}") from error
        time = manifest.time_column if manifest.time_column in columns else None
        entity = manifest.entity.column if manifest.entity and manifest.entity.column in columns else None
        return cls(manifest, name, tuple(kept), time, entity)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the model's inputs."""
        return tuple(column.name for column in self.manifest.inputs)

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read for scoring, each once."""
        return tuple(dict.fromkeys((*self.inputs, *self.kept, *self._entities)))

    @property
    def logged(self) -> tuple[str, ...]:
        """All columns that the prediction log gets, by name."""
        return tuple(sorted({*self.inputs, *self._entities, *([self.time] if self.time else [])}))

    @property
    def _entities(self) -> tuple[str, ...]:
        return (self.entity,) if self.entity else ()

    def checked(self, table: "pa.Table", first: int) -> "Array | pd.DataFrame":
        """Return the inputs of some rows, checked: float32 numbers in order, or a frame of declared types.

        Args:
            table: The rows.
            first: Number of the first, from 0, in the file.

        Raises:
            DataError: A value is not what its column's declaration allows; names the first such row.
        """
        import pandas as pd

        found: dict[str, Any] = {}
        wrong: list[tuple[int, str, str]] = []
        for column in self.manifest.inputs:
            found[column.name] = _as_they_are(table[column.name], column)
            if found[column.name] is None:
                found[column.name], problem = _converted(table[column.name], column)
                if problem is not None:
                    wrong.append((problem[0], column.name, problem[1]))
        if not wrong:
            restricted = pd.DataFrame({c.name: found[c.name] for c in refusing(self.manifest.inputs)})
            wrong += first_refused(restricted, self.manifest.inputs)
            if self.entity and (no_entity := _no_entity(table[self.entity])) is not None:
                wrong.append((no_entity[0], self.entity, no_entity[1]))
        if wrong:
            row, name, said = min(wrong)
            raise DataError(f"{self.name}, row {first + row + 1:,}: column {name!r}: {said}")
        return self._together(found, len(table))

    def _together(self, found: dict[str, Any], rows: int) -> "Array | pd.DataFrame":
        import numpy as np
        import pandas as pd

        if not self.manifest.takes_numbers:
            return pd.DataFrame(found)
        matrix = np.empty((rows, len(found)), "float32")
        for place, values in enumerate(found.values()):
            matrix[:, place] = values
        return matrix


def _as_they_are(values: "pa.ChunkedArray", column: Column) -> "Array | None":
    """Return a column of numbers or truth values in which nothing is wrong, as float64, else None."""
    import numpy as np
    import pyarrow as pa

    kind = values.type
    if column.type == "boolean":
        if not pa.types.is_boolean(kind):
            return None
        values = values.cast(pa.uint8())
    elif column.type not in ("number", "integer") or not (
        pa.types.is_integer(kind) or pa.types.is_floating(kind)
    ):
        return None
    numbers = np.asarray(values.to_numpy(), "float64")
    # What is missing makes both missing, unless it may be missing and is left out.
    lowest, highest = (np.fmin, np.fmax) if column.nullable else (np.minimum, np.maximum)
    low, high = lowest.reduce(numbers), highest.reduce(numbers)
    if low < -LARGEST or high > LARGEST or (np.isnan(low) and not column.nullable):
        return None
    if column.type == "integer" and not ((np.floor(numbers) == numbers) | np.isnan(numbers)).all():
        return None
    return numbers


def _converted(
    values: "pa.ChunkedArray", column: Column
) -> "tuple[pd.Series[Any] | None, tuple[int, str] | None]":
    """Return a column in its declared type, and the first place that is not of it with what is wrong."""
    import numpy as np
    import pandas as pd

    # Whole numbers stay whole where one is missing, as in a request.
    series: pd.Series[Any] = values.to_pandas(integer_object_nulls=True)
    if column.type in ("string", "datetime") and not pd.api.types.is_datetime64_any_dtype(series.dtype):
        # A text file knows no other sign of a missing value.
        absent = [""] if column.type == "string" else MISSING
        series = series.where(~series.isin(absent), None)
    converted, bad = convert(series, column.type)
    too_large = column.type in ("number", "integer") and converted.abs() > LARGEST
    missing = converted.isna() & ~bad & (not column.nullable)
    wrong = bad | too_large | missing
    if not wrong.any():
        return converted, None
    row = int(np.argmax(wrong))
    given = quoted_value(values[row].as_py())
    if missing.iloc[row]:
        return None, (row, "a value is required")
    if bad.iloc[row]:
        return None, (row, f"{given} is not {'an' if column.type == 'integer' else 'a'} {column.type}")
    return None, (row, f"{given} is larger than a model can take")


def _no_entity(values: "pa.ChunkedArray") -> tuple[int, str] | None:
    """Return the first row of a column of entities that holds none, and what is wrong with it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        longest = pc.max(pc.utf8_length(values)).as_py() or 0
        if longest <= LONGEST_ENTITY:
            return None
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_null(kind):
        return None
    for row, value in enumerate(values.to_pylist()):
        try:
            entities_in([value], "")
        except Refusal as error:
            return row, str(error).partition(": ")[2]
    return None
