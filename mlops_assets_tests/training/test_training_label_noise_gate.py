"""The screen of training data passes honest rows, and finds rows that are there many times."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mlops_assets.data.features import FeatureView
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training.label_noise import measure_label_noise
from mlops_assets.verdict import Verdict, judge
from mlops_assets_tests.vouching import rules_of

RULES = rules_of("limited").gates.label_noise


@pytest.fixture(scope="module")
def spec(make_spec: Callable[..., ModelSpec]) -> ModelSpec:
    return make_spec(data={"features": ["a", "b", {"name": "shop", "type": "string"}]})


def honest(rows: int = 8_000, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    score = generator.normal(size=rows)
    return pd.DataFrame(
        {
            "t": pd.date_range("2024-01-01", periods=rows, freq="11min").astype("datetime64[us]"),
            "a": score,
            "b": generator.normal(size=rows),
            "shop": pd.Series(generator.choice(list("uvwxyz"), rows)).astype("str"),
            "y": (generator.random(rows) < 1 / (1 + np.exp(-3 * score))).astype(int),
        }
    )


def screened(rows: pd.DataFrame, spec: ModelSpec) -> Verdict:
    features = FeatureView.from_spec(spec.data).compute(rows)
    return judge(measure_label_noise(features, rows, spec, RULES), RULES)


@pytest.mark.parametrize("seed", range(3))
def test_honest_rows_pass(spec: ModelSpec, seed: int) -> None:
    verdict = screened(honest(seed=seed), spec)
    assert verdict.passed, verdict.summary


def test_rows_that_are_there_many_times_are_found(spec: ModelSpec) -> None:
    rows = honest()
    again = rows.sample(400, random_state=0)
    verdict = screened(pd.concat([rows, again]).sort_values("t", ignore_index=True), spec)
    assert not verdict.passed
