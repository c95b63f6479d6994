"""Values that are of the right type and still unlikely: beyond what is declared, or was ever learnt from.

What is declared (``range``, ``allowed``) is counted, and refused where the column says so. What lies outside
everything the model has seen at its training is no error, but its answer is a guess: each row has an anomaly
score, how far outside it lies, which is counted for monitoring and alerts.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.serving.refusal import Refusal
from mlops_assets.specs.data_spec import Column
from mlops_assets.training.envelope import NUMBERS
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]


class Plausibility:
    """How plausible the requests of one version are.

    Args:
        manifest: Declares the inputs, and tells what each was like at the training.

    Attributes:
        outside: Values outside what is declared, by column.
        anomalous: Rows with a value outside what was seen at the training.
        score: Sum of the rows' anomaly scores. A row's is the mean over the number columns of how far its
            value lies outside the range it had at the training, as a share of that range and at most 1.
    """

    def __init__(self, manifest: Manifest) -> None:
        import numpy as np

        self.outside: Counter[str] = Counter()
        self.anomalous, self.score = 0, 0.0
        self._lock = threading.Lock()
        numbers = [column for column in manifest.inputs if column.type in NUMBERS]
        self._numbers = [column.name for column in numbers]
        self._declared = Declared(numbers)
        self._texts = [column for column in manifest.inputs if column.allowed and column not in numbers]
        seen = [manifest.envelope.get(name, (-np.inf, np.inf)) for name in self._numbers]
        self._low, self._high = np.array(seen, dtype="float64").reshape(-1, 2).T
        # Within what is declared and what was seen nothing has to be told apart, and most requests are.
        low, high = ranges(numbers)
        self._least, self._most = np.maximum(self._low, low), np.minimum(self._high, high)
        width = self._high - self._low
        self._width = np.where((width > 0) & np.isfinite(width), width, 1.0)
        self._looks_at_numbers = bool(self._declared.columns or manifest.envelope)

    def look(self, values: "Array | pd.DataFrame") -> None:
        """Count what is outside.

        Args:
            values: Rows as the model takes them: numbers by row and input, or a frame of raw columns.
        """
        import numpy as np

        if not isinstance(values, np.ndarray):
            for column in self._texts:
                self._count(column.name, _outside_in(values, column))
            values = values[self._numbers].to_numpy(dtype="float64", na_value=float("nan"))
        if self._looks_at_numbers:
            self._look_at_numbers(values)

    def _look_at_numbers(self, numbers: "Array") -> None:
        import numpy as np

        if not self._declared.has_lists and not np.count_nonzero(
            (numbers < self._least) | (numbers > self._most)
        ):
            return
        if self._declared.columns and np.count_nonzero(found := self._declared.outside(numbers)):
            for place in np.flatnonzero(found.any(axis=0)):
                self._count(self._declared.columns[place].name, found[:, place])
        # What is missing is not outside: comparisons with it are False.
        beyond = (numbers < self._low) | (numbers > self._high)
        if np.count_nonzero(beyond):
            rows = numbers[beyond.any(axis=1)]
            distance = np.maximum(self._low - rows, rows - self._high) / self._width
            score = np.where(distance > 0, np.minimum(distance, 1.0), 0.0).mean(axis=1)
            with self._lock:
                self.anomalous += len(rows)
                self.score += float(score.sum())

    def _count(self, name: str, outside: "Array") -> None:
        import numpy as np

        with self._lock:
            self.outside[name] += int(np.count_nonzero(outside))


class Declared:
    """What columns of numbers declare to be allowed.

    Args:
        columns: The columns.
        refusing: Whether only those are meant that refuse all else.

    Attributes:
        columns: Those of them that declare something.
        has_lists: Whether one declares each value that it may have.
    """

    def __init__(self, columns: Sequence[Column], *, refusing: bool = False) -> None:
        places = [
            place
            for place, column in enumerate(columns)
            if (column.range or column.allowed) and (column.outside == "refuse" or not refusing)
        ]
        self.columns = [columns[place] for place in places]
        self._places = None if len(places) == len(columns) else places
        self._low, self._high = ranges(self.columns)
        self._listed = [(i, list(column.allowed)) for i, column in enumerate(self.columns) if column.allowed]
        self.has_lists = bool(self._listed)

    def outside(self, numbers: "Array") -> "Array":
        """Return which numbers their column does not allow; a missing one is another matter.

        Args:
            numbers: By row and column, of all columns.

        Returns:
            By row and column, of those that declare something.
        """
        import numpy as np

        if self._places is not None:
            numbers = numbers[:, self._places]
        found = (numbers < self._low) | (numbers > self._high)
        for place, allowed in self._listed:
            values = numbers[:, place]
            found[:, place] = ~np.isin(values, allowed) & ~np.isnan(values)
        return np.asarray(found)


def ranges(columns: Sequence[Column]) -> "tuple[Array, Array]":
    """Return the least and the greatest value that each column declares; infinite where it declares none."""
    import numpy as np

    declared = [column.range or (None, None) for column in columns]
    low = np.array([-np.inf if low is None else low for low, _ in declared])
    return low, np.array([np.inf if high is None else high for _, high in declared])


def refusing(columns: Sequence[Column]) -> list[Column]:
    """Return the columns that refuse what they do not declare."""
    return [column for column in columns if column.outside == "refuse" and (column.range or column.allowed)]


def require_allowed(frame: "pd.DataFrame", inputs: Sequence[Column]) -> None:
    """Refuse rows with a value that its column does not allow.

    Raises:
        Refusal: 400 naming column, row and value.
    """
    for row, column, said in first_refused(frame, inputs):
        raise Refusal(400, f"column {column!r}, row {row}: {said}")


def first_refused(frame: "pd.DataFrame", inputs: Sequence[Column]) -> Iterator[tuple[int, str, str]]:
    """Yield the first row with a value that its column refuses, the column and what is wrong, by column."""
    for column in refusing(inputs):
        found = _outside_in(frame, column)
        if found.any():
            row = int(found.argmax())
            expected = f"among {list(column.allowed)}" if column.allowed else f"within {_range(column)}"
            yield row, column.name, f"{frame[column.name].tolist()[row]!r} is not {expected}"


def _outside_in(frame: "pd.DataFrame", column: Column) -> "Array":
    values = frame[column.name]
    if column.type not in NUMBERS:
        return (~values.isin(list(column.allowed or ())) & values.notna()).to_numpy(dtype=bool)
    numbers = values.to_numpy(dtype="float64", na_value=float("nan"))
    return Declared([column]).outside(numbers.reshape(-1, 1)).reshape(-1)


def _range(column: Column) -> str:
    assert column.range is not None
    low, high = column.range
    return f"{'…' if low is None else f'{low:g}'} to {'…' if high is None else f'{high:g}'}"
