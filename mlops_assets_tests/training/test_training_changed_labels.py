"""A label that is another one than when the same row was trained on before is seen, without any model."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.specs.data_spec import Data
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training.changed_labels import changed_labels
from mlops_assets.training.groups import GroupFigure

N = 4_000


@pytest.fixture
def data(make_spec: Callable[..., ModelSpec]) -> Data:
    return make_spec(data={"features": ["a"], "key": ["id"]}).data


def table(label: Any = None) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "id": [f"row {i}" for i in range(N)],
            "t": pd.date_range("2024-01-01", periods=N, freq="h"),
            "a": generator.normal(size=N),
            "y": generator.integers(0, 2, N) if label is None else label,
            "g": np.where(np.arange(N) % 4 == 0, "few", "many"),
        }
    )


def shares(rows: pd.DataFrame, previous: pd.DataFrame, data: Data) -> dict[str, GroupFigure]:
    found = changed_labels(rows, previous, data, {"g": rows["g"]}, confidence=0.99, min_rows=100)
    return {figure.value: figure for figure in found}


def test_labels_that_changed_are_counted_by_group(data: Data) -> None:
    before, now = table(), table()
    changed = now.index[(now["g"] == "few")][::10]
    now.loc[changed, "y"] = 1 - now.loc[changed, "y"]
    found = shares(now, before, data)
    assert (found["few"].rows, found["few"].estimate) == (1000, 0.1)
    assert 0.03 < found["few"].low < 0.1 < (found["few"].high or 0)
    assert (found["many"].estimate, found["many"].low) == (0, 0)


def test_rows_are_known_by_their_key_whatever_their_order(data: Data) -> None:
    before, now = table(), table()
    assert shares(now, before.sample(frac=1, random_state=0), data)["few"].estimate == 0
    assert shares(now.sample(frac=1, random_state=0), before, data)["few"].estimate == 0


def test_only_rows_that_were_there_before_are_counted(data: Data) -> None:
    before, now = table()[:2000], table()[1000:]
    found = shares(now.assign(y=1 - now["y"]), before, data)
    assert (found["few"].rows, found["many"].rows) == (250, 750)
    assert found["few"].estimate == found["many"].estimate == 1
    assert shares(now, table()[:1000], data) == {}


def test_rows_without_a_key_are_known_by_all_they_say(make_spec: Callable[..., ModelSpec]) -> None:
    data = make_spec(data={"features": ["a"]}).data
    now = table()
    found = shares(now.assign(y=1 - now["y"], a=now["a"].where(now["g"] == "few", 0.0)), table(), data)
    assert list(found) == []  # of one group nothing is left to compare with
    found = shares(now.assign(y=1 - now["y"]), table(), data)
    assert {f.estimate for f in found.values()} == {1}


def test_a_row_that_cannot_be_told_from_another_says_nothing(data: Data) -> None:
    before = pd.concat([table(), table().assign(y=lambda t: 1 - t["y"])])
    assert shares(table(), before, data) == {}


def test_a_number_computed_anew_may_differ_in_its_last_digit(data: Data) -> None:
    numbers = np.random.default_rng(0).normal(size=N)
    before, now = table(numbers), table(numbers * (1 + 1e-15))
    assert shares(now, before, data)["few"].estimate == 0
    assert shares(table(numbers * 1.01), before, data)["few"].estimate == 1


def test_what_cannot_be_matched_is_not_compared(data: Data) -> None:
    before = table()
    assert shares(table(), before.drop(columns="id"), data) == {}
    assert shares(table(), before.drop(columns="y"), data) == {}
    assert shares(table(), before.assign(id=range(N)), data) == {}
    assert shares(table(), before.assign(y=before["y"].astype(float)), data)["few"].estimate == 0
