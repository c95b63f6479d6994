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
from mlops_assets.specs.model_spec import Column
from mlops_assets.training.envelope import NUMBERS
from mlops_assets.training.package import Manifest

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
        self._names = [column.name for column in manifest.inputs]
        self._numbers = [column.name for column in manifest.inputs if column.type in NUMBERS]
        self._declared = [c for c in manifest.inputs if c.range is not None or c.allowed is not None]
        seen = [manifest.envelope.get(name, (-np.inf, np.inf)) for name in self._numbers]
        self._low, self._high = np.array(seen, dtype="float64").reshape(-1, 2).T
        width = self._high - self._low
        self._width = np.where((width > 0) & np.isfinite(width), width, 1.0)
        self._is_learnt = bool(manifest.envelope)

    def look(self, values: "Array") -> None:
        """Count what is outside in the rows of a model of numbers.

        Args:
            values: Numbers by row and input; shape (n, inputs).
        """
        if not (self._declared or self._is_learnt):
            return
        found = {c.name: outside(c, values[:, self._names.index(c.name)]) for c in self._declared}
        self._count(found, values)

    def look_at_frame(self, frame: "pd.DataFrame") -> None:
        """Count what is outside in any rows."""
        if not (self._declared or self._is_learnt):
            return
        found = {column.name: _outside_in(frame, column) for column in self._declared}
        self._count(found, frame[self._numbers].to_numpy(dtype="float64", na_value=float("nan")))

    def _count(self, found: "dict[str, Array]", numbers: "Array") -> None:
        import numpy as np

        score = np.zeros(len(numbers))
        if self._is_learnt:
            beyond = np.maximum(self._low - numbers, numbers - self._high) / self._width
            # What is missing is not outside; comparisons with it are False.
            beyond = np.where(beyond > 0, np.minimum(beyond, 1.0), 0.0)
            score = beyond.mean(axis=1)
        with self._lock:
            for name, rows in found.items():
                self.outside[name] += int(np.count_nonzero(rows))
            self.anomalous += int(np.count_nonzero(score))
            self.score += float(score.sum())


def refusing(inputs: Sequence[Column]) -> list[tuple[int, Column]]:
    """Return the columns that refuse what they do not allow, with their places."""
    return [
        (place, column)
        for place, column in enumerate(inputs)
        if column.outside == "refuse" and (column.range is not None or column.allowed is not None)
    ]


def require_allowed(frame: "pd.DataFrame", inputs: Sequence[Column]) -> None:
    """Refuse rows with a value that its column does not allow.

    Raises:
        Refusal: 400 naming column, row and value.
    """
    for row, column, said in first_refused(frame, inputs):
        raise Refusal(400, f"column {column!r}, row {row}: {said}")


def first_refused(frame: "pd.DataFrame", inputs: Sequence[Column]) -> Iterator[tuple[int, str, str]]:
    """Yield the first row with a value that its column refuses, the column and what is wrong, by column."""
    for _, column in refusing(inputs):
        found = _outside_in(frame, column)
        if found.any():
            row = int(found.argmax())
            expected = f"among {list(column.allowed)}" if column.allowed else f"within {_range(column)}"
            yield row, column.name, f"{frame[column.name].tolist()[row]!r} is not {expected}"


def outside(column: Column, numbers: "Array") -> "Array":
    """Return which numbers their column does not allow; a missing one is another matter."""
    import numpy as np

    if column.allowed is not None:
        return np.asarray(~np.isin(numbers, list(column.allowed)) & ~np.isnan(numbers))
    assert column.range is not None
    low, high = column.range
    below = numbers < (-np.inf if low is None else low)
    return np.asarray(below | (numbers > (np.inf if high is None else high)))


def _outside_in(frame: "pd.DataFrame", column: Column) -> "Array":
    values = frame[column.name]
    if column.allowed is not None:
        return (~values.isin(list(column.allowed)) & values.notna()).to_numpy(dtype=bool)
    return outside(column, values.to_numpy(dtype="float64", na_value=float("nan")))


def _range(column: Column) -> str:
    assert column.range is not None
    low, high = column.range
    return f"{'…' if low is None else f'{low:g}'} to {'…' if high is None else f'{high:g}'}"
