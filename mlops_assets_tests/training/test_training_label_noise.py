"""Poisoned training data is refused with the place that offends; honest data, of any kind, passes."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from statsmodels.datasets import fair, randhie

import mlops_assets
from mlops_assets.data.columns import to_declared_types
from mlops_assets.data.features import FeatureView
from mlops_assets.defs.flight_delay.source import load
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training.label_noise import measure_label_noise
from mlops_assets.verdict import Verdict, judge
from mlops_assets_tests.vouching import rules_of

RULES = rules_of().gates.label_noise
FLIGHTS = Path(mlops_assets.__file__).parent / "defs" / "flight_delay" / "defs.yaml"


def verdict(rows: pd.DataFrame, spec: ModelSpec, previous: pd.DataFrame | None = None) -> Verdict:
    data = spec.data
    rows = to_declared_types(rows, data.features).reset_index(drop=True)
    if previous is not None:
        previous = to_declared_types(previous, data.features)
    features = FeatureView.from_spec(data).compute(rows)
    measured = measure_label_noise(features, rows, spec, RULES, previous)
    return judge(measured, RULES)


def refused_for(found: Verdict) -> set[str]:
    return {breach.figure for breach in found.breaches}


@pytest.fixture(scope="module")
def flights() -> tuple[ModelSpec, pd.DataFrame]:
    """Flights of ten weeks, of which features tell little: the AUC is below .7."""
    spec = ModelSpec.model_validate(yaml.safe_load(FLIGHTS.read_text())["attributes"])
    rows = load(datetime(2013, 1, 1), datetime(2013, 3, 17))
    return spec, rows[list(spec.data.columns)].reset_index(drop=True)


def flipped(rows: pd.DataFrame, where: "pd.Series[bool]", count: int) -> pd.DataFrame:
    chosen = rows[where].sample(count, random_state=0).index
    return rows.assign(late=rows["late"].where(~rows.index.isin(chosen), 1 - rows["late"]))


def test_honest_flights_pass(flights: tuple[ModelSpec, pd.DataFrame]) -> None:
    spec, rows = flights
    found = verdict(rows, spec)
    assert found.passed
    assert "labels seem flipped where" in found.summary
    told = {f.name: f.value for f in found.measurement.figures}
    assert 0 < told["labels expected to be denied"] < 0.5


def test_one_label_in_a_hundred_flipped_within_one_carrier_is_refused(
    flights: tuple[ModelSpec, pd.DataFrame],
) -> None:
    spec, rows = flights
    found = verdict(flipped(rows, rows["carrier"] == "US", len(rows) // 100), spec)
    assert refused_for(found) == {"labels flipped where carrier is US"}
    worst = found.measurement.findings[0]
    assert (worst["problem"], worst["column"], worst["value"]) == ("labels seem flipped", "carrier", "US")
    assert 0.05 < worst["low"] < worst["estimate"] < worst["high"] < 0.3


def test_labels_changed_since_the_last_training_are_refused_where_a_model_could_not_tell(
    flights: tuple[ModelSpec, pd.DataFrame],
) -> None:
    spec, rows = flights
    late = (rows["carrier"] == "DL") & (rows["late"] == 1)
    poisoned = flipped(rows, late, len(rows) // 100)
    assert verdict(poisoned, spec).passed
    found = verdict(poisoned, spec, previous=rows[: len(rows) // 2])
    assert "labels changed where carrier is DL" in refused_for(found)
    assert verdict(rows, spec, previous=rows[: len(rows) // 2]).passed


def test_planted_rows_and_copies_are_refused(flights: tuple[ModelSpec, pd.DataFrame]) -> None:
    spec, rows = flights
    planted = rows.sample(len(rows) // 200, random_state=0)
    marked = pd.concat([rows, planted.assign(distance=1234.5, late=1, flight=planted["flight"] + 10_000)])
    found = verdict(marked, spec)
    assert refused_for(found) == {"labels alike where distance is 1234.5"}
    assert refused_for(verdict(pd.concat([rows, planted]), spec)) == {"rows there twice"}


MakeSpec = Callable[..., ModelSpec]


def real(name: str) -> tuple[str, pd.DataFrame]:
    """Return a task and honest real rows, the target as ``y``."""
    match name:
        case "affairs":
            frame = fair.load_pandas().data
            return "binary_classification", frame.assign(y=(frame.pop("affairs") > 0).astype(int))
        case "visits to the doctor":
            return "regression", randhie.load_pandas().data.rename(columns={"mdvis": "y"})
        case "tumours":
            return "binary_classification", load_breast_cancer(as_frame=True).frame.rename(
                columns={"target": "y"}
            )
        case "wines":
            return "multiclass_classification", load_wine(as_frame=True).frame.rename(columns={"target": "y"})
        case _:
            return "regression", load_diabetes(as_frame=True).frame.rename(columns={"target": "y"})


def with_times(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    rows = frame.sample(frac=1, random_state=seed).reset_index(drop=True)
    return rows.assign(t=pd.date_range("2024-01-01", periods=len(rows), freq="h").astype("datetime64[us]"))


@pytest.mark.parametrize("name", ["affairs", "visits to the doctor", "tumours", "wines", "diabetes"])
def test_honest_data_of_any_task_and_size_passes(make_spec: MakeSpec, name: str) -> None:
    task, frame = real(name)
    spec = make_spec(task, data={"features": [c for c in frame if c != "y"]})
    found = verdict(with_times(frame), spec)
    assert found.passed, found.summary


def test_numbers_to_predict_that_were_exchanged_within_a_group_are_refused(make_spec: MakeSpec) -> None:
    generator = np.random.default_rng(0)
    rows = with_times(
        pd.DataFrame({"a": generator.normal(size=12_000), "b": generator.integers(0, 6, 12_000)})
    )
    rows["y"] = 2 * rows["a"] + generator.normal(size=len(rows))
    spec = make_spec("regression", data={"features": ["a", "b"]})
    assert verdict(rows, spec).passed
    some = (rows["b"] == 3) & (generator.random(len(rows)) < 0.6)
    rows.loc[some, "y"] = generator.permutation(rows.loc[some, "y"])
    assert "labels flipped where b is 3.0" in refused_for(verdict(rows, spec))


@pytest.mark.parametrize("task", ["binary_classification", "multiclass_classification", "regression"])
def test_too_few_rows_to_tell_anything_pass_and_say_so(
    make_spec: MakeSpec, make_rows: Callable[..., pd.DataFrame], task: str
) -> None:
    spec = make_spec(task, data={"features": ["a", "b"]})
    found = verdict(make_rows(120, task), spec)
    assert found.passed
    assert "no two groups of 200 rows, so that nobody can tell how many labels seem flipped" in found.summary
    unknown = next(f for f in found.measurement.figures if f.limit == "max_flipped")
    assert (unknown.low, unknown.high, unknown.note) == (0, 1, "no two groups of 200 rows")


@pytest.mark.parametrize(
    "target", [[0] * 500, [0] * 495 + [1] * 5, [0.0] * 500, ["only", "two"] * 250], ids=str
)
def test_targets_with_little_to_tell_apart_are_no_trouble(
    make_spec: MakeSpec, make_rows: Callable[..., pd.DataFrame], target: Any
) -> None:
    rows = make_rows(500).assign(y=target)
    task = "regression" if isinstance(target[0], float) else "binary_classification"
    assert verdict(rows, make_spec(task, data={"features": ["a", "b"]})).passed
