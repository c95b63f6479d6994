"""What an output means: the map from served probabilities to how often they come true.

The map is an isotonic regression of labels on outputs, over up to 200 cells of outputs. It is fitted anew
without each block (day) of the hold-out. A row is judged by the map that has not seen its day, and how the
maps differ tells how far the map itself may be off. Where the hold-out shows no miscalibration (the
direction in which outputs are off on some days does not tell that on the others), outputs are taken as they
are; how far they may be off nevertheless is still told by the maps.

Source: Zadrozny and Elkan, "Transforming Classifier Scores into Accurate Multiclass Probability Estimates",
KDD 2002; Shao and Wu, "A General Theory for Jackknife Variance Estimation", Annals of Statistics 17 (1989),
that leaving out many rows at a time is right for estimates that are not smooth; Brown, Cai and DasGupta,
"Interval Estimation for a Binomial Proportion", Statistical Science 16 (2001), for the half row.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.block_jackknife import block_sums, jackknife
from mlops_assets.evaluation.calibration import calibration_error

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_CELLS = 200
_AGAINST = 0.5
# A bound of this confidence is the estimate: a map that is not needed costs less than one that is missed.
_CONFIDENCE = 0.5


@dataclass(frozen=True, eq=False)
class CalibrationMap:
    """Chances of a label by output.

    Attributes:
        knots: Outputs in ascending order; between them the map is linear, beyond them constant. Shape (k,).
        levels: The chance at each knot, shape (k,).
        without: The same without each block of the hold-out, shape (blocks, k).
        is_identity: Whether outputs are taken as they are.
    """

    knots: "Array"
    levels: "Array"
    without: "Array"
    is_identity: bool

    def chances(self, outputs: "Array") -> "Array":
        """Return how likely each output is to come true, shape (n,)."""
        import numpy as np

        if self.is_identity:
            return np.clip(outputs, 0.0, 1.0)
        return np.interp(outputs, self.knots, self.levels)

    def unseen_chances(self, outputs: "Array", member: "Array") -> "Array":
        """Return the same for rows of the hold-out, told without each row's own block.

        Args:
            outputs: Shape (n,).
            member: Block of each row, as the map was fitted with.
        """
        import numpy as np

        found = self.chances(outputs)
        if not self.is_identity:
            for block, levels in enumerate(self.without):
                own = member == block
                found[own] = np.interp(outputs[own], self.knots, levels)
        return found

    def shifts(self, outputs: "Array", weights: "Array") -> "Array":
        """Return by how much a weighted sum of chances differs without each block, shape (blocks,).

        Args:
            outputs: Shape (n,).
            weights: Weight of each one's chance, shape (n,).
        """
        import numpy as np

        last = len(self.knots) - 1
        place = np.interp(outputs, self.knots, np.arange(last + 1))
        left = np.minimum(place.astype(int), max(last - 1, 0))
        right = place - left
        mass = np.bincount(left, weights * (1 - right), last + 1)
        mass += np.bincount(np.minimum(left + 1, last), weights * right, last + 1)
        return np.asarray((self.without - self.levels) @ mass)


def fit_map(outputs: "Array", hits: "Array", blocks: "Array", member: "Array") -> CalibrationMap:
    """Return the map that the hold-out tells.

    Args:
        outputs: Served probabilities, shape (n,).
        hits: Whether each came true, 0 or 1, shape (n,).
        blocks: Block of each row, such as its day.
        member: Number of the block, or group of blocks, that is left out together.
    """
    import numpy as np
    from sklearn.isotonic import isotonic_regression

    cells = _cells(outputs)
    sums = block_sums(
        np.column_stack([np.ones(len(outputs)), hits, outputs]), cells, int(cells.max()) + 1, member
    )
    rows, _, told = sums.sum(axis=0).T
    knots = told / rows
    # One row in all that comes true as often as was told, so that no cell is ever empty; and at either end
    # half a row that comes out against expectation, as no finite hold-out shows that it never does.
    weight = np.full(len(knots), 1 / len(knots))
    hit = weight * np.clip(knots, 0, 1)
    weight[0], hit[0], weight[-1] = weight[0] + _AGAINST, hit[0] + _AGAINST, weight[-1] + _AGAINST

    def isotonic(totals: "Array") -> "Array":
        weights = totals[..., 0] + weight
        rates = (totals[..., 1] + hit) / weights
        fitted = [
            isotonic_regression(rate, sample_weight=rows, y_min=0, y_max=1)
            for rate, rows in zip(np.atleast_2d(rates), np.atleast_2d(weights), strict=True)
        ]
        return np.asarray(fitted).reshape(rates.shape)

    found = jackknife(isotonic, sums)
    error = calibration_error(outputs, hits, blocks, confidence=_CONFIDENCE)
    return CalibrationMap(knots, found.value, found.without, is_identity=error.low == 0)


def _cells(outputs: "Array") -> "Array":
    """Return the cell of each row, from 0; equal outputs share one.

    A third of the cells' weight each are rows, expected ones and expected zeros. So of a rare event the few
    high outputs, on which most hangs, are told apart as well as the many low ones.
    """
    import numpy as np

    order = np.argsort(outputs, kind="stable")
    ordered = outputs[order]
    likely = np.clip(ordered, 1e-12, 1 - 1e-12)
    weight = 1 / len(ordered) + likely / likely.sum() + (1 - likely) / (1 - likely).sum()
    through = np.cumsum(weight) - weight / 2
    places = np.searchsorted(through, np.arange(1, _CELLS) * weight.sum() / _CELLS)
    edges = ordered[np.minimum(places, len(ordered) - 1)]
    return np.unique(np.searchsorted(edges, outputs, side="right"), return_inverse=True)[1]
