"""Several tests at once: p-values by which the chance of any false alarm among them is kept.

Source: Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of Statistics 6
(1979).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


def holm(families: "Sequence[Array]") -> "list[Array]":
    """Return p-values that hold for all tests of several arrays together.

    Args:
        families: P-values, in arrays of any shape; NaN where nothing is tested, which stay what they are.
    """
    import numpy as np

    if not families:
        return []
    every = np.concatenate([each.ravel() for each in families])
    tested = np.flatnonzero(~np.isnan(every))
    order = tested[np.argsort(every[tested], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    adjusted = every.copy()
    adjusted[order] = np.minimum(np.maximum.accumulate(every[order] * steps), 1.0)
    ends = np.cumsum([each.size for each in families])
    pieces = np.split(adjusted, ends[:-1])
    return [piece.reshape(each.shape) for piece, each in zip(pieces, families, strict=True)]
