"""Faults put into raw columns: small where they should be small, and within what a client may send."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.evaluation.perturbation import (
    categorical,
    noisy,
    numeric,
    reachable,
    spread,
    undeclared,
    without,
)
from mlops_assets.specs.data_spec import Column

COLUMNS = (
    Column(name="level", range=(0, 10)),
    Column(name="count", type="integer"),
    Column(name="code", allowed=(1.0, 2.0)),
    Column(name="place", type="string"),
    Column(name="flag", type="boolean"),
    Column(name="when", type="datetime"),
    Column(name="clock"),
)


def table(rows: int = 2_000) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "level": generator.uniform(0, 10, rows),
            "count": generator.integers(0, 1_000, rows).astype(float),
            "code": generator.choice([1.0, 2.0], rows),
            "place": pd.Series(generator.choice(["EWR", "JFK"], rows)).astype("str"),
            "flag": generator.integers(0, 2, rows).astype(float),
            "when": pd.date_range("2024-01-01", periods=rows, freq="h"),
            "clock": np.arange(rows, dtype=float),
        }
    )


def test_times_are_neither_numbers_nor_categories() -> None:
    assert [c.name for c in numeric(COLUMNS, "clock")] == ["level", "count"]
    assert [c.name for c in categorical(COLUMNS, "clock")] == ["code", "place", "flag"]


def test_noise_is_small_stays_in_the_declaration_and_leaves_times_alone() -> None:
    rows = table()
    numbers, categories = numeric(COLUMNS, "clock"), categorical(COLUMNS, "clock")
    moved = noisy(rows, numbers, categories, 0.05, seed=1)
    assert moved["level"].between(0, 10).all()
    assert (moved["level"] - rows["level"]).std() == pytest.approx(0.05 * spread(rows["level"]), rel=0.1)
    assert set(moved["count"]) <= set(rows["count"])
    assert 0.01 < (moved["place"] != rows["place"]).mean() < 0.05
    assert set(moved["code"]) == {1.0, 2.0}
    pd.testing.assert_frame_equal(moved[["when", "clock"]], rows[["when", "clock"]])
    pd.testing.assert_frame_equal(moved, noisy(rows, numbers, categories, 0.05, seed=1))
    assert not moved.equals(noisy(rows, numbers, categories, 0.05, seed=2))


def test_missing_values_stay_missing_under_noise() -> None:
    rows = table()
    rows.loc[::3, "level"] = np.nan
    moved = noisy(rows, numeric(COLUMNS, "clock"), [], 0.05, seed=0)
    assert (moved["level"].isna() == rows["level"].isna()).all()


def test_noise_does_not_put_values_between_the_steps_of_a_scale() -> None:
    rows = pd.DataFrame({"rain": [0.0] * 90 + [1.0, 2.0, 3.0, 4.0, 5.0] * 2, "all_missing": [np.nan] * 100})
    moved = noisy(rows, [Column(name="rain"), Column(name="all_missing")], [], 0.05, seed=0)
    pd.testing.assert_frame_equal(moved, rows)


def test_the_spread_of_what_is_mostly_nothing_is_that_of_the_rest() -> None:
    rain = pd.Series([0.0] * 90 + list(np.linspace(1, 5, 10)))
    assert spread(rain) == pytest.approx(2.0)
    assert spread(pd.Series([3.0] * 10)) == 0.0


@given(
    values=st.lists(st.floats(-1e6, 1e6) | st.just(math.nan), min_size=1, max_size=30),
    reach=st.floats(0, 1e6),
)
def test_an_attack_reaches_values_that_occur_within_its_reach_and_no_others(
    values: list[float], reach: float
) -> None:
    own = np.asarray(values)
    least, greatest = reachable(own, own, reach)
    for value, low, high in zip(own, least, greatest, strict=True):
        if math.isnan(value):
            assert math.isnan(low)
            assert math.isnan(high)
            continue
        within = [v for v in values if value - reach <= v <= value + reach]
        assert (low, high) == (min(within), max(within))


def test_missing_values_are_put_into_the_named_columns_only() -> None:
    rows = table()
    lost = without(rows, ["level", "place"], 0.1, seed=0)
    assert lost[["level", "place"]].isna().mean().between(0.07, 0.13).all()
    assert not (lost["level"].isna() == lost["place"].isna()).all()
    pd.testing.assert_frame_equal(
        lost.drop(columns=["level", "place"]), rows.drop(columns=["level", "place"])
    )
    assert without(rows, ["place"], 1.0, seed=0)["place"].isna().all()


@pytest.mark.parametrize(
    ("column", "refused"),
    [
        (Column(name="a", range=(0, 2)), [False, False, True, False]),
        (Column(name="a", range=(2, None)), [True, True, False, False]),
        (Column(name="a", type="integer"), [False, True, False, False]),
        (Column(name="a", allowed=(1, 5)), [False, True, False, False]),
        (Column(name="a"), [False, False, False, False]),
    ],
)
def test_a_declaration_refuses_what_it_does_not_allow_and_nothing_that_is_missing(
    column: Column, refused: list[bool]
) -> None:
    assert undeclared(pd.Series([1.0, 1.5, 5.0, np.nan]), column).tolist() == refused
