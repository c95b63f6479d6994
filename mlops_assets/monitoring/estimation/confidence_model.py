"""What a classifier's outputs say of its metrics: confidence-based performance estimation (CBPE).

Outputs are made into chances of labels by calibration maps, one for each class, and the metrics that are to
be expected follow. The method needs the chances to be right. So it needs labels to be as they were in the
hold-out, for like outputs; how often which output occurs may change as it likes.

Source: Kivimäki, Białek, Kuberski and Nurminen, "Performance Estimation in Binary Classification Using
Calibrated Confidence" (arXiv:2505.05295, 2025).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.estimation.calibration_map import CalibrationMap, fit_map
from mlops_assets.monitoring.estimation.estimate import Expectation
from mlops_assets.monitoring.estimation.expected_metrics import (
    expected_binary,
    expected_multiclass,
    label_variance,
)

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class ConfidenceModel:
    """The chance of each label by output.

    Attributes:
        maps: One for a binary task, else one for each class.
    """

    maps: tuple[CalibrationMap, ...]

    @property
    def note(self) -> str:
        """What the outputs mean, in words."""
        mended = sum(not each.is_identity for each in self.maps)
        if not mended:
            return "outputs are taken as they are: the hold-out shows no miscalibration"
        which = "" if len(self.maps) == 1 else f" of {mended} of {len(self.maps)} classes"
        return f"outputs{which} are recalibrated: the hold-out shows miscalibration"

    def expect(
        self, outputs: "Array", counts: "Array", inputs: "Array | None" = None
    ) -> dict[str, Expectation]:
        """Return what is expected of the metrics of a window.

        Args:
            outputs: Served probabilities, shape (n,) or (n, classes).
            counts: How many rows have each, shape (n,).
            inputs: Not looked at.
        """
        import numpy as np

        if outputs.ndim == 1:
            outputs, place = np.unique(outputs, return_inverse=True)
            counts = np.bincount(place, counts)
        chances = self.chances(outputs)
        expected = (expected_binary if outputs.ndim == 1 else expected_multiclass)(outputs, counts, chances)
        return {
            name: Expectation(
                each.value,
                label_variance(each, counts, chances),
                self._shifts(outputs, counts, chances, each.sensitivity),
            )
            for name, each in expected.items()
        }

    def chances(self, outputs: "Array") -> "Array":
        """Return the chance of a label of 1, shape (n,), or of each class, shape (n, classes)."""
        return self.maps[0].chances(outputs) if outputs.ndim == 1 else _shares(self._raw(outputs), outputs)

    def _raw(self, outputs: "Array") -> "Array":
        """Return what the map of each class says, which does not add up to one."""
        import numpy as np

        pairs = zip(self.maps, outputs.T, strict=True)
        return np.column_stack([each.chances(column) for each, column in pairs])

    def _shifts(self, outputs: "Array", counts: "Array", chances: "Array", slope: "Array") -> "Array":
        """Return how much a metric differs without each block of the hold-out."""
        import numpy as np

        if outputs.ndim == 1:
            return self.maps[0].shifts(outputs, counts * slope)
        # What one class's map gives is taken from all, as chances add up to one.
        net = slope - (chances * slope).sum(axis=1, keepdims=True)
        weights = counts[:, None] * net / self._raw(outputs).sum(axis=1, keepdims=True).clip(1e-12)
        triples = zip(self.maps, outputs.T, weights.T, strict=True)
        shifts = [each.shifts(column, weight) for each, column, weight in triples]
        return np.asarray(np.sum(shifts, axis=0))

    def parts(self) -> "tuple[dict[str, Any], dict[str, Array]]":
        """Return what it consists of: facts in JSON, and arrays."""
        arrays = {
            f"{k}.{name}": getattr(each, name)
            for k, each in enumerate(self.maps)
            for name in ("knots", "levels", "without")
        }
        return {"is_identity": [each.is_identity for each in self.maps]}, arrays

    @classmethod
    def from_parts(cls, facts: "dict[str, Any]", arrays: "dict[str, Array]") -> "ConfidenceModel":
        """Return the model that consists of these parts."""
        return cls(
            tuple(
                CalibrationMap(
                    arrays[f"{k}.knots"], arrays[f"{k}.levels"], arrays[f"{k}.without"], is_identity
                )
                for k, is_identity in enumerate(facts["is_identity"])
            )
        )


def fit_confidence_model(
    outputs: "Array", labels: "Array", blocks: "Array", member: "Array"
) -> "tuple[ConfidenceModel, dict[str, Array]]":
    """Return the model that a hold-out tells.

    Args:
        outputs: Served probabilities, shape (n,) or (n, classes).
        labels: Codes of the classes, shape (n,).
        blocks: Block of each row, such as its day.
        member: Number of the block, or group of blocks, that is left out together.

    Returns:
        The model; and by metric what each row of the hold-out added to it beyond what was expected of it,
        times the number of rows.
    """
    import numpy as np

    if outputs.ndim == 1:
        model = ConfidenceModel((fit_map(outputs, labels, blocks, member),))
        values, place, counts = np.unique(outputs, return_inverse=True, return_counts=True)
        missed = labels - model.maps[0].unseen_chances(outputs, member)
        expected = expected_binary(values, counts, model.chances(values))
        return model, {n: len(labels) * each.sensitivity[place] * missed for n, each in expected.items()}
    hits = labels[:, None] == np.arange(outputs.shape[1])
    model = ConfidenceModel(
        tuple(fit_map(o, h.astype(float), blocks, member) for o, h in zip(outputs.T, hits.T, strict=True))
    )
    pairs = zip(model.maps, outputs.T, strict=True)
    missed = hits - _shares(np.column_stack([m.unseen_chances(o, member) for m, o in pairs]), outputs)
    expected = expected_multiclass(outputs, np.ones(len(outputs)), model.chances(outputs))
    return model, {n: len(labels) * (each.sensitivity * missed).sum(axis=1) for n, each in expected.items()}


def _shares(raw: "Array", outputs: "Array") -> "Array":
    """Return chances that add up to one; as served where there are none."""
    import numpy as np

    raw = np.where(raw.sum(axis=1, keepdims=True) > 0, raw, outputs)
    return np.asarray(raw / raw.sum(axis=1, keepdims=True))
