"""A few rows and what was predicted of them, small enough to be tried at every start of a gateway.

The reference holds as much and far more, but in a form that takes 100 MB of libraries to read. So where a
model takes numbers as they are, its package holds these rows apart.
"""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.training.manifest import Manifest

REHEARSAL = "rehearsal.json"
REHEARSED_ROWS = 16


@dataclass(frozen=True)
class Rehearsal:
    """Rows of inputs and the predictions of them.

    Attributes:
        values: The inputs as numbers, by row, in the manifest's order; missing ones are NaN.
        predictions: What was predicted, by column as in the reference. Labels are left out: they follow from
            the probabilities.
    """

    values: list[list[float]]
    predictions: dict[str, list[float]]

    @classmethod
    def of(cls, reference: "pd.DataFrame", columns: list[str], manifest: "Manifest") -> "Rehearsal | None":
        """Return the first rows of a reference, or None if the model takes more than numbers.

        Args:
            reference: Raw inputs and predictions.
            columns: Those that hold predictions.
            manifest: Declares the inputs.
        """
        if not manifest.takes_numbers:
            return None
        rows = reference.head(REHEARSED_ROWS)
        inputs = rows[[column.name for column in manifest.inputs]].to_numpy(
            dtype="float64", na_value=float("nan")
        )
        predictions = {
            name: rows[name].astype("float64").tolist() for name in columns if rows[name].dtype.kind == "f"
        }
        return cls(inputs.tolist(), predictions)

    def to_bytes(self) -> bytes:
        """Return it as JSON; what JSON does not know, NaN, is written as Python does."""
        return json.dumps(asdict(self), sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> "Rehearsal":
        """Return what :meth:`to_bytes` wrote."""
        return cls(**json.loads(content))

    @property
    def matrix(self) -> "np.ndarray[Any, Any]":
        """The inputs, float64, shape (rows, inputs)."""
        import numpy as np

        return np.array(self.values, dtype="float64")
