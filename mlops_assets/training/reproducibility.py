"""The gate on reproducibility: training a second time from the record gives the very same model."""

from collections.abc import Mapping
from typing import Any

from mlops_assets.errors import TrainingError
from mlops_assets.home import Home
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.reproduction import Reproduction, reproduce
from mlops_assets.verdict import Figure, Finding, Measurement

_DIFFERENCE = "largest difference of a prediction"


def measure_reproducibility(package: PackagedModel, training: Mapping[str, Any], home: Home) -> Measurement:
    """Train again from what was recorded, as ``mlops-assets reproduce`` will a year later, and compare.

    A fresh process fits with the code that the package holds, so that a result which hangs on what ran
    before, or on a file that was not recorded, is found out before anybody needs the record.

    Args:
        package: The packaged candidate.
        training: The training part of its spec.
        home: Where its snapshot and its feature table are kept.

    Returns:
        What gate ``reproducibility`` measured.

    Raises:
        DataError: The snapshot or the feature table is gone or altered.
    """
    try:
        found = reproduce(package, training, home)
    except TrainingError as error:
        return _unknown(str(error))
    if not found.features_agree:
        return _unknown("the features computed a second time from the same rows are others")
    if found.difference is not None and found.difference.largest is None:
        return _unknown("the second training predicts something that cannot be compared", found)
    rows = found.difference.rows if found.difference else 0
    same = f"{found.predictions - rows:,} of {found.predictions:,} predictions are the same"
    largest = found.difference.largest if found.difference else 0.0
    return Measurement(
        gate="reproducibility",
        summary=f"trained again, {same}",
        figures=(
            Figure(name=_DIFFERENCE, value=largest, limit="max_difference"),
            Figure(name="predictions that differ", value=rows),
        ),
        findings=_where(found),
    )


def _unknown(said: str, found: Reproduction | None = None) -> Measurement:
    figure = Figure(name=_DIFFERENCE, value=None, limit="max_difference", note=said)
    return Measurement(
        gate="reproducibility", summary=said, figures=(figure,), findings=_where(found) if found else ()
    )


def _where(found: Reproduction) -> tuple[Finding, ...]:
    if found.difference is None:
        return ()
    first = found.difference
    return ({"row": first.row, "first": str(list(first.recorded)), "again": str(list(first.found))},)
