"""Slices: each group's figure, where there is enough of it to have one."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from mlops_assets.evaluation.slices import FEWEST_ROWS, measure_slices

N = 1_000
GENERATOR = np.random.default_rng(0)
TARGET = GENERATOR.integers(0, 2, N).astype(float)
PREDICTED = np.clip(0.3 * TARGET + 0.7 * GENERATOR.random(N), 0, 1)
DAYS = np.arange(N) // 50


def test_each_group_has_the_figure_of_its_own_rows() -> None:
    groups = pd.DataFrame(
        {
            "place": pd.Series(GENERATOR.choice(["EWR", "JFK"], N)).astype("str"),
            "level": GENERATOR.integers(0, 2, N).astype(float),
        }
    )
    predicted = np.where(groups["place"] == "JFK", 1 - PREDICTED, PREDICTED)
    found = {(s.column, s.value): s for s in measure_slices("roc_auc", groups, TARGET, predicted, DAYS)}
    assert set(found) == {("place", "EWR"), ("place", "JFK"), ("level", "0.0"), ("level", "1.0")}
    for (column, value), figure in found.items():
        mask = (groups[column].astype(str) == value).to_numpy()
        assert figure.rows == mask.sum()
        assert figure.metric.value == pytest.approx(roc_auc_score(TARGET[mask], predicted[mask]))
        assert figure.metric.low <= figure.metric.value <= figure.metric.high
    # The average of the two looks like no model at all; the slices see what it hides.
    assert found["place", "EWR"].metric.value > 0.6 > 0.4 > found["place", "JFK"].metric.value


def test_groups_too_small_of_one_class_or_unnamed_are_left_out() -> None:
    names = np.array(["large"] * N, dtype=object)
    names[: FEWEST_ROWS - 1] = "small"
    names[100:200] = "one class"
    names[200:300] = None
    target = TARGET.copy()
    target[100:200] = 1.0
    groups = pd.DataFrame({"g": pd.Series(names).astype("str")})
    found = measure_slices("roc_auc", groups, target, PREDICTED, DAYS)
    assert [s.value for s in found] == ["large"]


def test_no_slices_no_figures() -> None:
    assert measure_slices("roc_auc", pd.DataFrame(index=range(N)), TARGET, PREDICTED, DAYS) == []
