"""What one window says of a model's columns: how they looked, how far from the reference, what moved."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.alarms.baseline import Baseline, Figures
from mlops_assets.monitoring.alarms.decision import Movement, movements
from mlops_assets.monitoring.distances import Distances, distances
from mlops_assets.monitoring.profiles.column import ColumnProfile, merged, profiled
from mlops_assets.monitoring.profiles.profile import Profile, profile_while_reading
from mlops_assets.monitoring.reference import PREDICTION, Reference, kinds_of, predictions
from mlops_assets.monitoring.windows import Period, starts_of
from mlops_assets.prediction_log.input_columns import OUTPUT, field_of
from mlops_assets.prediction_log.served_window import ServedWindow
from mlops_assets.prediction_log.typed_columns import plain
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

_TIME = "event_time"


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
    inputs = profile_while_reading(kinds, served.pieces([*kinds]))
    said = Profile({})
    for outputs in served.outputs(version):
        said = said.merge(Profile(_said(outputs, manifest)))
    return Profile({**inputs.columns, **said.columns})


def figures_of_parts(
    served: ServedWindow, manifest: Manifest, version: str, baseline: Baseline, start: datetime
) -> Figures:
    """Return the figures of a window that is longer than those of the history, by its parts of that length.

    A month is spread wider than its days and of another shape, though nothing is wrong. So what is followed
    of it is the mean of what is followed of its days.

    Args:
        served: The window of the prediction log.
        manifest: The version's.
        version: Its number.
        baseline: The version's.
        start: When the window starts.
    """
    parts: dict[datetime, dict[str, ColumnProfile]] = {}
    for name, kind in kinds_of(manifest.inputs).items():
        for at, values in _by_part(served.batches([name], (_TIME,)), field_of(name), baseline.period):
            _add(parts.setdefault(at, {}), {name: profiled(values, kind)})
    for at, said in _by_part(served.batches((), (_TIME, OUTPUT), version=version), OUTPUT, baseline.period):
        _add(parts.setdefault(at, {}), _said(said, manifest))
    return mean_figures(start, [baseline.figures(at, Profile(part)) for at, part in sorted(parts.items())])


def mean_figures(start: datetime, parts: Sequence[Figures]) -> Figures:
    """Return the figures of windows together, each by how many rows it is a mean of.

    Args:
        start: When the first of them starts.
        parts: One at least.
    """
    import numpy as np

    means, rows = (np.stack([getattr(each, name) for each in parts]) for name in ("means", "rows"))
    counted = np.where(np.isnan(means), 0, rows)
    every = counted.sum(axis=0)
    sums = (np.nan_to_num(means) * counted).sum(axis=0)
    return Figures(start, np.where(every > 0, sums / np.maximum(every, 1), np.nan), every)


def _by_part(
    batches: "Iterator[pa.Table]", column: str, period: Period
) -> "Iterator[tuple[datetime, pa.Array]]":
    """Yield values by the start of the calendar window that their events lie in."""
    import numpy as np
    import pyarrow as pa

    for batch in batches:
        values = batch[column].combine_chunks()
        starts = starts_of(batch[_TIME].to_numpy(), period)
        for start in np.unique(starts):
            at = start.astype("datetime64[us]").item()
            own = starts == start
            yield at, values if own.all() else values.filter(pa.array(own))


def _add(known: dict[str, ColumnProfile], more: Mapping[str, ColumnProfile]) -> None:
    for name, profile in more.items():
        known[name] = merged(known[name], profile) if name in known else profile


def watch(
    profile: Profile,
    reference: Reference,
    figures: Figures | None,
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
        figures: What is followed of it; None without a baseline.
        period: Its length; the baseline's or longer.
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
    if reference.baseline is None or figures is None:
        return Watched(profile, apart, None, ())
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
