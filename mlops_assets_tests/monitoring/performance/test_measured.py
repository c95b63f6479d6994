"""Intervals of a window's metrics: they hold what they promise, and never lie where a metric cannot be."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.evaluation.intervals import intervals
from mlops_assets.evaluation.metrics import measure, metrics_of
from mlops_assets.monitoring.performance.blocks import Blocks, blocks_of
from mlops_assets.monitoring.performance.measured import measure_mean, measure_metrics
from mlops_assets.specs.tasks import METRICS, Task
from mlops_assets_tests.monitoring.performance.conftest import Answered


def days(count: int, rows: int) -> Blocks:
    return Blocks(np.repeat(np.arange(count), rows), count, f"{count} days", True)


def draw(task: Task, generator: np.random.Generator, count: int, rows: int) -> tuple[Any, Any]:
    """Return targets and predictions whose errors have much in common within a day."""
    day = np.repeat(np.arange(count), rows)
    signal, weather = generator.normal(size=len(day)), generator.normal(size=count)[day]
    if task == "regression":
        return signal + weather / 2 + generator.normal(size=len(day)), signal
    score = 1.2 * signal - 1
    if task == "multiclass_classification":
        logits = np.column_stack([score, -score, 0.5 * generator.normal(size=len(day))])
        said = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        true = np.exp(logits + np.column_stack([weather, 0 * weather, -weather]) / 2)
        cumulative = np.cumsum(true / true.sum(axis=1, keepdims=True), axis=1)
        return (generator.random(len(day))[:, None] > cumulative).sum(axis=1).clip(0, 2).astype(float), said
    chance = 1 / (1 + np.exp(-score - weather / 2))
    return (generator.random(len(day)) < chance).astype(float), 1 / (1 + np.exp(-score))


@pytest.mark.parametrize("task", list(METRICS))
@pytest.mark.parametrize(("count", "rows"), [(5, 60), (14, 40), (30, 30)])
def test_intervals_cover_the_truth_as_often_as_they_say(task: Task, count: int, rows: int) -> None:
    generator = np.random.default_rng(0)
    names = metrics_of(task)
    target, predicted = draw(task, generator, 3000, 60)
    truth = {name: measure(name, target, predicted) for name in names}
    covered = dict.fromkeys(names, 0)
    for _ in range(repeats := 300):
        for name, found in measure_metrics(
            names, *draw(task, generator, count, rows), days(count, rows)
        ).items():
            covered[name] += found.low <= truth[name] <= found.high
    assert min(covered.values()) / repeats >= 0.905, covered  # .95 and four standard errors less


def test_on_real_flights_days_of_a_month_tell_what_the_month_was_like(flights: Answered) -> None:
    """Of a year's days drawn at random, the interval holds the year's figure; one by rows does not."""
    year = flights.between("2013-03-01", "2014-01-01")
    day = (year.times.astype("datetime64[D]") - np.datetime64("2013-03-01")).astype(int)
    by_day = np.split(np.argsort(day, kind="stable"), np.cumsum(np.bincount(day))[:-1])
    names = metrics_of("binary_classification")
    truth = {name: measure(name, year.target, year.outputs) for name in names}
    generator = np.random.default_rng(0)
    covered, by_rows = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    for _ in range(repeats := 60):
        drawn = [by_day[i][::8] for i in generator.integers(0, len(by_day), 30)]
        rows, member = np.concatenate(drawn), np.repeat(np.arange(30), [len(each) for each in drawn])
        target, outputs = year.target[rows], year.outputs[rows]
        for blocks, counts in ((Blocks(member, 30, "", True), covered), (_alone(len(rows)), by_rows)):
            for name, found in measure_metrics(names, target, outputs, blocks).items():
                counts[name] += found.low <= truth[name] <= found.high
    assert min(covered.values()) / repeats >= 0.86, covered
    assert by_rows["brier"] / repeats < 0.6


def _alone(rows: int) -> Blocks:
    return Blocks(np.arange(rows), rows, "", False)


def test_they_are_about_as_wide_as_those_of_the_bootstrap() -> None:
    target, predicted = draw("binary_classification", np.random.default_rng(1), 30, 100)
    blocks = days(30, 100)
    names = metrics_of("binary_classification")
    drawn = intervals(names, target, predicted, blocks.member)
    for name, found in measure_metrics(names, target, predicted, blocks).items():
        assert found.value == pytest.approx(drawn[name].value)
        assert found.high - found.low == pytest.approx(drawn[name].high - drawn[name].low, rel=0.2)


@given(st.sampled_from(list(METRICS)), st.integers(0, 999), st.integers(2, 8), st.integers(1, 20))
def test_no_bound_lies_where_a_metric_cannot_be(task: Task, seed: int, count: int, rows: int) -> None:
    target, predicted = draw(task, np.random.default_rng(seed), count, rows)
    for name, found in measure_metrics(metrics_of(task), target, predicted, days(count, rows)).items():
        if np.isfinite(found.low):
            assert found.low <= found.value + 1e-9, name
            assert found.value <= found.high + 1e-9, name
            if name in ("roc_auc", "accuracy", "macro_recall"):
                assert 0 <= found.low <= found.high <= 1
            elif name != "r2":
                assert found.low >= 0
            else:
                assert found.high <= 1


def test_all_right_is_not_for_ever() -> None:
    target = np.tile([0.0, 1.0], 50)
    found = measure_metrics(["accuracy", "roc_auc"], target, target * 0.8 + 0.1, days(10, 10))
    assert found["accuracy"].value == found["roc_auc"].value == 1.0
    assert 0.9 < found["accuracy"].low < 0.99
    assert 0.8 < found["roc_auc"].low < 0.99


def test_positives_of_a_single_day_say_nothing_of_others() -> None:
    target = np.zeros(100)
    target[:3] = 1
    found = measure_metrics(["roc_auc"], target, np.random.default_rng(0).random(100), days(10, 10))[
        "roc_auc"
    ]
    assert np.isfinite(found.value)
    assert np.isnan(found.low)


def test_what_is_not_defined_is_left_out() -> None:
    assert measure_metrics(["roc_auc", "brier"], np.ones(50), np.full(50, 0.5), days(5, 10)).keys() == {
        "brier"
    }


def test_a_mean_has_the_interval_of_its_days() -> None:
    generator = np.random.default_rng(0)
    values = np.repeat(generator.normal(size=20), 50) + generator.normal(size=1000)
    found = measure_mean(values, days(20, 50))
    assert found.value == pytest.approx(values.mean())
    by_day = values.reshape(20, 50).mean(axis=1)
    assert found.error == pytest.approx(by_day.std(ddof=1) / np.sqrt(20))


def test_real_days_of_one_week_are_what_a_week_rests_on(flights: Answered) -> None:
    week = flights.between("2013-07-01", "2013-07-08")
    found = measure_metrics(["brier"], week.target, week.outputs, blocks_of(week.times))["brier"]
    assert found.blocks == pytest.approx(7, abs=0.2)
    assert str(found) == str(found.interval)
