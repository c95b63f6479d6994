"""Why one row got its prediction: reasons add up, agree with known ones, and say what they are."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

from mlops_assets.evaluation.reasons import Explanation, explain_row
from mlops_assets.training.package import PackagedModel

TASKS = ("binary_classification", "multiclass_classification", "regression")
NEIGHBOURS = {"regression": KNeighborsRegressor(15)}


def packaged(make_spec: Any, make_rows: Any, make_package: Any, task: str, estimator: Any = None) -> Any:
    spec, rows = make_spec(task), make_rows(600, task)
    older = rows.head(300)
    if estimator is not None:
        estimator = estimator.fit(older[["a", "b"]].astype("float32"), older["y"])
    return make_package(spec, rows, estimator=estimator)


def explained(package: PackagedModel, row: int = 7) -> Explanation:
    reference = package.reference()
    return explain_row(package, reference.iloc[[row]], reference)


def contributions(explanation: Explanation) -> dict[str, float]:
    return {reason.feature: reason.contribution for reason in explanation.reasons}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["exact", "estimated"])
def test_reasons_add_up_strongest_first(
    task: str, kind: str, make_spec: Any, make_rows: Any, make_package: Any
) -> None:
    estimator = NEIGHBOURS.get(task, KNeighborsClassifier(15)) if kind == "estimated" else None
    package = packaged(make_spec, make_rows, make_package, task, estimator)
    found = explained(package)
    total = found.base_value + sum(contributions(found).values())
    assert found.prediction == pytest.approx(total)
    sizes = [abs(reason.contribution) for reason in found.reasons]
    assert sizes == sorted(sizes, reverse=True)
    assert found.reasons[0].feature == "a"
    assert ("estimated" in found.method) == (kind == "estimated")
    assert found.note == ""
    assert explained(package) == found


def test_what_is_served_is_what_the_reasons_lead_to(
    make_spec: Any, make_rows: Any, make_package: Any
) -> None:
    """In log-odds for boosting, whose probability is made of the sum."""
    boosting = HistGradientBoostingClassifier(max_iter=30)
    for estimator, scale in ((boosting, "log-odds"), (RandomForestClassifier(30), "probability")):
        package = packaged(make_spec, make_rows, make_package, TASKS[0], estimator)
        found = explained(package)
        assert found.scale == scale
        assert found.explained == "y is 1"
        leads_to = found.prediction if scale == "probability" else 1 / (1 + np.exp(-found.prediction))
        assert found.served == pytest.approx(leads_to, abs=1e-5)


def test_of_several_classes_the_one_that_is_predicted_is_explained(
    make_spec: Any, make_rows: Any, make_package: Any
) -> None:
    package = packaged(make_spec, make_rows, make_package, TASKS[1])
    reference = package.reference()
    for label in ("low", "top"):
        row = int(np.flatnonzero(reference["prediction"] == label)[0])
        found = explained(package, row)
        assert found.explained == f"y is {label}"
        assert found.served == pytest.approx(reference[f"probability_{label}"][row], abs=1e-6)


def test_estimated_reasons_are_near_the_exact_ones(make_spec: Any, make_rows: Any, make_package: Any) -> None:
    """The same linear model twice, once in a form of which nothing is known."""
    rows = make_rows(600, "regression")
    known = LinearRegression().fit(rows[["a", "b"]].astype("float32"), rows["y"])
    package = make_package(make_spec("regression"), rows, estimator=Unknown(known), onnx=False)
    found = explained(package)
    reference = package.reference()
    ordinary = reference.iloc[::3][["a", "b"]].astype("float32")
    expected = (reference.iloc[7][["a", "b"]].to_numpy(float) - ordinary.mean()) * known.coef_
    assert "estimated" in found.method
    assert contributions(found) == pytest.approx(expected.to_dict(), abs=1e-4)


class Unknown:
    """A model that only predicts."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def predict(self, features: Any) -> Any:
        return self.inner.predict(features)


def test_text_and_missing_values_are_told_as_they_are(make_spec: Any, make_package: Any) -> None:
    generator = np.random.default_rng(0)
    rows = pd.DataFrame(
        {
            "t": pd.date_range("2024-01-01", periods=600, freq="h"),
            "place": pd.Series(generator.choice(["EWR", "JFK"], 600)).astype("str"),
            "b": np.where(generator.random(600) < 0.1, np.nan, generator.normal(size=600)),
        }
    )
    rows["y"] = ((rows["place"] == "JFK") ^ (generator.random(600) < 0.1)).astype(int)
    data = {"features": [{"name": "place", "type": "string"}, {"name": "b", "nullable": True}]}
    training = {"estimator": "sklearn.ensemble.HistGradientBoostingClassifier"}
    package = make_package(make_spec(data=data, training=training), rows)
    reference = package.reference()
    row = int(np.flatnonzero(reference["b"].isna() & (reference["place"] == "JFK"))[0])
    found = explained(package, row)
    assert {reason.feature: reason.value for reason in found.reasons} == {"place": "JFK", "b": None}
    assert contributions(found)["place"] > 1  # of log-odds


def test_a_served_form_that_says_something_else_is_told(
    make_spec: Any, make_rows: Any, make_package: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = packaged(make_spec, make_rows, make_package, TASKS[0])
    other = LogisticRegression().fit(make_rows(50)[["a", "b"]].to_numpy(), make_rows(50)["y"])
    monkeypatch.setattr(package, "estimator", other)
    assert "gateway serves" in explained(package).note
