"""What is kept of labelled rows: the same whoever looks how often, and mergeable block by block."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.monitoring.performance.labelled_blocks import LabelledBlocks, labelled_blocks
from mlops_assets.specs.tasks import METRICS, Task

START = np.datetime64("2024-01-01", "us")


def rows(task: Task, count: int, days: int, seed: int = 0) -> tuple[Any, Any, Any]:
    generator = np.random.default_rng(seed)
    times = START + np.sort(generator.integers(0, days * 86_400, count)).astype("timedelta64[s]")
    if task == "regression":
        return generator.normal(size=count), generator.normal(size=count), times
    if task == "multiclass_classification":
        return generator.dirichlet([1, 1, 1], count), generator.integers(0, 3, count).astype(float), times
    return generator.random(count), generator.integers(0, 2, count).astype(float), times


def same(a: LabelledBlocks, b: LabelledBlocks) -> None:
    assert a.to_bytes() == b.to_bytes()


def test_a_day_holds_the_means_of_its_rows() -> None:
    outputs, target, times = rows("binary_classification", 500, 5)
    found = labelled_blocks("binary_classification", outputs, target, times)
    assert found.starts.tolist() == [(START + np.timedelta64(d, "D")).item() for d in range(5)]
    assert found.hours.tolist() == [24.0] * 5
    inside = times < START + np.timedelta64(1, "D")
    assert found.rows[0] == inside.sum()
    assert found.loss[0] == pytest.approx(((target - outputs)[inside] ** 2).mean())
    assert found.label[0, 0] == pytest.approx(target[inside].mean())
    assert found.residual[0, 0] == pytest.approx((target - outputs)[inside].mean())
    hourly = labelled_blocks("binary_classification", outputs, target, times, length="hour")
    assert len(hourly) > 90


@pytest.mark.parametrize("task", list(METRICS))
def test_losses_are_from_0_to_1(task: Task) -> None:
    outputs, target, times = rows(task, 400, 4)
    found = labelled_blocks(task, outputs, target, times, scale=0.5)
    assert (found.loss >= 0).all()
    assert (found.loss <= 1).all()
    assert found.label.shape == (4, 3 if task == "multiclass_classification" else 1)
    assert (np.abs(found.residual) <= 1).all()


def test_one_wild_label_is_one_row() -> None:
    outputs, target, times = rows("regression", 400, 4)
    wild = target.copy()
    wild[0] = 1e12
    calm, found = (labelled_blocks("regression", outputs, each, times, scale=2.0) for each in (target, wild))
    assert np.abs(found.residual - calm.residual).max() < 0.03


def test_blocks_follow_each_other_whatever_their_times() -> None:
    outputs, target, times = rows("binary_classification", 700, 7)
    whole = labelled_blocks("binary_classification", outputs, target, times)
    later = times >= START + np.timedelta64(3, "D")
    first, rest = (
        labelled_blocks("binary_classification", outputs[which], target[which], times[which])
        for which in (~later, later)
    )
    same(first.followed_by(rest), whole)
    same(whole.followed_by(rest).select(slice(0, 7)), whole)
    same(whole.followed_by(rest).select(slice(7, None)), rest)


@given(st.lists(st.integers(1, 40), min_size=0, max_size=40), st.integers(0, 40))
def test_blocks_that_are_put_together_stay_so_when_more_come(sizes: list[int], later: int) -> None:
    times = START + np.repeat(np.arange(len(sizes)), sizes) * np.timedelta64(1, "D")
    generator = np.random.default_rng(0)
    outputs, target = generator.random(len(times)), generator.integers(0, 2, len(times)).astype(float)
    every = labelled_blocks("binary_classification", outputs, target, times)
    whole = every.of_enough_rows()
    assert (whole.rows >= 20).all()
    left = every.rows.sum() - whole.rows.sum()
    assert 0 <= left < 20
    if len(whole):
        kept = int(whole.rows.sum())
        assert (whole.rows * whole.loss).sum() == pytest.approx(((target - outputs)[:kept] ** 2).sum())
        assert whole.hours.sum() == 24 * (every.rows.cumsum() <= kept).sum()
    fewer = every.select(slice(0, max(len(every) - later, 0))).of_enough_rows()
    same(fewer, whole.select(slice(0, len(fewer))))


def test_bytes_give_back_what_was_written() -> None:
    found = labelled_blocks("multiclass_classification", *rows("multiclass_classification", 300, 4))
    same(LabelledBlocks.from_bytes(found.to_bytes()), found)
    with pytest.raises(ValueError, match="no labelled blocks"):
        LabelledBlocks.from_bytes(b"nonsense")


def test_of_no_rows_there_are_no_blocks() -> None:
    nothing = np.empty(0)
    found = labelled_blocks("binary_classification", nothing, nothing, nothing.astype("datetime64[us]"))
    assert len(found) == len(found.of_enough_rows()) == 0
    same(LabelledBlocks.from_bytes(found.to_bytes()), found)
