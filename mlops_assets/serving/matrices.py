"""The usual requests of a model of numbers, as a matrix."""

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from mlops_assets.serving.plausibility import Declared
from mlops_assets.serving.rows import LARGEST
from mlops_assets.serving.usual_requests import Layout, Reader, RowsSent
from mlops_assets.specs.model_spec import Column
from mlops_assets.training.package import Manifest

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
        self._fits = _checks(manifest.inputs)
        self._truths = [column.type == "boolean" for column in manifest.inputs]
        self._any_truths = any(self._truths)

    def values(self, layout: Layout, rows: RowsSent) -> "Array | None":
        """Return rows as a matrix; see :class:`Reader`."""
        import numpy as np

        numbers = layout.inputs_of(rows)
        if not self._are_numbers(numbers):
            return None
        try:
            values = np.array(numbers, dtype="float64")
        except OverflowError:  # a whole number that is larger than any float
            return None
        return values if self._fits(values) else None

    def _are_numbers(self, rows: RowsSent) -> bool:
        """Return whether rows hold numbers, and truth values only where they may."""
        if not self._any_truths:
            return _NUMBERS.issuperset(map(type, chain.from_iterable(rows)))
        columns = zip(self._truths, zip(*rows, strict=True), strict=True)
        return all(
            (_TRUTHS if truth else _NUMBERS).issuperset(map(type, column)) for truth, column in columns
        )


def _checks(inputs: Sequence[Column]) -> Any:
    """Return a function that tells whether a matrix holds only what the inputs' declarations allow."""
    import numpy as np

    whole = [i for i, column in enumerate(inputs) if column.type == "integer"]
    truths = [i for i, column in enumerate(inputs) if column.type == "boolean"]
    required = [i for i, column in enumerate(inputs) if not column.nullable]
    refused = Declared(inputs, refusing=True)

    def fit(values: "Array") -> bool:
        # count_nonzero is what takes least of a few numbers.
        if np.count_nonzero(np.abs(values) > LARGEST):
            return False
        if required and np.count_nonzero(np.isnan(values)) and np.isnan(values[:, required]).any():
            return False
        if whole:
            numbers = values[:, whole]
            if ((numbers != np.floor(numbers)) & ~np.isnan(numbers) | (np.abs(numbers) > _EXACT)).any():
                return False
        if refused.columns and refused.outside(values).any():
            return False
        return not truths or bool(np.isin(values[:, truths], (0.0, 1.0)).all())

    return fit
