"""The hold-out's rows as a package keeps them: inputs, target and what the version said."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.metrics import encode_target
from mlops_assets.monitoring.performance.blocks import Blocks, blocks_of
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class HoldoutRows:
    """Some rows of the hold-out.

    Attributes:
        rows: Raw inputs, the target and the prediction.
        manifest: The version's.
    """

    rows: "pd.DataFrame"
    manifest: Manifest

    @property
    def target(self) -> "Array":
        """Encoded targets, shape (n,)."""
        return encode_target(self.rows[self.manifest.target], self.manifest.task, self.manifest.classes)

    @property
    def outputs(self) -> "Array":
        """What the version said, shape (n,) or (n, classes)."""
        if self.manifest.task == "multiclass_classification":
            return self.rows[[f"probability_{each}" for each in self.manifest.classes]].to_numpy()
        return self.rows["prediction"].to_numpy(dtype="float64")

    @property
    def blocks(self) -> Blocks:
        """Rows, dealt to parts: a package does not keep their times."""
        import numpy as np

        return blocks_of(np.zeros(len(self.rows), "datetime64[us]"))
