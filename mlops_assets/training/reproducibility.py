"""The gate on reproducibility: a second training, from the record alone, gives the very same model."""

from collections.abc import Mapping
from typing import Any

from mlops_assets.errors import TrainingError
from mlops_assets.home import Home
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.reproduction import Reproduction, reproduce
from mlops_assets.verdict import Figure, Finding, Measurement

_DIFFERENCE = "largest difference of a prediction"
_UNRECORDED = "inputs that are not in the record"
_TOLD, _KEPT = 3, 49  # of such inputs: in a sentence, and as findings


def measure_reproducibility(package: PackagedModel, training: Mapping[str, Any], home: Home) -> Measurement:
    """Train again from what was recorded, as ``mlops-assets reproduce`` will a year later, and compare.

    A fresh process fits with the code that the package holds, so that a result which hangs on what ran
    before, or on a file that was not recorded, is found out before anybody needs the record. So is a training
    that reads what is there today and in no record, such as the source with the rows that it is judged by.

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
        return _unknown("the features computed a second time from the same rows are others", found)
    if found.difference is not None and found.difference.largest is None:
        return _unknown("the second training predicts something that cannot be compared", found)
    rows = found.difference.rows if found.difference else 0
    same = f"{found.predictions - rows:,} of {found.predictions:,} predictions are the same"
    largest = found.difference.largest if found.difference else 0.0
    return Measurement(
        gate="reproducibility",
        summary=f"trained again, {same}{_read(found)}",
        figures=(
            Figure(name=_DIFFERENCE, value=largest, limit="max_difference"),
            _unrecorded(found),
            Figure(name="predictions that differ", value=rows),
        ),
        findings=_findings(found),
    )


def _unknown(said: str, found: Reproduction | None = None) -> Measurement:
    figures = (Figure(name=_DIFFERENCE, value=None, limit="max_difference", note=said), _unrecorded(found))
    return Measurement(
        gate="reproducibility", summary=said, figures=figures, findings=_findings(found) if found else ()
    )


def _unrecorded(found: Reproduction | None) -> Figure:
    if found is None:
        said = "the second training gave no answer"
        return Figure(name=_UNRECORDED, value=None, limit="max_unrecorded", note=said)
    told = ", ".join(found.unrecorded[:_TOLD])
    more = len(found.unrecorded) - _TOLD
    note = f"{told} and {more} more" if more > 0 else told
    return Figure(name=_UNRECORDED, value=len(found.unrecorded), limit="max_unrecorded", note=note)


def _read(found: Reproduction) -> str:
    return f"; it read {len(found.unrecorded):,} {_UNRECORDED}" if found.unrecorded else ""


def _findings(found: Reproduction) -> tuple[Finding, ...]:
    read: tuple[Finding, ...] = tuple({"input": name} for name in found.unrecorded[:_KEPT])
    if found.difference is None:
        return read
    first = found.difference
    where = {"row": first.row, "first": str(list(first.recorded)), "again": str(list(first.found))}
    return (where, *read)
