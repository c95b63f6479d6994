"""A model's own past, read from its source and trained as its spec says, is replayed."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.errors import DataError
from mlops_assets.monitoring.retraining.decision import Rules
from mlops_assets.monitoring.retraining.replay import RulesPolicy, replay
from mlops_assets.monitoring.retraining.spec_history import past_of
from mlops_assets.specs.model_spec import ModelSpec

SINCE, UNTIL = datetime(2024, 2, 5), datetime(2024, 3, 18)

MakeSpec = Callable[..., ModelSpec]
MakeRows = Callable[..., pd.DataFrame]


@pytest.fixture
def spec_of(make_spec: MakeSpec, make_rows: MakeRows, tmp_path: Path) -> Callable[..., ModelSpec]:
    def make(task: str, **changes: Any) -> ModelSpec:
        rows = make_rows(2000, task)
        # What holds between a and y turns round in the middle of the past.
        later = rows["t"] >= datetime(2024, 2, 26)
        rows.loc[later, "a"] *= -1
        rows.to_csv(tmp_path / "rows.csv", index=False)
        data = {"source": {"type": "csv", "path": "rows.csv"}, "features": ["a", "b"], "window": "10d"}
        return make_spec(
            task,
            data={**data, **changes},
            monitoring={"min_labels": 50, "window": "week"},
            evaluation={"holdout": "5d"},
        )

    return make


@pytest.mark.parametrize("task", ["binary_classification", "multiclass_classification", "regression"])
def test_a_world_that_turns_round_is_seen_and_learnt_again(
    spec_of: Callable[..., ModelSpec], tmp_path: Path, task: str
) -> None:
    history, trainer = past_of(spec_of(task), tmp_path, SINCE, UNTIL, "week")
    assert history.ticks == tuple(SINCE + week * timedelta(days=7) for week in range(7))
    found = replay(history, RulesPolicy(Rules(on_harm=True)), trainer, hindsight=False)
    (first, *_) = (step for step in found.steps if step.decision.retrain)
    assert first.decision.trigger == "harm"
    assert first.at == datetime(2024, 3, 4)
    assert any(step.fate == "serves" for step in found.steps)
    last = found.steps[-1]
    assert last.metric is not None
    assert last.first_metric is not None
    better = last.metric - last.first_metric
    assert (better if task != "regression" else -better) > 0.1


def test_a_version_learns_from_its_data_window_and_labels_that_were_known(
    spec_of: Callable[..., ModelSpec], tmp_path: Path
) -> None:
    history, trainer = past_of(
        spec_of("binary_classification", label_delay="3d"), tmp_path, SINCE, UNTIL, "week"
    )
    rows = history.learned_from(history.ticks[3])
    newest = history.times[rows].max()
    assert newest <= np.datetime64(history.ticks[3] - timedelta(days=3))
    old, young = trainer.train(rows), trainer.train(rows[-10 * 24 :])
    np.testing.assert_array_equal(old.predict(rows), young.predict(rows))


@pytest.mark.parametrize(
    ("since", "until", "told"),
    [
        (datetime(2024, 3, 11), UNTIL, "fewer than two whole weeks"),
        (datetime(2023, 12, 25), UNTIL, "no label was known by 2023-12-25: the source begins on 2024-01-01"),
    ],
)
def test_a_past_that_is_too_short_is_told(
    spec_of: Callable[..., ModelSpec], tmp_path: Path, since: datetime, until: datetime, told: str
) -> None:
    with pytest.raises(DataError, match=told):
        past_of(spec_of("regression"), tmp_path, since, until, "week")
