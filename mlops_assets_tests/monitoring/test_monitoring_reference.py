"""What monitoring compares with is made at the training, and travels signed with the package."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.errors import PackageError
from mlops_assets.governance.signatures import Signer
from mlops_assets.monitoring.profiles.column import CategoricalProfile, NumericProfile
from mlops_assets.monitoring.reference import (
    CONFIDENCE,
    FILE,
    PREDICTION,
    Reference,
    predictions,
    reference_of,
)
from mlops_assets.specs.data_spec import Column
from mlops_assets.training.manifest import Manifest
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.package_writer import write_package

INPUTS = (
    Column(name="a"),
    Column(name="s", type="string"),
    Column(name="at", type="datetime"),
    Column(name="secret", log="drop"),
)
VERSION = Manifest(
    "small", "binary_classification", INPUTS, (), {}, None, (0, 1), "", "at", "y", {}
)  # fmt: skip


def rows(days: int, each: int = 200) -> pd.DataFrame:
    random = np.random.default_rng(0)
    n = days * each
    return pd.DataFrame(
        {
            "at": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(random.uniform(0, days, n)), "D"),
            "a": random.normal(size=n),
            "s": random.choice(["x", "y"], n),
            "secret": random.normal(size=n),
            "y": random.integers(0, 2, n),
        }
    )


def says(frame: pd.DataFrame) -> Any:
    return 1 / (1 + np.exp(-frame["a"].to_numpy()))


def reference(days: int, window: Any = "day", each: int = 200) -> Reference:
    frame = rows(days, each)
    unseen = frame["at"] >= pd.Timestamp("2024-01-01") + pd.Timedelta(days=days - 10)
    return reference_of(frame, frame["at"], unseen, says, VERSION, window)


def test_a_reference_tells_inputs_predictions_and_labels_of_the_holdout() -> None:
    made = reference(40)
    columns = made.profile.columns
    assert sorted(columns) == ["a", PREDICTION, "s", "y"]  # neither times nor what the log does not keep
    assert columns[PREDICTION].rows.all == columns["a"].rows.all == pytest.approx(2000, abs=200)
    assert isinstance(columns["y"], CategoricalProfile)
    assert set(columns["y"].categories.counts) == {"0", "1"}


def test_a_baseline_tells_inputs_of_all_days_and_predictions_of_rows_it_was_not_trained_on() -> None:
    baseline = reference(40).baseline
    assert baseline is not None
    assert baseline.period == "day"
    assert len(baseline.history) == 40
    assert sorted(baseline.components) == ["a", PREDICTION, "s"]
    of_prediction = baseline.columns == sorted(baseline.components).index(PREDICTION)
    told = [np.isfinite(window.means[of_prediction]).all() for window in baseline.history]
    assert told == [False] * 30 + [True] * 10


@pytest.mark.parametrize(
    ("days", "each", "window", "period"),
    [(40, 200, "month", "day"), (70, 40, "day", "week"), (3, 9600, "hour", "hour"), (3, 9600, "day", None)],
)
def test_windows_to_learn_from_are_days_unless_these_are_too_thin(
    days: int, each: int, window: str, period: str | None
) -> None:
    made = reference_of(
        rows(days, each),
        (frame := rows(days, each))["at"],
        frame["at"] >= frame["at"].iloc[len(frame) // 2],
        says,
        VERSION,
        window,  # type: ignore[arg-type]
    )
    assert (made.baseline and made.baseline.period) == period


def test_a_reference_reads_back_as_the_same_bytes() -> None:
    content = reference(40).to_bytes()
    assert Reference.from_bytes(content).to_bytes() == content
    assert reference(40).to_bytes() == content
    for other in (b"", b"\x01", content[:40]):
        with pytest.raises(ValueError, match="no reference"):
            Reference.from_bytes(other)


def test_several_classes_are_watched_by_the_likeliest_and_its_probability() -> None:
    output = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    found = predictions(output, "multiclass_classification", ["a", "b", "c"])
    assert isinstance(found[PREDICTION], CategoricalProfile)
    assert dict(found[PREDICTION].categories.counts) == {"a": 1, "c": 1}
    assert isinstance(found[CONFIDENCE], NumericProfile)
    assert found[CONFIDENCE].cells.values.tolist() == [0.6, 0.7]


def test_an_altered_reference_is_not_read(
    make_package: Any, make_spec: Any, make_rows: Any, signer: Signer, tmp_path: Any
) -> None:
    made = make_package(make_spec(), make_rows())
    package = write_package(
        tmp_path / "p",
        made.estimator,
        made.view,
        made.manifest,
        made.onnx if made.uses_onnx else None,
        made.reference().drop(columns="prediction"),
        signer,
        further=lambda draft: {FILE: reference(40).to_bytes()},
    )
    assert Reference.from_bytes(package.content(FILE)).to_bytes() == reference(40).to_bytes()
    (package.folder / FILE).write_bytes(reference(41).to_bytes())
    with pytest.raises(PackageError, match="altered"):
        PackagedModel.open(package.folder, signer.verifier)
