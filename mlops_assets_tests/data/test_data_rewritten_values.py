"""What happened does not change: a source that tells it otherwise than last time is found out."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from mlops_assets.data.rewritten_values import rewritten_values
from mlops_assets.specs.data_spec import Data
from mlops_assets.specs.model_spec import ModelSpec

N = 1_000


@pytest.fixture
def data(make_spec: Callable[..., ModelSpec]) -> Data:
    features = ["x", {"name": "place", "type": "string"}]
    return make_spec(data={"features": features, "key": ["id"]}).data


@pytest.fixture
def rows() -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.DataFrame({"id": range(N), "x": draw.normal(size=N), "place": draw.choice(["a", "b"], N)})


def test_rows_that_are_as_they_were_were_not_rewritten(data: Data, rows: pd.DataFrame) -> None:
    later = pd.concat([rows.iloc[200:], rows.assign(id=rows["id"] + N, x=0.0)]).sample(frac=1, random_state=0)
    assert rewritten_values(later, rows, data) == {"x": 0.0, "place": 0.0}


def test_the_share_of_known_rows_that_are_told_otherwise_is_measured(data: Data, rows: pd.DataFrame) -> None:
    later = rows.assign(x=rows["x"].where(rows["id"] >= 300, rows["x"] * 1.609))
    assert rewritten_values(later, rows, data) == {"x": pytest.approx(0.3), "place": 0.0}
    assert rewritten_values(rows.assign(place="c"), rows, data)["place"] == 1.0
    assert rewritten_values(rows.assign(x=np.nan), rows, data)["x"] == 1.0


def test_what_was_missing_and_is_known_now_was_not_rewritten(data: Data, rows: pd.DataFrame) -> None:
    before = rows.assign(x=rows["x"].mask(rows["id"] < 500))
    assert rewritten_values(rows, before, data)["x"] == 0.0


def test_without_a_key_or_without_known_rows_nothing_is_told(
    data: Data, rows: pd.DataFrame, make_spec: Callable[..., ModelSpec]
) -> None:
    assert rewritten_values(rows, rows, make_spec(data={"features": ["x"]}).data) == {}
    assert rewritten_values(rows.assign(id=rows["id"] + N), rows, data) == {}
    assert rewritten_values(rows.assign(id=rows["id"].astype(str)), rows, data) == {}
