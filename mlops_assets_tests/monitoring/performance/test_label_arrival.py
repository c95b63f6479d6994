"""Which labels count, and whether those that came are like those that did not."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from mlops_assets.evaluation.metrics import measure
from mlops_assets.monitoring.performance.label_arrival import LabelArrival, label_arrival
from mlops_assets_tests.monitoring.performance.conftest import Answered

START = np.datetime64("2024-03-01", "us")
AS_OF = datetime(2024, 4, 1)
DAY = timedelta(days=1)


def served(rows: int = 3000, seed: int = 0) -> tuple[Any, Any]:
    """Return outputs, alike within a day, and times over March."""
    generator = np.random.default_rng(seed)
    times = START + np.sort(generator.integers(0, 30 * 86_400, rows)).astype("timedelta64[s]")
    day = (times - START).astype("timedelta64[D]").astype(int)
    return 1 / (1 + np.exp(-generator.normal(size=rows) - generator.normal(size=30)[day])), times


def arrival(outputs: Any, known: Any, times: Any, **more: Any) -> LabelArrival:
    return label_arrival(outputs, known, times, **{"as_of": AS_OF, "label_delay": DAY, **more})


def test_only_what_is_due_is_judged() -> None:
    outputs, times = served()
    found = arrival(outputs, np.ones(3000, dtype=bool), times, label_delay=timedelta(days=11))
    assert found.due == found.labelled == int((times <= np.datetime64("2024-03-21")).sum())
    assert found.early == 3000 - found.due
    assert "rows are not due yet" in found.told
    nothing = arrival(outputs, np.ones(3000, dtype=bool), times, label_delay=timedelta(days=40))
    assert (nothing.due, nothing.labelled, nothing.share) == (0, 0, 0.0)
    assert nothing.told == "none of 3,000 rows is due: a label takes 40d"


def test_labels_missing_at_random_are_no_trouble() -> None:
    selective = 0
    for seed in range(60):
        outputs, times = served(seed=seed)
        known = np.random.default_rng(seed).random(3000) < 0.7
        found = arrival(outputs, known, times)
        assert found.share == pytest.approx(0.7, abs=0.05)
        selective += found.selective
    assert selective <= 3


def test_days_that_lack_labels_are_not_taken_for_a_selection() -> None:
    """Outputs of a day are alike: that a few days have no labels shifts the others by chance."""
    selective = 0
    for seed in range(60):
        outputs, times = served(seed=seed)
        day = (times - START).astype("timedelta64[D]").astype(int)
        known = ~np.isin(day, np.random.default_rng(seed).choice(30, 8, replace=False))
        selective += arrival(outputs, known, times).selective
    assert selective <= 4


def test_labels_of_those_who_were_let_in_are_selective_and_told_so() -> None:
    outputs, times = served()
    known = np.random.default_rng(1).random(3000) < np.where(outputs < 0.5, 0.9, 0.4)
    found = arrival(outputs, known, times)
    assert found.selective
    assert found.shift < -5
    assert found.weights is not None
    assert len(found.weights) == found.labelled
    assert "labels look selective" in found.told
    assert found.beyond == 0.0


def test_weights_give_back_what_a_selection_took(flights: Answered) -> None:
    month = flights.between("2013-06-01", "2013-07-01")
    known = np.random.default_rng(0).random(len(month.target)) < np.where(month.outputs < 0.25, 0.9, 0.2)
    found = label_arrival(month.outputs, known, month.times, as_of=datetime(2013, 7, 5), label_delay=DAY)
    assert found.selective
    assert found.weights is not None
    whole = measure("brier", month.target, month.outputs)
    labelled = (month.target[known] - month.outputs[known]) ** 2
    assert abs(labelled.mean() - whole) > 0.01
    assert abs(np.average(labelled, weights=found.weights) - whole) < 0.005


def test_what_no_labelled_row_is_like_is_told() -> None:
    outputs, times = served()
    found = arrival(outputs, outputs < 0.6, times)
    assert found.selective
    assert 0.2 < found.beyond < 0.5
    assert "nothing can be told, as none like them has a label" in found.told


def test_labels_that_stopped_are_told_with_the_time() -> None:
    outputs, times = served()
    found = arrival(outputs, times < np.datetime64("2024-03-20"), times)
    assert "no label came of the" in found.told
    assert "2024-03-19T2" in found.told


def test_missing_at_either_end_is_a_selection_as_well() -> None:
    generator = np.random.default_rng(0)
    outputs, times = generator.normal(size=4000), served(4000)[1]
    known = generator.random(4000) < np.where(np.abs(outputs) > 1, 0.2, 0.9)
    assert arrival(outputs, known, times).selective


def test_of_several_classes_a_selection_by_any_is_found() -> None:
    generator = np.random.default_rng(0)
    outputs = generator.dirichlet([1, 1, 1], 4000)
    known = generator.random(4000) < np.where(outputs[:, 1] > 0.5, 0.2, 0.9)
    found = arrival(outputs, known, served(4000)[1])
    assert found.selective
    assert found.weights is not None
