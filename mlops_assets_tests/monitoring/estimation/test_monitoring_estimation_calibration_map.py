"""What outputs mean is learnt from other days than those it is judged by, and only where they are off."""

import numpy as np
import pytest

from mlops_assets.evaluation.block_jackknife import numbered
from mlops_assets.monitoring.estimation.calibration_map import CalibrationMap, fit_map
from mlops_assets_tests.monitoring.estimation.worlds import Rows, binary_rows, chance


def fitted(rows: Rows) -> CalibrationMap:
    return fit_map(rows.outputs, rows.labels, rows.days, numbered(rows.days))


def test_outputs_that_are_too_sure_are_set_right() -> None:
    rows = binary_rows(np.random.default_rng(0), 20_000, sureness=2)
    found = fitted(rows)
    assert not found.is_identity
    scores = np.linspace(-3.5, 1.5, 20)
    assert found.chances(chance(2 * scores)) == pytest.approx(chance(scores), abs=0.05)
    assert (np.diff(found.chances(np.linspace(0, 1, 200))) >= 0).all()


def test_outputs_that_are_right_are_taken_as_they_are() -> None:
    # More often than not: whether they are is told from labels, which are thrown.
    kept = [fitted(binary_rows(np.random.default_rng(seed), 3_000)).is_identity for seed in range(40)]
    off = [
        fitted(binary_rows(np.random.default_rng(seed), 3_000, sureness=1.5)).is_identity
        for seed in range(40)
    ]
    assert sum(kept) >= 15
    assert not any(off)


def test_a_row_is_judged_by_what_other_days_say() -> None:
    rows = binary_rows(np.random.default_rng(1), 4_000, sureness=2)
    member, day = numbered(rows.days), rows.days == 3
    turned = Rows(rows.outputs, np.where(day, 1 - rows.labels, rows.labels), rows.days)
    before = fitted(rows).unseen_chances(rows.outputs, member)
    after = fitted(turned).unseen_chances(rows.outputs, member)
    assert (after[day] == before[day]).all()
    assert (after[~day] != before[~day]).any()


def test_an_event_that_never_came_is_not_held_to_be_impossible() -> None:
    outputs = np.linspace(0.01, 0.2, 200)
    found = fit_map(outputs, np.zeros(200), np.arange(200) % 10, np.arange(200) % 10)
    assert not found.is_identity
    # As if half of one more row had been one.
    assert 0.002 < found.chances(np.array([0.1])) < 0.004


@pytest.mark.parametrize("outputs", [np.zeros(50), np.repeat([0.2, 0.7], 25), np.ones(50)])
def test_few_different_outputs_do(outputs: np.ndarray) -> None:
    labels = np.arange(50) % 2.0
    found = fit_map(outputs, labels, np.arange(50) // 5, np.arange(50) // 5)
    assert found.chances(outputs) == pytest.approx(0.5, abs=0.25 + 0.5 * found.is_identity)
    assert found.shifts(outputs, np.ones(50)).shape == (10,)
