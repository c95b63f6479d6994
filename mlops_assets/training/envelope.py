"""What the number columns of a model were like at its training: beyond it, an answer is a guess."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops_assets.specs.data_spec import Column

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("number", "integer", "boolean")


def envelope_of(rows: "pd.DataFrame", inputs: Sequence[Column]) -> dict[str, tuple[float, float]]:
    """Return the lowest and highest value of each number column, of those that have any.

    Args:
        rows: Rows that were trained on, raw.
        inputs: The columns.
    """
    found = {}
    for column in inputs:
        if column.type in NUMBERS and len(values := rows[column.name].dropna().astype("float64")):
            found[column.name] = (float(values.min()), float(values.max()))
    return found
