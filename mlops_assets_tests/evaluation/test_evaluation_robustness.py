"""The gate robustness: sound models pass, and each kind of brittleness is seen as what it is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import KNeighborsClassifier

from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.evaluation.robustness import measure_robustness
from mlops_assets.specs.gate_rules import RobustnessRules
from mlops_assets.training.package import PackagedModel
from mlops_assets.verdict import Figure, Measurement, judge

RULES = RobustnessRules(
    required=True,
    max_noise_loss=0.1,
    max_noise_change=0.5,
    max_missing_loss=1.0,
    max_silent_unit_errors=None,
    max_stress_change=None,
    max_evasion=0.2,
    query_budget=50,
    confidence=0.99,
)
PLAIN = {"features": ["a", "b"]}
TASKS = ("binary_classification", "multiclass_classification", "regression")


@pytest.fixture
def make_holdout(make_spec: Any, make_package: Any) -> Callable[..., Holdout]:
    """Return a maker of hold-outs: the newer half of the rows, beside a model of the older half."""

    def make(rows: pd.DataFrame, task: str = TASKS[0], data: Any = None, **package: Any) -> Holdout:
        spec = make_spec(task, data={**PLAIN, **(data or {})}, **package.pop("spec", {}))
        candidate: PackagedModel = make_package(spec, rows, **package)
        newer = rows[rows["t"] >= pd.Timestamp(candidate.manifest.lineage["trained_until"])]
        return Holdout(spec, candidate, newer.reset_index(drop=True))

    return make


def figures(found: Measurement) -> dict[str, Figure]:
    return {figure.name: figure for figure in found.figures}


def fit(estimator: Any, rows: pd.DataFrame, *names: str) -> Any:
    older = rows.iloc[: len(rows) // 2]
    return estimator.fit(older[[*names]].astype("float32"), older["y"])


@pytest.mark.parametrize("task", TASKS)
def test_a_sound_model_passes_whatever_it_predicts(task: str, make_rows: Any, make_holdout: Any) -> None:
    holdout = make_holdout(make_rows(1_200, task), task)
    found = measure_robustness(holdout, RULES)
    assert judge(found, RULES).passed, judge(found, RULES).summary
    assert abs(figures(found)["noise_loss"].value) < 0.1
    assert figures(found)["stress_change a"].value > figures(found)["stress_change b"].value
    assert figures(found)["evasion"].value < 0.05


def test_the_same_candidate_is_measured_the_same_twice(make_rows: Any, make_holdout: Any) -> None:
    holdout = make_holdout(make_rows(600))
    assert measure_robustness(holdout, RULES) == measure_robustness(holdout, RULES)


def test_a_model_that_remembers_rows_jumps_under_noise_and_is_evaded(make_holdout: Any) -> None:
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "t": pd.date_range("2024-01-01", periods=1_200, freq="h"),
            "a": generator.normal(size=1_200),
            "b": generator.normal(size=1_200),
        }
    )
    rows["y"] = (rows["a"] + generator.normal(size=1_200) > 0).astype(int)
    remembers = make_holdout(rows, estimator=fit(KNeighborsClassifier(1), rows, "a", "b"))
    generalises = make_holdout(rows)
    brittle, sound = (figures(measure_robustness(h, RULES)) for h in (remembers, generalises))
    assert brittle["noise_change"].value > 0.5 > 0.2 > sound["noise_change"].value
    assert brittle["evasion"].low > 0.2 > sound["evasion"].value
    verdict = judge(measure_robustness(remembers, RULES), RULES)
    assert {breach.figure for breach in verdict.breaches} == {"noise_change", "evasion"}


def with_distance(range_: Any = None) -> dict[str, Any]:
    return {"features": [{"name": "distance", "range": range_}, {"name": "b", "range": [-5, 5]}]}


@pytest.fixture(scope="module")
def journeys() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "t": pd.date_range("2024-01-01", periods=1_600, freq="h"),
            "distance": generator.uniform(100, 500, 1_600),
            "b": generator.normal(size=1_600),
        }
    )
    rows["y"] = (rows["distance"] / 100 + rows["b"] + generator.normal(size=1_600) > 3).astype(int)
    return rows


def test_a_unit_error_that_no_range_would_stop_is_told(journeys: pd.DataFrame, make_holdout: Any) -> None:
    estimator = fit(HistGradientBoostingClassifier(random_state=0), journeys, "distance", "b")
    open_, loose, tight = (
        measure_robustness(make_holdout(journeys, data=with_distance(r), estimator=estimator), RULES)
        for r in (None, [0, 10_000], [100, 500])
    )
    of_distance = [
        {f["factor"] for f in found.findings if f["column"] == "distance"} for found in (open_, loose, tight)
    ]
    assert of_distance[0] >= {1000.0, 0.001}
    assert of_distance[1] == of_distance[0] - {1000.0}
    assert of_distance[2] == set()
    demanding = RULES.model_copy(update={"max_silent_unit_errors": 0})
    assert "declare a range of distance" in judge(open_, demanding).summary
    assert judge(loose, demanding).passed


def test_a_whole_number_in_another_unit_is_refused_by_its_type(
    journeys: pd.DataFrame, make_holdout: Any
) -> None:
    rows = journeys.assign(distance=journeys["distance"].round())
    data = {"features": [{"name": "distance", "type": "integer"}, "b"]}
    found = measure_robustness(make_holdout(rows, data=data), RULES)
    assert {f["factor"] for f in found.findings if f["column"] == "distance"} == {1000.0}


def test_a_feature_function_that_refuses_odd_values_is_no_silent_harm(
    journeys: pd.DataFrame, make_holdout: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "strict_journeys.py").write_text(
        "def compute(rows):\n"
        "    if rows['distance'].isna().any() or not rows['distance'].between(90, 510).all():\n"
        "        raise ValueError('distance is odd')\n"
        "    return rows[['distance', 'b']]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    data = {
        "features": [{"name": "distance", "nullable": True}, "b"],
        "feature_function": "strict_journeys:compute",
    }
    found = measure_robustness(make_holdout(journeys, data=data), RULES)
    assert not [f for f in found.findings if f["column"] == "distance"]
    missing = figures(found)["missing_loss distance"]
    assert missing.value == 0
    assert "distance is odd" in missing.note
    assert "missing_loss" not in judge(found, RULES).summary


def test_a_model_that_breaks_on_a_value_its_spec_lets_be_missing_fails(
    make_rows: Any, make_holdout: Any
) -> None:
    data = {"features": ["a", {"name": "b", "nullable": True}]}
    verdict = judge(measure_robustness(make_holdout(make_rows(600), data=data), RULES), RULES)
    assert "missing_loss b: the model" in verdict.summary


def test_a_model_that_copes_with_missing_values_tells_what_each_is_worth(
    make_rows: Any, make_holdout: Any
) -> None:
    rows = make_rows(1_600)
    gaps = np.random.default_rng(1)
    for name in ("a", "b"):
        rows[name] = rows[name].mask(gaps.random(len(rows)) < 0.1)
    data = {"features": [{"name": "a", "nullable": True}, {"name": "b", "nullable": True}]}
    estimator = fit(HistGradientBoostingClassifier(random_state=0), rows, "a", "b")
    found = figures(measure_robustness(make_holdout(rows, data=data, estimator=estimator), RULES))
    assert found["missing_loss a"].value > 0.8
    assert abs(found["missing_loss b"].value) < 0.2
    assert 0 < found["missing_loss 10% of values"].value < 0.4


def test_text_columns_are_perturbed_too_and_attacked_never(make_holdout: Any) -> None:
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "t": pd.date_range("2024-01-01", periods=800, freq="h"),
            "place": pd.Series(generator.choice(["EWR", "JFK", "LGA"], 800)).astype("str"),
            "kind": pd.Series(generator.choice(["x", "y"], 800)).astype("str"),
        }
    )
    rows["y"] = ((rows["place"] == "JFK") ^ (generator.random(800) < 0.1)).astype(int)
    data = {"features": [{"name": n, "type": "string", "nullable": True} for n in ("place", "kind")]}
    found = figures(measure_robustness(make_holdout(rows, data=data), RULES))
    assert 0 < found["noise_loss"].value < 0.2
    assert found["stress_change place"].value == 1
    assert "JFK" in found["stress_change place"].note
    assert found["stress_change kind"].value < 0.1
    assert found["missing_loss place"].value > 0.5
    assert found["evasion"].value == 0
    assert found["silent_unit_errors"].value == 0


def test_a_model_of_times_alone_is_left_in_peace(
    make_holdout: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hours.py").write_text(
        "def compute(rows):\n"
        "    hour = rows['t'].dt.hour\n"
        "    return rows[['t']].assign(hour=hour, night=hour < 6)[['hour', 'night']]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    rows = pd.DataFrame({"t": pd.date_range("2024-01-01", periods=600, freq="h").astype("datetime64[us]")})
    rows["y"] = ((rows["t"].dt.hour < 12) ^ (np.random.default_rng(0).random(600) < 0.2)).astype(int)
    data = {"features": [{"name": "t", "type": "datetime"}], "feature_function": "hours:compute"}
    found = measure_robustness(make_holdout(rows, data=data), RULES)
    assert judge(found, RULES).passed
    assert {figure.value for figure in found.figures} == {0}


def test_who_knows_nothing_has_nothing_to_lose(make_rows: Any, make_holdout: Any) -> None:
    rows = make_rows(400)
    knows_nothing = fit(DummyClassifier(strategy="prior"), rows, "a", "b")
    found = measure_robustness(make_holdout(rows, estimator=knows_nothing, onnx=False), RULES)
    assert judge(found, RULES).passed
    assert found.facts["skill"] == 0


def test_every_limit_that_a_policy_may_set_is_measured(make_rows: Any, make_holdout: Any) -> None:
    rules = RULES.model_copy(update={"max_silent_unit_errors": 2, "max_stress_change": 1})
    held = {f.limit for f in measure_robustness(make_holdout(make_rows(400)), rules).figures if f.limit}
    assert held == set(rules.limits())
