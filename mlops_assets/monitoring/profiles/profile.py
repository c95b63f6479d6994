"""The profile of some rows: that of each column, in one file of deterministic bytes."""

from collections import deque
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.byte_form import ByteForm
from mlops_assets.monitoring.profiles import column as columns
from mlops_assets.monitoring.profiles.categories import Categories
from mlops_assets.monitoring.profiles.cells import Cells
from mlops_assets.monitoring.profiles.column import (
    CategoricalProfile,
    ColumnProfile,
    NumericProfile,
    Rows,
)
from mlops_assets.specs.data_spec import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

_FORM = ByteForm("profile", 1)
# To hand something to a thread takes as long as to profile some ten thousand values.
_AT_ONCE = 2**17
# As often there may be so many values that are read and not profiled yet.
_AHEAD = 2


@dataclass(frozen=True)
class Profile:
    """What the columns of some rows looked like.

    Attributes:
        columns: The profile of each column, by its name.
    """

    columns: Mapping[str, ColumnProfile]

    def merge(self, other: "Profile") -> "Profile":
        """Return the profile of the rows of both, column by column; in either order, the same.

        Raises:
            ValueError: A column is of numbers in one and of texts in the other.
        """
        found = dict(self.columns)
        for name, profile in other.columns.items():
            found[name] = columns.merged(found[name], profile) if name in found else profile
        return Profile(found)

    def at_most(self, cells: int) -> "Profile":
        """Return the profile with fewer cells a column, for keeping."""
        return Profile(
            {
                name: NumericProfile(each.rows, each.cells.at_most(cells), each.low, each.high)
                if isinstance(each, NumericProfile)
                else each
                for name, each in self.columns.items()
            }
        )

    def to_bytes(self) -> bytes:
        """Return the one byte form of the profile."""
        written = [(name, _written(self.columns[name])) for name in sorted(self.columns)]
        return _FORM.write(written)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Profile":
        """Return the profile that :meth:`to_bytes` wrote.

        Raises:
            ValueError: These are no such bytes.
        """
        with _FORM.reading(content) as (written,):
            return cls({name: _read(fields) for name, fields in written})


def profile_of(batches: Iterable[Mapping[str, "pa.Array"]], kinds: Mapping[str, ColumnType]) -> Profile:
    """Return the profile of rows that come in batches.

    Args:
        batches: Arrays by column; columns that are not among ``kinds`` are left out.
        kinds: Declared type of each column that is profiled.
    """
    found: dict[str, ColumnProfile] = {name: columns.nothing(kind) for name, kind in kinds.items()}
    for batch in batches:
        for name, kind in kinds.items():
            found[name] = columns.merged(found[name], columns.profiled(batch[name], kind))
    return Profile(found)


def column_profile(arrays: "Iterable[pa.Array]", kind: ColumnType) -> ColumnProfile:
    """Return the profile of one column whose values come in pieces."""
    found = columns.nothing(kind)
    for values in arrays:
        found = columns.merged(found, columns.profiled(values, kind))
    return found


def profile_while_reading(
    kinds: Mapping[str, ColumnType], pieces: "Iterable[tuple[str, pa.Array]]"
) -> Profile:
    """Return the profile of columns, of which some pieces are profiled while the next ones are read.

    Args:
        kinds: Declared type of each column.
        pieces: Values of the columns, each piece with its column's name. They are iterated over in this
            thread, and profiled in another unless they are few.
    """
    found: dict[str, ColumnProfile] = {name: columns.nothing(kind) for name, kind in kinds.items()}

    def add(ready: "list[tuple[str, pa.Array]]") -> None:
        for name, values in ready:
            found[name] = columns.merged(found[name], columns.profiled(values, kinds[name]))

    ready: list[tuple[str, pa.Array]] = []
    values_ready = 0
    underway: deque[Future[None]] = deque()
    with ThreadPoolExecutor(1) as other:
        for name, values in pieces:
            ready.append((name, values))
            values_ready += len(values)
            if values_ready >= _AT_ONCE:
                underway.append(other.submit(add, ready))
                ready, values_ready = [], 0
            if len(underway) > _AHEAD:
                underway.popleft().result()
        for each in underway:
            each.result()
    add(ready)
    return Profile(found)


def _written(profile: ColumnProfile) -> dict[str, Any]:
    rows = (profile.rows.all, profile.rows.missing, profile.rows.refused, profile.rows.examples)
    if isinstance(profile, CategoricalProfile):
        categories = profile.categories
        return {"rows": rows, "categories": sorted(categories.counts.items()), "folded": categories.folded}
    cells = profile.cells
    return {
        "rows": rows,
        "range": (profile.low, profile.high),
        "floors": cells.floors.astype("<f8").tobytes(),
        "counts": cells.counts.astype("<i8").tobytes(),
        "level": cells.level,
        "most": cells.most,
    }


def _read(fields: dict[str, Any]) -> ColumnProfile:
    import numpy as np

    every, missing, refused, examples = fields["rows"]
    rows = Rows(every, missing, refused, tuple(examples))
    if "categories" in fields:
        return CategoricalProfile(rows, Categories(dict(fields["categories"]), fields["folded"]))
    floors, numbers = (
        np.frombuffer(fields[name], dtype).astype(dtype[1:])
        for name, dtype in (("floors", "<f8"), ("counts", "<i8"))
    )
    low, high = fields["range"]
    return NumericProfile(rows, Cells(floors, numbers, fields["level"], fields["most"]), low, high)
