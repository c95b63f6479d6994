"""What models predict, and by which metrics that is measured."""

from typing import Annotated, Literal

from pydantic import model_validator

from mlops_assets.specs.part import Part
from mlops_assets.specs.strictness import Stricter

Task = Literal["binary_classification", "multiclass_classification", "regression"]
Metric = Literal["roc_auc", "brier", "log_loss", "accuracy", "macro_recall", "r2", "mae", "rmse"]

METRICS: dict[Task, tuple[Metric, ...]] = {
    "binary_classification": ("roc_auc", "brier", "log_loss", "accuracy"),
    "multiclass_classification": ("accuracy", "log_loss", "macro_recall"),
    "regression": ("r2", "mae", "rmse"),
}
HIGHER_IS_BETTER = frozenset({"roc_auc", "accuracy", "macro_recall", "r2"})


class Limit(Part):
    """Bounds on a metric, both inclusive."""

    min: Annotated[float | None, Stricter("higher")] = None
    max: Annotated[float | None, Stricter("lower")] = None

    @model_validator(mode="after")
    def _some_bound(self) -> "Limit":
        if self.min is None and self.max is None:
            raise ValueError("give min, max or both")
        return self
