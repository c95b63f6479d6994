"""Intervals hold what they promise on data whose rows depend on their day."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.evaluation.intervals import intervals, paired_difference, time_blocks


def days(count: int, rows: int) -> Any:
    return np.repeat(np.arange(count), rows)


def errors_with_day_effect(generator: np.random.Generator, count: int, rows: int) -> Any:
    return generator.normal(size=count)[days(count, rows)] + generator.normal(size=count * rows)


@pytest.mark.parametrize(("count", "least"), [(14, 0.86), (30, 0.90)])
def test_intervals_cover_the_truth_nearly_as_often_as_they_say(count: int, least: float) -> None:
    generator = np.random.default_rng(0)
    truth = np.sqrt(2) * np.sqrt(2 / np.pi)  # mean absolute value of the errors' distribution
    covered = rows_only = 0
    repeats = 150
    for seed in range(repeats):
        errors = errors_with_day_effect(generator, count, 40)
        target = np.zeros(len(errors))
        block = intervals(["mae"], target, errors, days(count, 40), seed=seed, resamples=200)["mae"]
        naive = intervals(["mae"], target, errors, np.arange(len(errors)), seed=seed, resamples=200)["mae"]
        covered += block.low <= truth <= block.high
        rows_only += naive.low <= truth <= naive.high
    assert covered / repeats >= least
    assert rows_only / repeats < 0.7  # why rows are not resampled one by one


def challenge(generator: np.random.Generator, count: int, rows: int, noise: float) -> tuple[Any, Any, Any]:
    """Return targets and two models' probabilities; the challenger's noise may be smaller."""
    n = count * rows
    signal = generator.normal(size=n)
    chance = 1 / (1 + np.exp(-2 * signal - errors_with_day_effect(generator, count, rows) / 2))
    target = (generator.random(n) < chance).astype(float)
    models = (
        1 / (1 + np.exp(-2 * signal - scale * errors_with_day_effect(generator, count, rows)))
        for scale in (noise, 0.5)
    )
    return target, *models


def wins(count: int, noise: float, repeats: int, metric: str = "brier", margin: float = 0.0) -> float:
    generator = np.random.default_rng(1)
    won = 0
    for seed in range(repeats):
        target, challenger, champion = challenge(generator, count, 30, noise)
        found = paired_difference(
            metric, target, challenger, champion, days(count, 30), seed=seed, resamples=200, margin=margin
        )
        won += found.gain > margin and found.p_value < 0.05
    return won / repeats


@pytest.mark.parametrize("count", [6, 14, 30])
def test_an_equal_challenger_wins_no_more_often_than_the_level_says(count: int) -> None:
    assert wins(count, 0.5, 200) <= 0.09  # 5 % and three standard errors


def test_a_better_challenger_wins_and_more_so_with_more_days() -> None:
    assert wins(30, 0.1, 60) > 0.8
    assert wins(30, 0.1, 60) >= wins(6, 0.1, 60)


def test_a_gain_below_the_margin_is_no_win() -> None:
    assert wins(30, 0.1, 40, margin=0.2) == 0.0


def test_the_sign_of_a_gain_follows_the_metric() -> None:
    target, good, bad = challenge(np.random.default_rng(0), 20, 30, 0.0)
    for metric in ("brier", "log_loss", "roc_auc", "accuracy"):
        assert paired_difference(metric, target, good, bad, days(20, 30)).gain > 0, metric
        assert paired_difference(metric, target, bad, good, days(20, 30)).gain < 0, metric


def test_a_model_does_not_beat_itself() -> None:
    target, model, _ = challenge(np.random.default_rng(0), 20, 30, 0.3)
    found = paired_difference("roc_auc", target, model, model, days(20, 30))
    assert (found.gain, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.p_value > 0.5


def test_one_seed_gives_one_interval() -> None:
    target, model, other = challenge(np.random.default_rng(0), 20, 30, 0.3)
    args = (["roc_auc", "brier"], target, model, days(20, 30))
    assert intervals(*args, seed=3) == intervals(*args, seed=3) != intervals(*args, seed=4)
    paired = ("brier", target, model, other, days(20, 30))
    assert paired_difference(*paired, seed=3) == paired_difference(*paired, seed=3)


def test_the_interval_holds_the_value_and_shrinks_with_confidence() -> None:
    target, model, _ = challenge(np.random.default_rng(0), 20, 30, 0.3)
    wide = intervals(["roc_auc"], target, model, days(20, 30), confidence=0.99)["roc_auc"]
    slim = intervals(["roc_auc"], target, model, days(20, 30), confidence=0.8)["roc_auc"]
    assert wide.low < slim.low < slim.value == wide.value < slim.high < wide.high
    assert str(slim).startswith(f"{slim.value:.4f} [")


def test_where_a_metric_is_not_defined_nothing_is_claimed() -> None:
    target, guess = np.ones(50), np.linspace(0, 1, 50)
    found = intervals(["roc_auc"], target, guess, days(10, 5))["roc_auc"]
    assert np.isnan([found.value, found.low, found.high]).all()
    difference = paired_difference("roc_auc", target, guess, 1 - guess, days(10, 5))
    assert np.isnan(difference.gain)
    assert difference.p_value == 1.0
    single = intervals(["mae"], target[:1], guess[:1], days(1, 1))["mae"]
    assert (single.value, np.isnan(single.low)) == (1.0, True)


def test_a_rare_class_missing_from_some_resamples_does_no_harm() -> None:
    target = np.zeros(200)
    target[:2] = 1
    generator = np.random.default_rng(0)
    found = intervals(["roc_auc"], target, generator.random(200), np.arange(200) // 10)["roc_auc"]
    assert np.isfinite([found.value, found.low, found.high]).all()


def test_blocks_are_days_or_hours_where_days_are_few() -> None:
    many = pd.Series(pd.date_range("2024-01-01", periods=240, freq="h"))
    assert len(set(time_blocks(many))) == 10
    few = pd.Series(pd.date_range("2024-01-01", periods=400, freq="10min"))
    assert len(set(time_blocks(few))) == 67
