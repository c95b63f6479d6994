"""The usual requests of a model of numbers, as a matrix."""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from mlops_assets.serving.packed_floats import matrix_of_floats
from mlops_assets.serving.plausibility import Declared
from mlops_assets.serving.rows import LARGEST
from mlops_assets.serving.usual_requests import Layout, Reader, RowsSent
from mlops_assets.specs.data_spec import Column
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_NUMBERS = frozenset({float, int, type(None)})
_TRUTHS = _NUMBERS | {bool}
# Above this not every whole number is a float, and the log is to hold what was sent.
_EXACT = 2.0**53


class MatrixReader(Reader):
    """Reads the usual requests of a version that takes numbers as they are.

    Args:
        manifest: Declares the inputs, each a number, an integer or a boolean.
    """

    def __init__(self, manifest: Manifest) -> None:
        super().__init__(manifest)
        self._numbers = Numbers(manifest.inputs)

    def values(self, layout: Layout, rows: RowsSent) -> "Array | None":
        """Return rows as a matrix; see :class:`Reader`."""
        return self._numbers.matrix(layout.inputs_of(rows))


class Numbers:
    """Columns that hold numbers, and what is right in them.

    Args:
        columns: The columns, each a number, an integer or a boolean.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self._truths = [column.type == "boolean" for column in columns]
        self._any_truths = any(self._truths)
        self._whole = [place for place, column in enumerate(columns) if column.type == "integer"]
        self._required = [place for place, column in enumerate(columns) if not column.nullable]
        self._refused = Declared(columns, refusing=True)

    def matrix(self, rows: RowsSent) -> "Array | None":
        """Return rows as float64, missing values as NaN; None if one does not fit, whichever.

        Args:
            rows: The columns' values, by row and in the columns' order.
        """
        values = matrix_of_floats(rows)
        if values is None:
            values = self._converted(rows)
        return values if values is not None and self._fit(values) else None

    def _converted(self, rows: RowsSent) -> "Array | None":
        """Return rows as float64; None if one holds something else than numbers."""
        import numpy as np

        if not self._are_numbers(rows):
            return None
        try:
            return np.array(rows, dtype="float64")
        except OverflowError:  # a whole number that is larger than any float
            return None

    def _are_numbers(self, rows: RowsSent) -> bool:
        """Return whether rows hold numbers, and truth values only where they may."""
        if not self._any_truths:
            return _NUMBERS.issuperset(map(type, chain.from_iterable(rows)))
        columns = zip(self._truths, zip(*rows, strict=True), strict=True)
        return all(
            (_TRUTHS if truth else _NUMBERS).issuperset(map(type, column)) for truth, column in columns
        )

    def _fit(self, values: "Array") -> bool:
        """Return whether a matrix holds only what the columns' declarations allow."""
        import numpy as np

        # count_nonzero is what takes least of a few numbers.
        if np.count_nonzero(np.abs(values) > LARGEST):
            return False
        if (
            self._required
            and np.count_nonzero(np.isnan(values))
            and np.isnan(values[:, self._required]).any()
        ):
            return False
        if self._whole:
            numbers = values[:, self._whole]
            if ((numbers != np.floor(numbers)) & ~np.isnan(numbers) | (np.abs(numbers) > _EXACT)).any():
                return False
        if self._refused.columns and self._refused.outside(values).any():
            return False
        return not self._any_truths or bool(np.isin(values[:, self._truths], (0.0, 1.0)).all())
