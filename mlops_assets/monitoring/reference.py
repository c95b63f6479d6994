"""What monitoring compares with: made when a version is trained, and signed with its package.

Two things: the profile of the hold-out, to which distances are told, and the baseline, which is how columns
went from window to window of all rows that the training knew, by which alarms are calibrated.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.alarms.baseline import Baseline
from mlops_assets.monitoring.alarms.natural_variation import FEWEST_WINDOWS
from mlops_assets.monitoring.byte_form import ByteForm
from mlops_assets.monitoring.profiles.column import ColumnProfile, of_numbers
from mlops_assets.monitoring.profiles.profile import Profile, column_profile
from mlops_assets.monitoring.windows import Period
from mlops_assets.specs.data_spec import Column, ColumnType
from mlops_assets.specs.tasks import Task
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

FILE = "reference.msgpack"
# The names under which what the model said is watched, beside its inputs.
PREDICTION, CONFIDENCE = "prediction", "confidence"
# Fewer cells than a window's profile has while it is made: it travels with each version.
_CELLS = 4096
# So many windows tell how they vary; of shorter ones there are more.
_ENOUGH_WINDOWS = 28
_FEWEST_ROWS = 100
# More rows of a window hardly tell more about how windows vary.
_MOST_ROWS = 5_000
_LENGTHS: tuple[Period, ...] = ("hour", "day", "week", "month")
_FORM = ByteForm("reference", 1, "train the model again")


@dataclass(frozen=True)
class Reference:
    """What a version's windows are compared with.

    Attributes:
        profile: Inputs, predictions and labels of the hold-out.
        baseline: How inputs and predictions varied; None if the training knew too few windows.
    """

    profile: Profile
    baseline: Baseline | None

    def to_bytes(self) -> bytes:
        """Return the one byte form."""
        baseline = self.baseline and self.baseline.to_bytes()
        return _FORM.write(self.profile.to_bytes(), baseline)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Reference":
        """Return what :meth:`to_bytes` wrote.

        Raises:
            ValueError: These are no such bytes.
        """
        with _FORM.reading(content) as (profile, baseline):
            return cls(Profile.from_bytes(profile), baseline and Baseline.from_bytes(baseline))


def reference_of(
    rows: "pd.DataFrame",
    times: "pd.Series[Any]",
    unseen: "pd.Series[bool]",
    predict: "Callable[[pd.DataFrame], Array]",
    version: Manifest,
    window: Period,
) -> Reference:
    """Return what the windows of a version are to be compared with.

    What it says of rows that it was trained on is nothing to compare with, so predictions are told of the
    others alone.

    Args:
        rows: All rows that the training knew: inputs and target, in their declared types.
        times: When their events happened.
        unseen: Which of them the version was not trained on.
        predict: The version.
        version: What it is.
        window: Length of the windows that are watched.
    """
    watched = _Watched(predict, version)
    period = _period(times, window)
    baseline = period and _baseline(rows, _floored(times, period), unseen, watched, period)
    target = label_profile(rows.loc[unseen, version.target], version.task)
    holdout = Profile({**watched.profile(rows[unseen], unseen[unseen]).columns, version.target: target})
    return Reference(holdout.at_most(_CELLS), baseline or None)


def kinds_of(inputs: Sequence[Column]) -> dict[str, ColumnType]:
    """Return the type of each input that is watched: those that the prediction log keeps, but for times.

    A time moves on by itself.
    """
    return {each.name: each.type for each in inputs if each.log == "keep" and each.type != "datetime"}


def predictions(output: "Array", task: Task, classes: Sequence[Any]) -> dict[str, ColumnProfile]:
    """Return the profiles of what a version said.

    Args:
        output: Shape (n,); for several classes their probabilities, shape (n, classes).
        task: What is predicted.
        classes: Class labels in the order of the probabilities.

    Returns:
        Under :data:`PREDICTION` the value or the probability of the second class; of several classes the
        likeliest, and under :data:`CONFIDENCE` its probability.
    """
    import pyarrow as pa

    if task != "multiclass_classification":
        return {PREDICTION: of_numbers(output)}
    named = pa.DictionaryArray.from_arrays(output.argmax(axis=1), [str(each) for each in classes])
    return {
        PREDICTION: column_profile(iter([named]), "string"),
        CONFIDENCE: of_numbers(output.max(axis=1)),
    }


def label_profile(labels: "pd.Series[Any]", task: Task) -> ColumnProfile:
    """Return the profile of labels: numbers for a regression, else texts."""
    import pyarrow as pa

    if task == "regression":
        return column_profile(iter([_arrow(labels.astype("float64"))]), "number")
    return column_profile(
        iter([pa.array([None if each is None else str(each) for each in labels])]), "string"
    )


class _Watched:
    """Profiles what is watched of a version: its inputs, and what it says."""

    def __init__(self, predict: "Callable[[pd.DataFrame], Array]", version: Manifest) -> None:
        self._predict, self._version = predict, version
        self._kinds = kinds_of(version.inputs)

    def profile(self, rows: "pd.DataFrame", unseen: "pd.Series[bool]") -> Profile:
        found: dict[str, ColumnProfile] = {}
        for name, kind in self._kinds.items():
            # Whole numbers and truth values are kept as floating point here.
            told: ColumnType = "string" if kind == "string" else "number"
            found[name] = column_profile(iter([_arrow(rows[name])]), told)
        if unseen.any():
            said = self._predict(rows[unseen])
            found |= predictions(said, self._version.task, self._version.classes)
        return Profile(found)


def _arrow(values: "pd.Series[Any]") -> "pa.Array":
    import pyarrow as pa

    found = pa.Array.from_pandas(values)
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def _period(times: "pd.Series[Any]", window: Period) -> Period | None:
    """Return the length of the windows to learn from: days, if they have rows enough.

    Not that of the windows that are watched, which teams change without training again.
    """
    best: tuple[int, Period] | None = None
    for period in _LENGTHS[0 if window == "hour" else 1 :]:
        telling = int((_floored(times, period).value_counts() >= _FEWEST_ROWS).sum())
        if telling >= _ENOUGH_WINDOWS:
            return period
        if telling >= FEWEST_WINDOWS and (best is None or telling > best[0]):
            best = telling, period
    return best and best[1]


def _floored(times: "pd.Series[Any]", period: Period) -> "pd.Series[Any]":
    """Return the start of the window of each time; see :func:`mlops_assets.monitoring.windows.floor`."""
    short = {"hour": "h", "day": "D"}
    whole = {"week": "W-SUN", "month": "M"}
    floored: pd.Series[Any] = (
        times.dt.floor(short[period]) if period in short else times.dt.to_period(whole[period]).dt.start_time
    )
    return floored


def _baseline(
    rows: "pd.DataFrame",
    starts: "pd.Series[Any]",
    unseen: "pd.Series[bool]",
    watched: _Watched,
    period: Period,
) -> Baseline | None:
    windows: list[tuple[datetime, Profile]] = []
    counts = starts.value_counts()
    for start in sorted(counts.index):
        inside = starts == start
        every = -(-int(counts[start]) // _MOST_ROWS)
        some = rows[inside].iloc[::every]
        windows.append((start.to_pydatetime(), watched.profile(some, unseen[inside].iloc[::every])))
    # The first and the last may be cut off somewhere, and a morning is no day.
    half = counts.median() / 2
    whole = [each for each in windows if counts[each[0]] >= half or each not in (windows[0], windows[-1])]
    return Baseline.of(period, whole) if len(whole) >= FEWEST_WINDOWS else None
