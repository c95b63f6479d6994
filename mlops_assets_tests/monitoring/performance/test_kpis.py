"""Business figures: joined to predictions, held against their target, and harmless when they fail."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from mlops_assets.monitoring.performance.kpis import KpiResult, measure_kpi
from mlops_assets.specs.monitoring_spec import BusinessFigure

START, END = datetime(2024, 3, 1), datetime(2024, 3, 31)
FUNCTIONS = "mlops_assets_tests.monitoring.performance.kpi_functions"


@pytest.fixture
def predictions() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    times = pd.date_range(START, END, periods=901)[:900].astype("datetime64[us]")
    return pd.DataFrame(
        {
            "prediction_id": [f"p{i}" for i in range(900)],
            "event_time": times,
            "version": "3",
            "output": generator.beta(2, 2, 900),
        }
    )


def measured(predictions: pd.DataFrame, function: str | None = None, **more: Any) -> KpiResult:
    reference = None if function is None else f"{FUNCTIONS}:{function}"
    keys = {key: more.pop(key) for key in ("goal", "target", "sql") if key in more}
    figure = BusinessFigure(
        **{"name": "bookings", "goal": "higher", "target": 4.0, "function": reference, **keys}
    )
    return measure_kpi(figure, predictions, start=START, end=END, **more)


def test_values_by_prediction_have_an_interval_and_a_verdict(predictions: pd.DataFrame) -> None:
    found = measured(predictions, "bookings")
    assert found.verdict == "met"
    assert found.value == pytest.approx(10 * predictions["output"].mean())
    assert found.low is not None
    assert found.high is not None
    assert 4.0 < found.low < found.value < found.high < 6.0
    assert found.rows == 900
    assert "the target ≥ 4 is met" in found.told
    assert measured(predictions, "bookings", target=8.0).verdict == "missed"
    assert measured(predictions, "bookings", target=found.value).verdict == "unclear"
    assert measured(predictions, "bookings", goal="lower").verdict == "missed"
    assert measured(predictions, "table", target=1.0).verdict == "met"


def test_a_figure_of_the_window_is_judged_by_what_windows_differ_by(predictions: pd.DataFrame) -> None:
    alone = measured(predictions, "revenue", target=800.0)
    assert (alone.verdict, alone.value, alone.low, alone.rows) == ("met", 900.0, None, 0)
    assert "is known after 8 windows" in alone.told
    earlier = list(np.random.default_rng(0).normal(900, 100, 12))
    found = measured(predictions, "revenue", target=800.0, earlier=earlier)
    assert found.verdict == "unclear"
    assert found.low is not None
    assert found.low < 800
    assert measured(predictions, "revenue", target=100.0, earlier=earlier).verdict == "met"


@pytest.mark.parametrize(
    ("function", "why"),
    [
        ("breaks", "kpi_functions:breaks failed: KeyError: 'shop'"),
        ("nothing", "returned no value for this window"),
        ("text", "returned str; return a number, or values by prediction_id"),
        ("endless", "returned inf"),
        ("texts", "has 900 values that are no numbers, such as 'many'"),
        ("twice", "has several values for prediction 'p0'"),
        ("of_another_shape", "returned rows without prediction_id; it has id, value"),
        ("no_such", "has no function 'no_such'"),
    ],
)
def test_what_fails_is_told_and_harms_nothing(predictions: pd.DataFrame, function: str, why: str) -> None:
    before = predictions.copy()
    found = measured(predictions, function)
    assert found.verdict == "cannot_tell"
    assert found.told.startswith("bookings: ")
    assert why in found.told
    pd.testing.assert_frame_equal(predictions, before)


def test_what_a_function_does_to_the_rows_stays_with_it(predictions: pd.DataFrame) -> None:
    before = predictions.copy()
    assert measured(predictions, "ruins", target=0.5).verdict == "met"
    pd.testing.assert_frame_equal(predictions, before)


def test_values_of_other_predictions_are_left_out_and_told(predictions: pd.DataFrame) -> None:
    found = measured(predictions, "strangers")
    assert found.rows == 900
    assert "2 values belong to no prediction of this window" in found.told
    few = measured(predictions.head(10), "bookings")
    assert few.told == "bookings: 10 predictions have a value, an interval needs 30"


def test_values_may_come_as_feedback(predictions: pd.DataFrame) -> None:
    values = pd.Series(5.0 + np.arange(900) % 3, index=predictions["prediction_id"])
    found = measured(predictions, feedback=values)
    assert (found.verdict, found.value) == ("met", 6.0)
    assert measured(predictions).told == "bookings: no value came as feedback of kind kpi:bookings"


@pytest.fixture
def shop(tmp_path: Path, predictions: pd.DataFrame) -> str:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    engine = sa.create_engine(url)
    orders = predictions.assign(value=predictions["output"] * 10, at=predictions["event_time"])
    orders[["prediction_id", "value", "at"]].to_sql("orders", engine, index=False)
    engine.dispose()
    return url


def test_a_query_gives_values_by_prediction_or_one(predictions: pd.DataFrame, shop: str) -> None:
    by_prediction = "SELECT prediction_id, value FROM orders WHERE at >= :start AND at < :end"
    found = measured(predictions, sql={"url": shop, "query": by_prediction})
    assert found.value == pytest.approx(10 * predictions["output"].mean())
    assert (found.verdict, found.rows) == ("met", 900)
    total = measured(predictions, sql={"url": shop, "query": "SELECT SUM(value) FROM orders"}, target=1.0)
    assert total.value == pytest.approx(10 * predictions["output"].sum())
    assert total.rows == 0


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("SELECT value FROM nowhere", "the query failed: DatabaseError: Execution failed on sql"),
        ("SELECT SUM(value) FROM orders WHERE value < 0", "the query returned no value for this window"),
        ("SELECT at, value FROM orders", "the query returned rows without prediction_id; it has at, value"),
    ],
)
def test_a_query_that_fails_is_told(predictions: pd.DataFrame, shop: str, query: str, why: str) -> None:
    found = measured(predictions, sql={"url": shop, "query": query})
    assert found.verdict == "cannot_tell"
    assert why in found.told


def test_a_database_that_nobody_named_is_told(
    predictions: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_SHOP", raising=False)
    found = measured(predictions, sql={"url_env": "NO_SHOP", "query": "SELECT 1"})
    assert found.told == "bookings: the environment variable NO_SHOP holds no database URL; set it"
