"""Skill: what a model knows beyond a constant guess, and how much of it is lost."""

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_absolute_error, roc_auc_score

from mlops_assets.evaluation.skill import Skill
from mlops_assets.specs.tasks import METRICS, Metric, Task

N = 1_000
DAYS = np.arange(N) // 50
GENERATOR = np.random.default_rng(0)


def example(task: Task, knowledge: float) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and predictions that know more or less of them."""
    noise = GENERATOR.normal(size=N)
    truth = GENERATOR.normal(size=N)
    guess = knowledge * truth + (1 - knowledge) * noise
    if task == "regression":
        return truth, guess
    if task == "binary_classification":
        return (truth > 0).astype(float), 1 / (1 + np.exp(-2 * guess))
    scores = np.exp(-2 * np.abs(guess[:, None] - np.array([-1.2, 0.0, 1.2])))
    return np.digitize(truth, [-0.6, 0.6]).astype(float), scores / scores.sum(axis=1, keepdims=True)


def constant(metric: Metric, target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the best guess that is the same for every row."""
    if predicted.ndim == 2:
        return np.tile(np.bincount(target.astype(int)) / N, (N, 1))
    return np.full(N, np.median(target) if metric == "mae" else target.mean())


@pytest.mark.parametrize(("task", "metric"), [(task, m) for task, ms in METRICS.items() for m in ms])
def test_losing_nothing_is_0_losing_something_between_and_guessing_1(task: Task, metric: Metric) -> None:
    target, predicted = example(task, 0.8)
    skill = Skill(metric, target, predicted, DAYS, 0.99)
    assert skill.gain.gain > 0
    assert skill.lost(predicted) == 0
    assert skill.lost(constant(metric, target, predicted)) == pytest.approx(1)
    half = 0.5 * predicted + 0.5 * predicted[GENERATOR.permutation(N)]
    assert 0 < skill.surely_lost(half) < skill.lost(half)


def test_the_constant_guess_is_the_best_one() -> None:
    target, predicted = example("binary_classification", 0.7)
    known = Skill("log_loss", target, predicted, DAYS, 0.99)
    entropy = log_loss(target, np.full(N, target.mean()))
    assert known.gain.gain == pytest.approx(entropy - log_loss(target, predicted))
    ranked = Skill("roc_auc", target, predicted, DAYS, 0.99)
    assert ranked.gain.gain == pytest.approx(roc_auc_score(target, predicted) - 0.5)
    values, guess = example("regression", 0.7)
    off = Skill("mae", values, guess, DAYS, 0.99)
    middle = mean_absolute_error(values, np.full(N, np.median(values)))
    assert off.gain.gain == pytest.approx(middle - mean_absolute_error(values, guess))


def test_predictions_for_the_rows_several_times_over_are_one_measurement() -> None:
    target, predicted = example("binary_classification", 0.8)
    skill = Skill("brier", target, predicted, DAYS, 0.99)
    half = 0.5 * predicted + 0.25
    assert skill.lost(np.concatenate([half] * 3)) == pytest.approx(skill.lost(half))


def test_more_comparisons_prove_less() -> None:
    target, predicted = example("binary_classification", 0.8)
    skill = Skill("roc_auc", target, predicted, DAYS, 0.95)
    half = 0.5 * predicted + 0.5 * predicted[GENERATOR.permutation(N)]
    assert skill.surely_lost(half, comparisons=20) < skill.surely_lost(half)


def test_chance_alone_is_rarely_held_for_a_loss() -> None:
    """Two sets of predictions equally good: of small hold-outs one is often worse, and seldom surely."""
    worse = []
    for _ in range(40):
        truth, *noises = GENERATOR.normal(size=(3, 200))
        one, other = (0.6 * truth + 0.4 * noise for noise in noises)
        skill = Skill("rmse", truth, one, np.arange(200) // 20, 0.99)
        worse.append((skill.lost(other) > 0, skill.surely_lost(other) > 0))
    lost, surely_lost = np.sum(worse, axis=0)
    assert lost > 10
    assert surely_lost <= 2


def test_without_skill_nothing_is_lost_and_without_a_metric_nothing_is_known() -> None:
    target, predicted = example("binary_classification", 0.0)
    upside_down = Skill("roc_auc", target, 1 - target, DAYS, 0.99)
    assert upside_down.lost(predicted) == upside_down.surely_lost(predicted) == 0
    one_class = Skill("roc_auc", np.ones(N), predicted, DAYS, 0.99)
    assert np.isnan(one_class.lost(predicted))
    assert np.isnan(one_class.surely_lost(predicted))
