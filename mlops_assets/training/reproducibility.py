"""The gate on reproducibility: training a second time from the record gives the very same model."""

import random
from typing import TYPE_CHECKING, Any

from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training import onnx_form
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.trainer import fit
from mlops_assets.verdict import Figure, Measurement

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


def measure_reproducibility(
    spec: ModelSpec,
    features: "pd.DataFrame",
    target: "pd.Series[Any]",
    older: "pd.Series[bool]",
    package: PackagedModel,
) -> Measurement:
    """Train again and compare with the packaged estimator, bit by bit, on the rows it never saw.

    Both random generators that libraries share are left in another state than the first training found
    them in, so that a result which hangs on what ran before in the process is found out.

    Args:
        spec: The model's spec.
        features: The feature table, as recorded.
        target: The column to predict, same index.
        older: Which rows are trained on.
        package: The packaged candidate.

    Returns:
        What gate ``reproducibility`` measured.
    """
    import numpy as np

    random.random()
    np.random.random()
    again = fit(spec.training, spec.task, features[older], target[older])
    unseen = features[~older][list(package.manifest.feature_names)]
    first = _outputs(package.estimator, spec, unseen)
    second = _outputs(again, spec, unseen)
    if first.shape != second.shape:
        said = (
            f"the second training gives {second.shape[1]} figures a row where the first gave {first.shape[1]}"
        )
        unknown = Figure(name=_DIFFERENCE, value=None, limit="max_difference", note=said)
        return Measurement(gate="reproducibility", summary=said, figures=(unknown,))
    distance = np.abs(second - first).max(axis=1)
    apart = np.flatnonzero(distance != 0)
    return Measurement(
        gate="reproducibility",
        summary=f"trained again, {len(unseen) - len(apart):,} of {len(unseen):,} predictions are the same",
        figures=(
            Figure(name=_DIFFERENCE, value=float(distance.max()), limit="max_difference"),
            Figure(name="predictions that differ", value=len(apart)),
        ),
        findings=tuple(
            {"row": str(unseen.index[i]), "first": str(first[i].tolist()), "again": str(second[i].tolist())}
            for i in apart[:5]
        ),
    )


_DIFFERENCE = "largest difference of a prediction"


def _outputs(estimator: Any, spec: ModelSpec, features: "pd.DataFrame") -> "np.ndarray[Any, Any]":
    outputs = onnx_form.native(estimator, spec.task, features)
    return outputs.reshape(len(features), -1)
