"""A drafted spec passes the check and runs as it is."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.data.feature_verification import measure_features
from mlops_assets.data.features import FeatureView
from mlops_assets.data.sources import read_window, training_window
from mlops_assets.errors import DataError, SpecError
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.loading import LoadedSpec, load_fleet
from mlops_assets.specs.scaffolding import draft_spec
from mlops_assets.training.split import holdout_start
from mlops_assets.training.trainer import fit
from mlops_assets.verdict import judge
from mlops_assets_tests.vouching import rules_of


def checked(folder: Path) -> LoadedSpec:
    (loaded,) = load_fleet([folder], import_code=True).require().specs
    return loaded


def run(loaded: LoadedSpec, folder: Path) -> None:
    """Take the drafted model through the road's first stages."""
    spec = loaded.spec
    rows = read_window(spec.data, training_window(spec.data, utc_now() + timedelta(minutes=1)), folder)
    assert len(rows) >= spec.data.contract.min_rows
    features = FeatureView.from_spec(spec.data).compute(rows)
    measured = measure_features(features, rows[spec.data.target])
    assert judge(measured, rules_of(spec.risk).gates.feature_verification).passed
    older = rows[spec.data.time_column] < holdout_start(rows[spec.data.time_column], spec.evaluation.holdout)
    fit(spec.training, spec.task, features[older], rows.loc[older, spec.data.target])


@pytest.mark.parametrize("task", ["binary_classification", "multiclass_classification", "regression"])
def test_an_example_for_each_task_checks_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = tmp_path / f"drafted_{task[:5]}"
    draft_spec(folder, name=folder.name, task=task)
    loaded = checked(folder)
    assert loaded.spec.task == task
    run(loaded, folder)


@pytest.fixture
def orders(tmp_path: Path) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    n = 300
    times = pd.date_range(utc_now() - timedelta(days=50), periods=n, freq="4h")
    return pd.DataFrame(
        {
            "ordered at": times.strftime("%Y-%m-%dT%H:%M:%S"),
            "shipped at": (times + timedelta(hours=3)).strftime("%Y-%m-%dT%H:%M:%S"),
            "items: count": generator.integers(1, 9, n),
            "weight": np.where(generator.random(n) < 0.1, np.nan, generator.exponential(size=n)),
            "gift": generator.random(n) < 0.3,
            "country": generator.choice(["NA", "NO", "no", "yes", ""], n),
            "currency": "EUR",
            "#note": [f"note {i % 40}" for i in range(n)],
            "order: no": [f"order {i}" for i in range(n)],
            "returned": generator.integers(0, 2, n),
        }
    )


def test_a_draft_from_a_csv_file_checks_and_runs_whatever_its_columns_are_called(
    tmp_path: Path, orders: pd.DataFrame
) -> None:
    orders.to_csv(tmp_path / "orders.csv", index=False)
    folder = tmp_path / "defs" / "returns"
    draft_spec(folder, name="returns", csv=tmp_path / "orders.csv")
    loaded = checked(folder)
    data = loaded.spec.data
    assert (data.time_column, data.target, loaded.spec.task) == (
        "ordered at",
        "returned",
        "binary_classification",
    )
    assert data.key == ("order: no",), "what names a row is no feature"
    declared = {c.name: (c.type, c.nullable) for c in data.features}
    assert declared == {
        "items: count": ("integer", False),
        "weight": ("number", True),
        "gift": ("boolean", False),
        "country": ("string", True),
        "#note": ("string", False),
    }
    run(loaded, folder)


@pytest.mark.parametrize(
    ("target", "task"), [("weight", "regression"), ("country", "multiclass_classification")]
)
def test_the_task_is_guessed_from_the_target(
    tmp_path: Path, orders: pd.DataFrame, target: str, task: str
) -> None:
    orders.to_csv(tmp_path / "orders.csv", index=False)
    draft_spec(tmp_path / "m", name="m", csv=tmp_path / "orders.csv", target=target)
    assert checked(tmp_path / "m").spec.task == task


@pytest.mark.parametrize("name", ["Flight", "1st", "a-b", "", "class", "a" * 64, "../up"])
def test_a_name_that_python_or_a_path_could_not_carry_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="is no model name"):
        draft_spec(tmp_path / "m", name=name)
    assert not (tmp_path / "m").exists()


def test_wrong_wishes_are_refused_before_anything_is_written(tmp_path: Path, orders: pd.DataFrame) -> None:
    csv = tmp_path / "orders.csv"
    orders.to_csv(csv, index=False)
    with pytest.raises(SpecError, match=r"unknown task 'regresion' \(did you mean 'regression'\?\)"):
        draft_spec(tmp_path / "m", name="m", task="regresion")
    with pytest.raises(DataError, match=r"has no column 'weigt' \(did you mean 'weight'\?\)"):
        draft_spec(tmp_path / "m", name="m", csv=csv, target="weigt")
    with pytest.raises(DataError, match="no row has a time in 'country'"):
        draft_spec(tmp_path / "m", name="m", csv=csv, time_column="country")
    with pytest.raises(DataError, match="cannot be read as CSV"):
        draft_spec(tmp_path / "m", name="m", csv=tmp_path / "gone.csv")
    orders[["weight", "returned"]].to_csv(csv, index=False)
    with pytest.raises(DataError, match="name it with --time-column"):
        draft_spec(tmp_path / "m", name="m", csv=csv)
    orders.head(0).to_csv(csv, index=False)
    with pytest.raises(DataError, match="no row has a time"):
        draft_spec(tmp_path / "m", name="m", csv=csv)
    assert not (tmp_path / "m").exists()


def test_a_spec_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "defs.yaml").write_text("mine")
    with pytest.raises(SpecError, match="is already there"):
        draft_spec(tmp_path, name="m")
    assert (tmp_path / "defs.yaml").read_text() == "mine"
