"""Importance: what a model takes from each raw input, the same on every machine."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.monitoring.performance.importance import Importance, permutation_importance


def rows(count: int = 2000) -> tuple[pd.DataFrame, Any]:
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(count, 4)), columns=["much", "some", "none", "noise"])
    frame["kind"] = np.where(generator.random(count) < 0.5, "x", "y")
    score = 3 * frame["much"] + frame["some"] + 1.5 * (frame["kind"] == "x")
    return frame, (score + generator.normal(size=count) > 0).to_numpy(dtype=float)


def model(frame: pd.DataFrame) -> Any:
    score = 3 * frame["much"] + frame["some"] + 1.5 * (frame["kind"] == "x")
    return 1 / (1 + np.exp(-score.to_numpy()))


COLUMNS = ["much", "some", "none", "noise", "kind"]


@pytest.mark.parametrize("metric", ["roc_auc", "brier", "log_loss", "accuracy"])
def test_what_the_model_rests_on_matters_most_and_what_it_ignores_not_at_all(metric: str) -> None:
    found = permutation_importance(model, *rows(), metric, COLUMNS)
    assert found.share["much"] > found.share["some"] > 0
    assert found.share["much"] > found.share["kind"] > 0
    assert found.share["none"] == found.share["noise"] == found.loss["none"] == 0.0
    assert sum(found.share.values()) == pytest.approx(1.0)


def test_it_is_the_same_every_time_and_survives_being_kept() -> None:
    found = permutation_importance(model, *rows(), "roc_auc", COLUMNS)
    assert permutation_importance(model, *rows(), "roc_auc", COLUMNS) == found
    assert Importance.from_bytes(found.to_bytes()).share == found.share
    with pytest.raises(ValueError, match="no importances"):
        Importance.from_bytes(b"\x01nothing")


def test_a_wide_table_is_asked_in_parts_and_large_ones_are_sampled() -> None:
    asked = []

    def counted(frame: pd.DataFrame) -> Any:
        asked.append(len(frame))
        return model(frame)

    permutation_importance(counted, *rows(9000), "roc_auc", COLUMNS * 12)
    assert max(asked) <= 40_000
    assert asked[0] == 2000


def test_a_model_that_takes_nothing_has_no_shares() -> None:
    found = permutation_importance(lambda f: np.full(len(f), 0.5), *rows(300), "brier", COLUMNS)
    assert set(found.share.values()) == {0.0}


def test_of_a_packaged_model_it_is_told_of_raw_inputs(
    make_spec: Callable[..., Any], make_rows: Callable[..., pd.DataFrame], make_package: Callable[..., Any]
) -> None:
    spec = make_spec()
    data = make_rows(800)
    package = make_package(spec, data)
    found = permutation_importance(
        package.predict,
        data,
        data["y"].to_numpy(dtype=float),
        "roc_auc",
        [c.name for c in package.manifest.inputs],
    )
    assert found.share["a"] > 0.9
