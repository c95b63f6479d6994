"""The expected effect of a shift: right where nothing else changed, and silent where nothing can be known."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.evaluation.metrics import measure
from mlops_assets.monitoring.performance.blocks import Blocks, blocks_of
from mlops_assets.monitoring.performance.expected_effect import ExpectedEffect, expected_effect
from mlops_assets.monitoring.profiles.column import profiled
from mlops_assets_tests.monitoring.performance.conftest import Answered

DAYS, ROWS = 30, 100


def world(seed: int, mean: float = 0.0, days: int = DAYS, rare: float = 0.3) -> tuple[Any, Any, Any, Any]:
    """Return a column, a category, targets and predictions; rows are harder where the column is high."""
    generator = np.random.default_rng(seed)
    column = generator.normal(mean, 1, days * ROWS)
    kind = np.where(generator.random(days * ROWS) < rare, "rare", "usual")
    signal = generator.normal(size=days * ROWS) * 3
    noise = np.exp(0.7 * column) + 3 * (kind == "rare")
    target = (signal + noise * generator.normal(size=days * ROWS) > 0).astype(float)
    return column, kind, target, 1 / (1 + np.exp(-signal))


BLOCKS = Blocks(np.repeat(np.arange(DAYS), ROWS), DAYS, f"{DAYS} days", True)


def effect(
    values: Any, window: pa.Array, kind: Any, target: Any, predicted: Any, metric: str
) -> ExpectedEffect:
    return expected_effect("x", values, profiled(window, kind), target, predicted, BLOCKS, metric)


@pytest.mark.parametrize("metric", ["brier", "roc_auc", "log_loss"])
def test_a_shift_of_a_number_is_worth_what_it_costs(metric: str) -> None:
    column, _, target, predicted = world(0)
    moved, _, later, said = world(1, mean=0.8, days=300)
    found = effect(column, pa.array(moved), "number", target, predicted, metric)
    real = measure(metric, later, said) - measure(metric, *world(2, days=300)[2:])
    assert found.change is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low <= real <= found.high
    assert found.low < found.change < found.high
    assert "to the worse" in found.told
    assert found.unlike < 0.05


def test_a_shift_of_a_category_likewise() -> None:
    _, kind, target, predicted = world(0)
    _, moved, later, said = world(1, days=300, rare=0.8)
    found = effect(kind.tolist(), pa.array(moved.tolist()), "string", target, predicted, "brier")
    real = measure("brier", later, said) - measure("brier", *world(2, days=300)[2:])
    assert found.low is not None
    assert found.high is not None
    assert found.low <= real <= found.high


def test_no_shift_is_worth_nothing() -> None:
    column, _, target, predicted = world(0)
    found = effect(column, pa.array(column), "number", target, predicted, "brier")
    assert found.change == pytest.approx(0, abs=1e-3)
    assert found.unlike == pytest.approx(0, abs=1e-3)
    assert found.rows == pytest.approx(len(column), rel=0.01)


def test_its_rough_intervals_hold_mostly() -> None:
    held = 0
    truth = measure("brier", *world(900, mean=0.5, days=2000)[2:]) - measure(
        "brier", *world(901, days=2000)[2:]
    )
    for seed in range(100):
        column, _, target, predicted = world(seed)
        found = effect(column, pa.array(world(seed + 500, 0.5)[0]), "number", target, predicted, "brier")
        assert found.low is not None
        assert found.high is not None
        held += found.low <= truth <= found.high
    assert held >= 80


def test_what_the_hold_out_never_saw_cannot_be_told() -> None:
    column, kind, target, predicted = world(0)
    far = effect(column, pa.array(column + 50), "number", target, predicted, "brier")
    assert (far.change, far.unlike) == (None, 1.0)
    assert "cannot be told, 100% of the window has values of which the hold-out has hardly any" in far.told
    new = np.where(np.arange(len(kind)) % 5 == 0, "new", kind)
    partly = effect(kind.tolist(), pa.array(new.tolist()), "string", target, predicted, "brier")
    assert partly.change is not None
    assert partly.unlike == pytest.approx(0.2)
    assert "20% of the window has values" in partly.told


def test_missing_values_are_a_class() -> None:
    column, _, target, predicted = world(0)
    gaps = np.where(np.arange(len(column)) % 4 == 0, np.nan, column)
    more = np.where(np.arange(len(column)) % 2 == 0, np.nan, column)
    found = effect(gaps, pa.array(more, from_pandas=True), "number", target, predicted, "brier")
    assert found.change is not None
    assert found.unlike == pytest.approx(0, abs=0.01)
    assert found.rows < len(column)
    none = effect(np.full(len(column), np.nan), pa.array(column), "number", target, predicted, "brier")
    assert none.change is None


def test_of_an_area_that_is_not_defined_nothing_is_said() -> None:
    column, _, _, predicted = world(0)
    found = effect(column, pa.array(column + 0.2), "number", np.ones(len(column)), predicted, "roc_auc")
    assert found.change is None
    assert "roc_auc is not defined" in found.told


def test_on_real_flights_visibility_is_worth_something(flights: Answered) -> None:
    march = flights.between("2013-03-01", "2013-04-01")
    foggy = flights.between("2013-04-01", "2013-07-01")
    foggy = foggy.where(foggy.rows["visib"].to_numpy() < 9)
    found = expected_effect(
        "visib",
        march.rows["visib"].to_numpy(),
        profiled(pa.array(foggy.rows["visib"], from_pandas=True), "number"),
        march.target,
        march.outputs,
        blocks_of(march.times),
        "brier",
    )
    assert found.change is not None
    assert found.change > 0.005
