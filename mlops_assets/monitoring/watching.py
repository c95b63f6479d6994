"""What one window says of a model's columns: how they looked, how far from the reference, what moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.alarms.baseline import Figures
from mlops_assets.monitoring.alarms.decision import Movement, movements
from mlops_assets.monitoring.distances import Distances, distances
from mlops_assets.monitoring.profiles.column import ColumnProfile, profiled
from mlops_assets.monitoring.profiles.profile import Profile, profile_while_reading
from mlops_assets.monitoring.reference import PREDICTION, Reference, kinds_of, predictions
from mlops_assets.monitoring.windows import Period
from mlops_assets.prediction_log.served_window import ServedWindow
from mlops_assets.prediction_log.typed_columns import plain
from mlops_assets.training.package import Manifest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class Watched:
    """What a window says of a model's columns.

    Attributes:
        profile: Inputs of all rows, and what the version said of those that it answered.
        distances: From the reference, by column; only of columns with values on both sides.
        figures: What is followed from window to window; None without a baseline.
        movements: What is to be said of each column, those that are an alarm first; none without a baseline.
    """

    profile: Profile
    distances: Mapping[str, Distances]
    figures: Figures | None
    movements: Sequence[Movement]


def profile_of_window(served: ServedWindow, manifest: Manifest, version: str) -> Profile:
    """Return the profile of what was served, in one pass over each column that the version declares.

    Memory does not grow with the rows. However the log keeps them, in segments or compacted, the profile is
    the same to the last byte.

    Args:
        served: The window of the prediction log.
        manifest: The version's.
        version: Its number; what others said in the window is not its doing.
    """
    kinds = kinds_of(manifest.inputs)
    inputs = profile_while_reading((name, kind, served.values(name)) for name, kind in kinds.items())
    said = Profile({})
    for outputs in served.outputs(version):
        said = said.merge(Profile(_said(outputs, manifest)))
    return Profile({**inputs.columns, **said.columns})


def watch(
    profile: Profile,
    reference: Reference,
    start: datetime,
    period: Period,
    recent: Sequence[Figures],
    *,
    alpha: float,
    least_effect: float,
) -> Watched:
    """Return what a window's profile says beside the reference and the windows before it.

    Args:
        profile: The window's, see :func:`profile_of_window`.
        reference: The version's.
        start: When the window starts.
        period: Its length.
        recent: The figures of the windows before it, in order of time, without a gap.
        alpha: Probability of an alarm while nothing is wrong.
        least_effect: What moved by less, in standard deviations of a row, is no alarm.
    """
    apart = {
        name: found
        for name, column in profile.columns.items()
        if name in reference.profile.columns
        and (found := distances(reference.profile.columns[name], column)) is not None
    }
    if reference.baseline is None:
        return Watched(profile, apart, None, ())
    figures = reference.baseline.figures(start, profile)
    moved = movements(reference.baseline, period, [*recent, figures], alpha, least_effect=least_effect)
    return Watched(profile, apart, figures, moved)


def _said(outputs: "pa.Array", manifest: Manifest) -> dict[str, ColumnProfile]:
    """Return the profiles of predictions, as :func:`.reference.predictions` has those of the hold-out."""
    if manifest.task != "multiclass_classification":
        return {PREDICTION: profiled(outputs, "number")}
    return predictions(_probabilities(outputs, len(manifest.classes)), manifest.task, manifest.classes)


def _probabilities(outputs: "pa.Array", classes: int) -> "np.ndarray[Any, Any]":
    """Return the predictions that are a number for each class; float64, shape (n, classes)."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_list(outputs.type):
        whole = outputs.filter(pc.equal(pc.list_value_length(outputs), classes))
        found = np.asarray(whole.flatten(), dtype=np.float64).reshape(-1, classes)
    else:  # JSON, if one prediction of the chunk was anything else
        rows = [row for row in plain(outputs) if isinstance(row, list) and len(row) == classes]
        numbers = [row for row in rows if {*map(type, row)} <= {int, float}]
        found = np.array(numbers, dtype=np.float64).reshape(-1, classes)
    known: np.ndarray[Any, Any] = found[~np.isnan(found).any(axis=1)]
    return known
