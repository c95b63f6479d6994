"""Groups take in every row once, and bounds of shares are Wilson's."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.proportion import proportion_confint

from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training.groups import PERIOD, groups_of, members, wilson_bounds

MakeSpec = Callable[..., ModelSpec]


def rows(count: int = 400, freq: str = "h") -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "t": pd.date_range("2024-01-01", periods=count, freq=freq).astype("datetime64[us]"),
            "number": np.where(generator.random(count) < 0.1, np.nan, generator.normal(size=count)),
            "flag": generator.integers(0, 2, count).astype(float),
            "word": pd.Series(generator.choice(["x", "y", None], count)).astype("str"),
            "y": generator.integers(0, 2, count),
        }
    )


@pytest.fixture
def spec(make_spec: MakeSpec) -> ModelSpec:
    features = ["number", {"name": "flag", "type": "boolean"}, {"name": "word", "type": "string"}]
    return make_spec(data={"features": features})


def test_every_row_is_in_one_group_of_each_column_the_missing_in_their_own(spec: ModelSpec) -> None:
    data = rows()
    groups = groups_of(data, data["t"], spec)
    assert list(groups) == ["number", "flag", "word", PERIOD]
    for values in groups.values():
        assert values.notna().all()
        assert values.index.equals(data.index)
    assert set(groups["flag"]) == {"0.0", "1.0"}
    assert set(groups["word"]) == {"x", "y", "nan"}
    counts = groups["number"].value_counts()
    assert counts["nan"] == data["number"].isna().sum()
    assert len(counts) == 5
    assert counts.drop("nan").max() - counts.drop("nan").min() <= 1


@pytest.mark.parametrize(("freq", "periods"), [("h", 4), ("8h", 19), ("7D", 26)])
def test_periods_are_weeks_but_neither_too_few_nor_too_many(spec: ModelSpec, freq: str, periods: int) -> None:
    data = rows(400, freq)
    values = groups_of(data, data["t"], spec)[PERIOD]
    assert values.nunique() == periods
    assert values.sort_values().equals(values)
    backwards = data[::-1]
    assert groups_of(backwards, backwards["t"], spec)[PERIOD].sort_index().equals(values)


def test_rows_of_one_moment_are_one_period(spec: ModelSpec) -> None:
    data = rows().assign(t=pd.Timestamp("2024-01-01"))
    assert groups_of(data, data["t"], spec)[PERIOD].nunique() == 1


def test_a_group_needs_rows_and_others_outside_of_it() -> None:
    groups = {"a": pd.Series(["x"] * 95 + ["y"] * 5), "b": pd.Series(["u"] * 40 + ["v"] * 60)}
    found = [(column, value, int(mask.sum())) for column, value, mask in members(groups, 10)]
    assert sorted(found) == [("b", "u", 40), ("b", "v", 60)]
    assert len(list(members(groups, 5))) == 4


@given(n=st.integers(1, 10_000), share=st.floats(0, 1), confidence=st.floats(0.5, 0.9999))
def test_bounds_of_shares_are_those_of_the_textbook(n: int, share: float, confidence: float) -> None:
    hits = round(n * share)
    low, high = wilson_bounds(np.array([hits]), np.array([n]), norm.isf((1 - confidence) / 2))
    expected = proportion_confint(hits, n, alpha=1 - confidence, method="wilson")
    np.testing.assert_allclose([low[0], high[0]], expected, atol=1e-9)
    assert 0 <= low[0] <= hits / n + 1e-12
    assert hits / n - 1e-12 <= high[0] <= 1
