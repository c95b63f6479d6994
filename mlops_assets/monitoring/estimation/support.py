"""How much of a hold-out speaks of the rows that are served now.

Outputs that were rare in the hold-out and are common now rest on few labels. Rows of the hold-out, weighted
to look like the window, are worth fewer than they are, and an estimate can be no surer than a measurement
on so many labels.

Source: Kish, "Survey Sampling" (1965), section 11.7, for the worth of weighted rows; Cortes, Mansour and
Mohri, "Learning Bounds for Importance Weighting", NeurIPS 2010, that this is what errors hang on.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_CELLS = 100
_ROWS_A_CELL = 5


@dataclass(frozen=True, eq=False)
class Support:
    """How often which outputs occur in a hold-out.

    Attributes:
        edges: Upper ends of all cells of outputs but the last, exclusive; shape (cells - 1,).
        rows: Rows in each, shape (cells,).
    """

    edges: "Array"
    rows: "Array"

    @classmethod
    def of(cls, outputs: "Array") -> "Support":
        """Return that of a hold-out's outputs, shape (n,)."""
        import numpy as np

        count = max(min(_CELLS, len(outputs) // _ROWS_A_CELL), 1)
        edges = np.unique(np.quantile(outputs, np.arange(1, count) / count))
        edges = edges[edges > outputs.min()]
        return cls(
            edges, np.bincount(np.searchsorted(edges, outputs, side="right"), minlength=len(edges) + 1)
        )

    def worth(self, outputs: "Array", counts: "Array") -> float:
        """Return how many labels of rows like these the hold-out is worth.

        Args:
            outputs: Of a window, shape (n,).
            counts: How many rows have each, shape (n,).
        """
        import numpy as np

        found = np.bincount(np.searchsorted(self.edges, outputs, side="right"), counts, len(self.rows))
        # Pairs of different rows, as a row that is like itself tells nothing of how the window is spread.
        total = found.sum()
        apart = float(np.maximum(found * (found - 1), 0) @ (1 / np.maximum(self.rows, 1)))
        rows = float(self.rows.sum())
        return min(float(total * (total - 1)) / apart, rows) if apart > 0 else rows
