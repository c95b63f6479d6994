"""Columns of a request as a frame of declared types, whichever protocol they came by.

Everything a client can get wrong is a :class:`~mlops_assets.serving.refusal.Refusal` that names the field.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.data.columns import convert
from mlops_assets.errors import did_you_mean
from mlops_assets.serving.plausibility import require_allowed
from mlops_assets.serving.refusal import Refusal
from mlops_assets.specs.data_spec import Column
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    import pandas as pd

MAX_ROWS = 10_000
# Features are float32: a larger number would reach the model as an infinity.
LARGEST = 3.4028234e38
Logged = tuple[tuple[str, ...], Sequence[Sequence[Any]]]
"""Columns, sorted, since clients that send them in ever another order are not to make ever more forms of
records; and their values by row."""

_NAMED_AT_MOST = 5
_LONGEST_QUOTED = 80


@dataclass(frozen=True)
class Rows:
    """A request's rows.

    Attributes:
        frame: Raw input columns in their declared types, and the time column if it was sent.
        sent: All columns as they were sent, for the log; the entity may be one that is not in the frame.
    """

    frame: "pd.DataFrame"
    sent: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def values(self) -> "pd.DataFrame":
        """What the model predicts from."""
        return self.frame

    def column(self, name: str) -> list[Any] | None:
        """Return a column as it was sent, or None if it was not."""
        return self.sent.get(name)

    @property
    def logged(self) -> Logged:
        """The columns by name, for the log."""
        names = tuple(sorted(self.sent))
        return names, [self.sent[name] for name in names]


def rows_of(columns: dict[str, list[Any]], manifest: Manifest) -> Rows:
    """Return a request's columns as rows, each value of its declared type.

    Args:
        columns: Values by column name, as they were sent; null is a missing value.
        manifest: Declares the columns. Time and entity may be sent also where they are no input.

    Raises:
        Refusal: 400 naming the column and row, or 413 for too many rows.
    """
    import pandas as pd

    declared = declarations(columns, manifest)
    lengths = {name: len(values) for name, values in columns.items()}
    count = next(iter(lengths.values()))
    for name, length in lengths.items():
        if length != count:
            raise Refusal(400, f"column {name!r} has {length} values, others have {count}")
    if count == 0:
        raise Refusal(400, "the request has no rows")
    require_at_most(count, "rows")
    converted = {name: typed(columns[name], column) for name, column in declared.items()}
    frame = pd.DataFrame(converted)
    require_allowed(frame, manifest.inputs)
    return Rows(frame, columns)


def declarations(names: Collection[str], manifest: Manifest) -> dict[str, Column]:
    """Return the declaration of each column of a request that the model takes, and of its time.

    Raises:
        Refusal: 400: a column is missing, or one is not known.
    """
    declared = {c.name: c for c in manifest.inputs}
    if manifest.time_column not in declared and manifest.time_column in names:
        declared[manifest.time_column] = Column(name=manifest.time_column, type="datetime")
    entity = manifest.entity.column if manifest.entity else None
    unknown = [name for name in names if name not in declared and name != entity]
    missing = [name for name in declared if name not in names]
    if missing:
        raise Refusal(400, f"missing columns: {', '.join(missing)}{_but_sent(unknown, missing)}")
    if unknown:
        raise Refusal(400, f"unknown columns: {_quoted(unknown, declared)}")
    return declared


def require_at_most(count: int, what: str) -> None:
    """Refuse more than one request may carry."""
    if count > MAX_ROWS:
        raise Refusal(413, f"{count:,} {what}, more than the {MAX_ROWS:,} one request may carry")


def member(value: Any, name: str, kind: type[Any], where: str = "the body") -> Any:
    """Return a member of a JSON object.

    Raises:
        Refusal: 400: there is no object, or no such member of that kind in it.
    """
    if not isinstance(value, dict):
        raise Refusal(400, f"{where} must be a JSON object")
    if not isinstance(value.get(name), kind):
        raise Refusal(400, f"{where}: {name!r} must be {'a list' if kind is list else 'text'}")
    return value[name]


def quoted_value(value: Any) -> str:
    """Return a value as a refusal quotes it: not at any length."""
    text = repr(value)
    return text if len(text) <= _LONGEST_QUOTED else f"{text[:_LONGEST_QUOTED]}…"


def _but_sent(unknown: list[str], missing: list[str]) -> str:
    return f"; unknown columns: {_quoted(unknown, dict.fromkeys(missing))}" if unknown else ""


def _quoted(names: list[str], known: dict[str, Any]) -> str:
    # Not more than a few: finding the nearest name of very many takes long.
    shown = [f"{name[:64]!r}{did_you_mean(name[:64], known)}" for name in names[:_NAMED_AT_MOST]]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def typed(values: list[Any], column: Column) -> "pd.Series[Any]":
    """Return values as a column of its declared type.

    Raises:
        Refusal: 400 naming the first row whose value is not what is declared.
    """
    import pandas as pd

    series = pd.Series(values, dtype="object")
    nested = series.map(lambda v: isinstance(v, list | dict)).astype(bool)
    if nested.any():
        raise _wrong(column, nested, "one value expected, not several")
    converted, bad = convert(series, column.type)
    if bad.any():
        shown = quoted_value(values[_first(bad)])
        raise _wrong(column, bad, f"{shown} is not {'an' if column.type == 'integer' else 'a'} {column.type}")
    if column.type in ("number", "integer") and (large := converted.abs() > LARGEST).any():
        raise _wrong(column, large, f"{values[_first(large)]!r} is larger than a model can take")
    if not column.nullable and (missing := converted.isna()).any():
        raise _wrong(column, missing, "a value is required")
    return converted


def _wrong(column: Column, rows: "pd.Series[bool]", problem: str) -> Refusal:
    return Refusal(400, f"column {column.name!r}, row {_first(rows)}: {problem}")


def _first(mask: "pd.Series[bool]") -> int:
    """Return the number of the first row that is marked."""
    return int(mask.to_numpy().argmax())
