"""Harm: measured, not shown, or not to be told; against the hold-out and against stable windows."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.monitoring.performance.harm import FEWEST_WINDOWS, Harm, judge
from mlops_assets.monitoring.performance.measured import Measured


def figure(value: float, margin: float = 0.01) -> Measured:
    return Measured(value, value - margin, value + margin, margin / 2, 30.0)


def judged(value: float, holdout: float | None = 0.7, metric: str = "roc_auc", **more: Any) -> Harm:
    return judge(metric, figure(value), holdout, **{"tolerance": 0.02, **more})


@given(
    st.sampled_from(["roc_auc", "brier"]),
    st.floats(0.2, 0.9),
    st.floats(0.2, 0.9),
    st.floats(0.001, 0.2),
    st.floats(0, 0.1),
)
def test_against_the_hold_out_alone_the_whole_interval_has_to_be_worse(
    metric: str, value: float, holdout: float, margin: float, tolerance: float
) -> None:
    now = judge(metric, figure(value, margin), holdout, tolerance=tolerance)
    loss = holdout - (value + margin) if metric == "roc_auc" else (value - margin) - holdout
    if abs(loss - tolerance) > 1e-9:
        assert (now.outcome == "measured") == (loss > tolerance)


def test_the_sentence_holds_the_figures() -> None:
    found = judged(0.6)
    assert found.outcome == "measured"
    assert found.reason == (
        "roc_auc 0.6000 [0.5900, 0.6100] against 0.7000 on the hold-out: worse by more than 0.02"
    )
    assert judged(0.69).reason.endswith("not shown to be worse by more than 0.02")
    assert judged(0.8, 0.7, "brier").outcome == "measured"
    assert judged(0.6, 0.7, "brier").outcome == "not_shown"


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (judged(0.6, missing="12 labels of 40 due rows"), "12 labels of 40 due rows"),
        (judge("roc_auc", None, 0.7, tolerance=0.02), "roc_auc is not defined on these labels"),
        (judged(0.6, None), "roc_auc is not defined on the hold-out"),
        (
            judge("roc_auc", Measured(0.6, math.nan, math.nan, math.nan, 1.0), 0.7, tolerance=0.02),
            "roc_auc rests on too few blocks for an interval",
        ),
    ],
)
def test_what_cannot_be_told_says_why(found: Harm, why: str) -> None:
    assert (found.outcome, found.reason) == ("cannot_tell", why)


def windows(spread: float, mean: float = 0.7, count: int = 12, seed: int = 0) -> list[Measured]:
    return [figure(value) for value in np.random.default_rng(seed).normal(mean, spread, count)]


def test_what_windows_differ_by_on_their_own_is_no_harm() -> None:
    restless = windows(0.03)
    assert judged(0.66).outcome == "measured"
    found = judged(0.66, stable=restless)
    assert found.outcome == "not_shown"
    assert found.reason.endswith("as windows differ by as much while nothing is wrong")
    assert judged(0.5, stable=restless).outcome == "measured"


def test_a_model_that_used_to_be_better_than_its_hold_out_is_held_to_that() -> None:
    found = judged(0.69, stable=windows(0.004, mean=0.75))
    assert found.outcome == "measured"
    assert "worse than 12 stable windows by more than 0.02" in found.reason
    assert [each.worse for each in found.standards] == [False, True]


def test_few_windows_do_not_count() -> None:
    few = windows(0.03, count=FEWEST_WINDOWS - 1)
    assert judged(0.66, stable=few).outcome == "measured"
    assert len(judged(0.66, stable=few).standards) == 1


def test_windows_that_vary_call_harm_no_more_often_than_they_may() -> None:
    """A year of weeks of a model that is as it was: with a tolerance, hardly ever."""
    called = alone = weeks = 0
    for seed in range(40):
        generator = np.random.default_rng(seed)
        values = generator.normal(0.7, 0.025, 64)
        known = [figure(value, 0.01) for value in values[:12]]
        for value in values[12:]:
            called += judged(float(value), 0.7, stable=known, tolerance=0.01).outcome == "measured"
            alone += judged(float(value), 0.7, tolerance=0.01).outcome == "measured"
            weeks += 1
    assert called / weeks < 0.025
    assert alone / weeks > 0.1


def test_a_window_with_fewer_rows_is_given_more_room() -> None:
    known = windows(0.01)
    steady = judge("roc_auc", figure(0.64), 0.7, tolerance=0.02, stable=known)
    loose = judge("roc_auc", figure(0.64, 0.06), 0.7, tolerance=0.02, stable=known)
    assert (steady.outcome, loose.outcome) == ("measured", "not_shown")
