"""Latency, size and cost are measured on the package that serves, and held against the policy."""

from collections.abc import Callable

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.evaluation.serving_budget import measure_cost, measure_serving_budget
from mlops_assets.specs.gate_rules import CostRules, ServingBudgetRules
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training.package import PackagedModel
from mlops_assets.verdict import Measurement, judge

BUDGET = ServingBudgetRules(required=True, max_p99_ms=200, max_size_mb=1)
COST = CostRules(required=True, max_per_1000=1, price_per_cpu_hour=36)


class Dear(LogisticRegression):
    """A model that works a while for each row."""

    def predict_proba(self, X: pd.DataFrame) -> object:
        for _ in range(40 * len(X)):
            super().predict_proba(X)
        return super().predict_proba(X)


@pytest.fixture(scope="module")
def holdouts(
    make_spec: Callable[..., ModelSpec],
    make_rows: Callable[..., pd.DataFrame],
    make_package: Callable[..., PackagedModel],
) -> dict[str, Holdout]:
    spec, rows = make_spec(data={"features": ["a"]}), make_rows(400)
    later = rows[rows["t"] >= rows["t"].quantile(0.5)]
    fitted = Dear().fit(rows[["a"]].astype("float32"), rows["y"])
    return {
        "quick": Holdout(spec, make_package(spec, rows), later),
        "dear": Holdout(spec, make_package(spec, rows, estimator=fitted, onnx=False), later),
    }


def figures(measurement: Measurement) -> dict[str, float]:
    return {f.name: f.value for f in measurement.figures if f.value is not None}


def test_what_is_measured_is_in_order_and_grows_with_the_work(holdouts: dict[str, Holdout]) -> None:
    quick, dear = (figures(measure_serving_budget(holdouts[n], BUDGET)) for n in ("quick", "dear"))
    assert 0 < quick["p50 ms"] <= quick["p99 ms"]
    assert dear["p50 ms"] > 3 * quick["p50 ms"]
    folder = holdouts["quick"].package.folder
    assert quick["size MB"] == sum(f.stat().st_size for f in folder.iterdir()) / 1e6


def test_a_budget_that_is_not_kept_is_a_breach(holdouts: dict[str, Holdout]) -> None:
    measured = measure_serving_budget(holdouts["dear"], BUDGET)
    assert judge(measured, BUDGET).passed
    tight = BUDGET.model_copy(update={"max_p99_ms": 1e-6, "max_size_mb": 1e-6})
    assert [b.figure for b in judge(measured, tight).breaches] == ["p99 ms", "size MB"]


def test_cost_is_processor_time_at_the_policys_price(holdouts: dict[str, Holdout]) -> None:
    quick, dear = (figures(measure_cost(holdouts[n], COST)) for n in ("quick", "dear"))
    # 36 for an hour is a hundredth for a second.
    assert quick["cost of 1,000 predictions"] == pytest.approx(quick["processor seconds for 1,000"] / 100)
    assert dear["cost of 1,000 predictions"] > 3 * quick["cost of 1,000 predictions"]
    assert quick["cost of 1,000 predictions in batches"] < quick["cost of 1,000 predictions"]
    dearer = measure_cost(holdouts["dear"], COST)
    assert not judge(dearer, COST.model_copy(update={"max_per_1000": 1e-9})).passed
