"""Rows of the hold-out that are written into the training rows once more are found, look-alikes are not."""

import numpy as np
import pandas as pd
import pytest

from mlops_assets.training.seen_rows import seen_rows

N = 4_000


def rows(values: int, seed: int = 0) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    return pd.DataFrame(
        {"a": draw.integers(0, values, N), "b": draw.integers(0, values, N), "y": draw.integers(0, 2, N)}
    )


@pytest.mark.parametrize("values", [3, 30, 100, 10**6])
def test_rows_that_happen_to_look_alike_are_no_copies(values: int) -> None:
    found = seen_rows(rows(values), rows(values, seed=1).head(1_000), ["a", "b", "y"], 0.99)
    assert found.low == 0


@pytest.mark.parametrize("values", [100, 10**6])
def test_a_backfill_of_a_fifth_of_the_holdout_is_found(values: int) -> None:
    judged = rows(values, seed=1).head(1_000)
    learnt = pd.concat([rows(values), judged.head(200)])
    found = seen_rows(learnt, judged, ["a", "b", "y"], 0.99)
    assert found.low is not None
    assert 0.05 < found.low < 0.2
    assert "look like one of them" in found.note
