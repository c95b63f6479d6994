"""The share of flipped labels is found where there are any, however little the features tell."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from mlops_assets.training.flipped_labels import CrossFit, confident_denials, cross_fitted, flipped_shares
from mlops_assets.training.groups import GroupFigure

N = 12_000


def problem(seed: int, knowledge: float = 1.0, level: float = 0.0) -> tuple[Any, Any, Any]:
    """Return scores, labels and six groups, of which ``e`` has a level of its own."""
    generator = np.random.default_rng(seed)
    group = generator.choice(list("abcdef"), N)
    score = knowledge * generator.normal(size=N) - 1
    label = (generator.random(N) < expit(score + level * (group == "e"))).astype(int)
    return score, label, group


def flip(label: Any, where: Any, share: float, seed: int) -> Any:
    generator = np.random.default_rng(seed + 1)
    return np.where(where & (generator.random(len(label)) < share), 1 - label, label)


def known(probabilities: Any) -> CrossFit:
    """Return what a model says that has no noise: each half of the rows teaches the same."""
    return CrossFit(probabilities, np.stack([probabilities, probabilities]))


def figures(score: Any, label: Any, group: Any, confidence: float = 0.99) -> dict[str, GroupFigure]:
    probabilities = np.column_stack([expit(-score), expit(score)])
    groups = {"g": pd.Series(group)}
    found = flipped_shares(
        known(probabilities), label, ("0", "1"), groups, confidence=confidence, min_rows=200
    )
    return {figure.value: figure for figure in found}


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 0.35), knowledge=st.floats(0.7, 3))
def test_the_share_is_estimated_and_bounded(seed: int, share: float, knowledge: float) -> None:
    score, label, group = problem(seed, knowledge)
    flipped = figures(score, flip(label, group == "a", share, seed), group)["a"]
    assert flipped.low <= flipped.estimate <= (flipped.high or 0)
    assert flipped.low <= share + 0.01
    assert (flipped.high or 0) >= share - 0.03
    assert abs(flipped.estimate - share) < 0.2


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), knowledge=st.floats(0.3, 4), level=st.floats(-2, 2))
def test_a_group_that_honestly_differs_is_not_denied(seed: int, knowledge: float, level: float) -> None:
    assert max(f.low for f in figures(*problem(seed, knowledge, level)).values()) <= 0.02


def test_clean_labels_are_refused_no_more_often_than_the_confidence_allows() -> None:
    wrong = sum(
        max(f.low for f in figures(*problem(seed, 0.8), confidence=0.9).values()) > 0 for seed in range(100)
    )
    assert wrong <= 10 + 9  # three standard errors


def test_flips_are_found_where_the_features_tell_little() -> None:
    """Scores whose AUC is .7, and a tenth of the labels of a group of 2,000 flipped."""
    found = 0
    for seed in range(20):
        score, label, group = problem(seed, 0.8)
        shares = figures(score, flip(label, group == "a", 0.15, seed), group)
        found += shares["a"].low > 0.03
        assert max(f.low for value, f in shares.items() if value != "a") <= 0.03
    assert found >= 18


def test_scores_that_are_too_sure_or_too_timid_are_recalibrated_first() -> None:
    score, label, group = problem(0, 1.5)
    for scale in (0.4, 1, 2.5):
        assert max(f.low for f in figures(scale * score, label, group).values()) == 0


def test_each_of_several_classes_is_told_from_the_others() -> None:
    generator = np.random.default_rng(0)
    strength = generator.normal(size=(N, 3)) * 1.5
    probabilities = np.exp(strength) / np.exp(strength).sum(axis=1, keepdims=True)
    label = (probabilities.cumsum(axis=1) < generator.random((N, 1))).sum(axis=1)
    group = generator.choice(list("abcdef"), N)
    wrong = (group == "a") & (generator.random(N) < 0.2)
    shuffled = np.where(wrong, (label + generator.integers(1, 3, N)) % 3, label)
    bounds: dict[str, Any] = {"confidence": 0.99, "min_rows": 200}
    names = ("low", "mid", "top")
    groups = {"g": pd.Series(group)}
    found = flipped_shares(known(probabilities), shuffled, names, groups, **bounds)
    assert {(f.value, f.label) for f in found if f.low > 0.03} == {("a", name) for name in names}
    clean = flipped_shares(known(probabilities), label, names, groups, **bounds)
    assert max(f.low for f in clean) <= 0.02


def test_a_group_without_any_event_is_no_trouble() -> None:
    score, label, group = problem(0)
    shares = figures(score, np.where(group == "a", 0, label), group)
    assert shares["a"].low == 0
    assert (
        flipped_shares(
            known(np.full((10, 2), 0.5)), np.arange(10) % 2, ("0", "1"), {}, confidence=0.9, min_rows=5
        )
        == []
    )


def test_rows_are_judged_by_a_model_that_has_not_seen_them() -> None:
    generator = np.random.default_rng(0)
    features = pd.DataFrame({"a": generator.normal(size=2000), "word": generator.choice(["x", "y"], 2000)})
    times = pd.Series(pd.date_range("2024-01-01", periods=2000, freq="h"))
    random = generator.integers(0, 2, 2000)
    guess = cross_fitted(features, times, random).probabilities[:, 1]
    assert abs(guess[random == 1].mean() - guess[random == 0].mean()) < 0.05
    told = (features["word"] == "x").to_numpy().astype(int)
    probabilities = cross_fitted(features, times, told).probabilities
    assert probabilities.sum(axis=1) == pytest.approx(1)
    assert ((probabilities[:, 1] > 0.5) == told).all()
    np.testing.assert_array_equal(probabilities, cross_fitted(features, times, told).probabilities)


@given(seed=st.integers(0, 10**6), knowledge=st.floats(0, 4))
def test_honest_labels_are_denied_as_often_as_the_probabilities_say(seed: int, knowledge: float) -> None:
    score, label, _ = problem(seed, knowledge)
    denied, expected = confident_denials(np.column_stack([expit(-score), expit(score)]), label)
    assert abs(denied.mean() - expected.mean()) < 0.02
    assert expected.min() >= 0
    assert expected.max() <= 1


def test_only_labels_that_another_class_contradicts_are_denied() -> None:
    probabilities = np.array([[0.99, 0.01], [0.01, 0.99], [0.98, 0.02], [0.5, 0.5]] * 50)
    denied, _ = confident_denials(probabilities, np.array([0, 1, 1, 0] * 50))
    np.testing.assert_array_equal(denied, [False, False, True, False] * 50)


@pytest.mark.parametrize("seed", range(4))
def test_where_features_tell_little_noise_is_not_taken_for_flipped_labels(seed: int) -> None:
    """Within one number of calls nothing that the model knows tells rows apart, and other things do."""
    generator = np.random.default_rng(seed)
    calls, unknown = generator.poisson(3, N), generator.normal(size=N)
    label = (generator.random(N) < expit(0.35 * (calls - 3) + unknown - 2)).astype(int)
    features = pd.DataFrame({"calls": calls, "age": generator.integers(18, 80, N)}).astype("float64")
    times = pd.Series(pd.date_range("2024-01-01", periods=N, freq="h"))
    groups = {"calls": features["calls"].map(str), "age": pd.qcut(features["age"], 4).map(str)}
    fitted = cross_fitted(features, times, label)
    found = flipped_shares(fitted, label, ("0", "1"), groups, confidence=0.99, min_rows=200)
    assert max((figure.low for figure in found), default=0) <= 0.025
