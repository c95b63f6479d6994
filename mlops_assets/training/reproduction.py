"""Train a packaged model again from what was kept of its training, and compare what both predict."""

import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from mlops_assets.data.snapshots import read_snapshot, write_snapshot
from mlops_assets.errors import DataError, PackageError
from mlops_assets.governance.environment import Environment
from mlops_assets.home import Home
from mlops_assets.specs.model_spec import Training
from mlops_assets.training.isolated_fit import RecordedFit, Rows, fit_again
from mlops_assets.training.package import PackagedModel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True)
class Difference:
    """Where two predictions of the same rows first differ.

    Attributes:
        row: The first row that differs, counted from 0 in the hold-out.
        recorded: What the packaged model predicts for it: a number, or one for each class.
        found: What the new fit predicts for it.
        rows: How many rows differ.
        largest: The largest difference of any number; None if one of them is no number, or there are others.
    """

    row: int
    recorded: tuple[float, ...]
    found: tuple[float, ...]
    rows: int
    largest: float | None


@dataclass(frozen=True)
class VersionChange:
    """A distribution of which another version is installed now; None where there is none."""

    name: str
    recorded: str | None
    present: str | None


@dataclass(frozen=True)
class Reproduction:
    """What came of a second training.

    Attributes:
        predictions: Number of hold-out rows that both were asked.
        difference: Where they first differ, if they do.
        features_agree: Whether the features computed anew from the snapshot are those it was trained on.
        environment: What is installed otherwise than then; None if what was installed was not kept.
        code: The project's files that were trained with, as they were then.
        unrecorded: The files and services that the second training took something from and that are not in
            the record; see :mod:`mlops_assets.training.unrecorded_inputs`.
    """

    predictions: int
    difference: Difference | None
    features_agree: bool
    environment: tuple[VersionChange, ...] | None
    code: tuple[str, ...]
    unrecorded: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether the record gives the same model again."""
        return self.difference is None and self.features_agree


def reproduce(
    package: PackagedModel, training: Mapping[str, Any], home: Home, kept_until: datetime | None = None
) -> Reproduction:
    """Train a packaged model again and compare the predictions for all hold-out rows, bit by bit.

    Nothing of the present project takes part, and nothing but what is named here is needed.

    Args:
        package: The packaged model, verified.
        training: The training part of its spec, as it was then.
        home: Where its snapshot and its feature table are kept.
        kept_until: Until when the policy has them kept, naive UTC; for who misses them.

    Raises:
        DataError: The snapshot or the feature table is gone or altered.
        PackageError: The package does not tell what it was trained on.
        TrainingError: It cannot be trained again.
    """
    manifest, recorded = package.manifest, _recorded_fit(package, training)
    snapshot, table = (_recorded(package, name) for name in ("data", "features"))
    kept = Rows(home.snapshot(manifest.model, snapshot), snapshot)
    raw = _read("snapshot", kept, kept_until)
    with tempfile.TemporaryDirectory(prefix="mlops-features-") as scratch:
        # Through a file, as then: how numbers lie in memory can move the last bit of what is computed.
        digest, file = write_snapshot(package.view.compute(raw), lambda d: Path(scratch) / f"{d}.parquet")
        used = Rows(file, digest) if digest == table else Rows(home.features(manifest.model, table), table)
        features = _read("feature table", used, kept_until)
        found = fit_again(recorded, kept, used)
    newer = raw[manifest.time_column] >= recorded.holdout_start
    then, present = package.environment, Environment.present()
    return Reproduction(
        predictions=int(newer.sum()),
        difference=first_difference(package.predict_natively(features[newer]), found.predicted),
        features_agree=digest == table,
        environment=None if then is None else tuple(version_changes(then.versions, present.versions)),
        code=tuple(sorted(recorded.code)),
        unrecorded=found.unrecorded,
    )


def _recorded_fit(package: PackagedModel, training: Mapping[str, Any]) -> RecordedFit:
    manifest = package.manifest
    try:
        asked = Training.model_validate(training)
    except ValidationError as error:
        said = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'training'}: {e['msg']}" for e in error.errors())
        raise PackageError(f"the recorded spec of {manifest.model} is of another form: {said}") from error
    start = datetime.fromisoformat(_recorded(package, "trained_until"))
    return RecordedFit(asked, manifest.task, manifest.target, manifest.time_column, start, package.code)


def _recorded(package: PackagedModel, name: str) -> str:
    """Return what a package tells of its origin."""
    found = package.manifest.lineage.get(name)
    if found is None:
        raise PackageError(f"the package of {package.manifest.model} does not tell {name!r} of its training")
    return found


def _read(what: str, rows: Rows, kept_until: datetime | None) -> "pd.DataFrame":
    """Return recorded rows.

    Raises:
        DataError: They are gone or altered.
    """
    if not rows.file.exists():
        until = f"; the policy has it kept until {kept_until:%Y-%m-%d}" if kept_until else ""
        raise DataError(f"the {what} {rows.file} is gone{until}")
    try:
        return read_snapshot(rows.file, rows.digest)
    except DataError as error:
        raise DataError(f"the {what} {rows.file} was altered after it was written") from error


def first_difference(recorded: "np.ndarray[Any, Any]", found: "np.ndarray[Any, Any]") -> Difference | None:
    """Return where predictions of the same rows first differ in any bit, or None.

    Args:
        recorded: Predictions, float64, shape (n,) or (n, classes).
        found: Others of the same rows.
    """
    import numpy as np

    one, other = (np.ascontiguousarray(p.reshape(len(p), -1)) for p in (recorded, found))
    if one.shape != other.shape:  # other classes
        return Difference(0, tuple(one[0].tolist()), tuple(other[0].tolist()), len(one), None)
    differs = one.view("int64") != other.view("int64")
    rows = np.flatnonzero(differs.any(axis=1))
    if not len(rows):
        return None
    with np.errstate(all="ignore"):  # what is no number is a difference too, and no warning
        largest = float(np.abs(one[differs] - other[differs]).max())
    row, measured = int(rows[0]), largest if math.isfinite(largest) else None
    return Difference(row, tuple(one[row].tolist()), tuple(other[row].tolist()), len(rows), measured)


def version_changes(recorded: Mapping[str, str], present: Mapping[str, str]) -> Iterator[VersionChange]:
    """Yield what is installed otherwise than it was, by name."""
    for name in sorted(recorded.keys() | present.keys()):
        if recorded.get(name) != present.get(name):
            yield VersionChange(name, recorded.get(name), present.get(name))
