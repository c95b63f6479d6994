"""Concept drift on real flights: found where it is planted, and not where days are only shuffled."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest

from mlops_assets.monitoring.performance.concept_drift import ConceptDrift, concept_drift
from mlops_assets.monitoring.performance.label_jump import label_jump
from mlops_assets.monitoring.performance.labelled_blocks import LabelledBlocks, labelled_blocks
from mlops_assets_tests.monitoring.performance.conftest import Answered

BUDGET = 0.25


@pytest.fixture(scope="module")
def days(flights: Answered) -> LabelledBlocks:
    """Return the blocks of March to November, of every twentieth flight."""
    part = flights.between("2013-03-01", "2013-12-01")
    part = part.where(np.arange(len(part.target)) % 20 == 0)
    return labelled_blocks("binary_classification", part.outputs, part.target, part.times)


def shuffled(days: LabelledBlocks, seed: int) -> LabelledBlocks:
    """Return days in another order: real ones, and no change."""
    moved = days.select(np.random.default_rng(seed).permutation(len(days)))
    return replace(moved, starts=days.starts)


def split(blocks: LabelledBlocks, stable: int) -> tuple[LabelledBlocks, LabelledBlocks]:
    return blocks.select(slice(0, stable)), blocks.select(slice(stable, None))


def test_real_days_in_any_order_are_no_drift(days: LabelledBlocks) -> None:
    alarms = quarters = 0.0
    for seed in range(60):
        stable, since = split(shuffled(days, seed), 40)
        found = concept_drift(stable, since, budget=BUDGET)
        assert found.told
        alarms += bool(found.drifts)
        quarters += since.hours.sum() / (24 * 365.25 / 4)
    assert alarms / quarters <= BUDGET


def with_changed_world(blocks: LabelledBlocks, at: int, by: float) -> LabelledBlocks:
    """Return blocks whose labels are more often 1 from a block on, whatever the outputs."""
    later = np.arange(len(blocks)) >= at
    label = blocks.label + by * later[:, None]
    loss = blocks.loss + later * (by * (1 - 2 * blocks.output[:, 0]))
    return replace(blocks, loss=loss, label=label)


def test_a_changed_world_is_found_and_dated(days: LabelledBlocks) -> None:
    stable, since = split(with_changed_world(shuffled(days, 1), 140, 0.2), 60)
    found = concept_drift(stable, since, budget=BUDGET)
    assert {each.figure for each in found.drifts} >= {"loss", "labels above predictions"}
    for drift in found.drifts:
        assert abs((drift.since - datetime(2013, 7, 19)).days) <= 5
        assert 0 <= (drift.found - datetime(2013, 7, 19)).days < 30
    above = next(each for each in found.drifts if each.figure == "labels above predictions")
    assert abs(above.size - 0.2) < 3 * above.error
    assert found.evidence == 1.0
    assert str(above) in found.reason


def test_a_world_that_became_calmer_is_a_calibration_that_is_off(days: LabelledBlocks) -> None:
    stable, since = split(with_changed_world(shuffled(days, 2), 100, -0.15), 60)
    found = concept_drift(stable, since, budget=BUDGET)
    assert [each.figure for each in found.drifts] == ["labels below predictions"]
    assert found.drifts[0].size < -0.1


def test_what_is_too_small_to_matter_is_none(days: LabelledBlocks) -> None:
    stable, since = split(with_changed_world(shuffled(days, 1), 140, 0.2), 60)
    found = concept_drift(stable, since, budget=BUDGET, least_loss=0.3, least_residual=0.3)
    assert found.drifts == ()


def test_labels_with_a_fault_are_not_called_concept_drift(flights: Answered) -> None:
    part = flights.between("2013-03-01", "2013-08-01")
    part = part.where(np.arange(len(part.target)) % 10 == 0)
    kept = part.where((part.times < np.datetime64("2013-07-01")) | (part.target == 1))
    stable, since = split(labelled_blocks("binary_classification", kept.outputs, kept.target, kept.times), 60)
    jump = label_jump(stable, since, budget=BUDGET)
    assert jump is not None
    before = concept_drift(stable, since.select(since.starts < np.datetime64("2013-07-01")), budget=BUDGET)
    assert concept_drift(stable, since, budget=BUDGET).drifts != before.drifts
    found = concept_drift(stable, since, budget=BUDGET, jump=jump)
    assert found.drifts == before.drifts
    assert "from 2013-07-01 on nothing is tested: labels jump" in found.reason


def regression(seed: int, bias: float, noise: float) -> tuple[LabelledBlocks, LabelledBlocks]:
    generator = np.random.default_rng(seed)
    times = np.datetime64("2024-01-01", "us") + np.repeat(np.arange(160), 40) * np.timedelta64(1, "D")
    outputs = generator.normal(50, 10, len(times))
    later = np.arange(len(times)) >= 100 * 40
    errors = generator.normal(size=len(times)) * np.where(later, noise, 1.0) + bias * later
    return split(labelled_blocks("regression", outputs, outputs + 3 * errors, times, scale=9.0), 60)


@pytest.mark.parametrize(
    ("bias", "noise", "figures"),
    [
        (0.6, 1.0, {"labels above predictions", "loss"}),
        (-0.3, 1.0, {"labels below predictions"}),
        (0.0, 1.5, {"loss"}),
        (0.0, 1.0, set()),
    ],
)
def test_of_values_bias_and_error_are_followed(bias: float, noise: float, figures: set[str]) -> None:
    found = concept_drift(*regression(0, bias, noise), budget=BUDGET)
    assert {each.figure for each in found.drifts} == figures


def test_of_several_classes_it_names_the_one() -> None:
    generator = np.random.default_rng(0)
    times = np.datetime64("2024-01-01", "us") + np.repeat(np.arange(160), 60) * np.timedelta64(1, "D")
    outputs = generator.dirichlet([2, 2, 2], len(times))
    target = (
        (generator.random(len(times))[:, None] > outputs.cumsum(axis=1)).sum(axis=1).clip(0, 2).astype(float)
    )
    turned = (np.arange(len(times)) >= 100 * 60) & (target == 0) & (generator.random(len(times)) < 0.5)
    target[turned] = 2
    blocks = labelled_blocks("multiclass_classification", outputs, target, times)
    found = concept_drift(*split(blocks, 60), budget=BUDGET, names=["a", "b", "c"])
    assert {each.figure for each in found.drifts} >= {
        "labels of a below predictions",
        "labels of c above predictions",
    }
    assert not any(" b " in each.figure for each in found.drifts)


def test_without_a_stable_past_it_says_so(days: LabelledBlocks) -> None:
    stable, since = split(shuffled(days, 0), 5)
    found: ConceptDrift = concept_drift(stable, since, budget=BUDGET)
    assert not found.told
    assert found.reason == "5 stable blocks of labelled rows; a test needs 8"
    nothing: Any = concept_drift(since, stable.select(slice(0, 0)), budget=BUDGET)
    assert (nothing.drifts, nothing.blocks, nothing.evidence) == ((), 0, 0.0)
