"""The attack: it turns what hangs by a thread, keeps to its box and to its budget."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.errors import DataError
from mlops_assets.evaluation.decisions import Decisions
from mlops_assets.evaluation.evasion import turned_by_attack
from mlops_assets.evaluation.perturbation import spread
from mlops_assets.specs.data_spec import Column

COLUMNS = [Column(name="a"), Column(name="b")]
ROWS = 400


class Asked:
    """A model that remembers what it was asked; its rule is the only thing that is set."""

    def __init__(self, rule: Any) -> None:
        self.rule, self.seen = rule, []

    def predict(self, rows: pd.DataFrame) -> Any:
        self.seen.append(rows)
        return self.rule(rows)


@pytest.fixture
def rows() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame({"a": generator.normal(size=ROWS), "b": generator.normal(size=ROWS), "c": "text"})


def attack(rule: Any, rows: pd.DataFrame, budget: int = 30) -> tuple[np.ndarray, Asked]:
    model = Asked(rule)
    decisions = Decisions("binary_classification", np.asarray(rule(rows)), cut=0.5)
    turned = turned_by_attack(
        model,  # type: ignore[arg-type]
        rows,
        decisions,
        np.arange(0, ROWS, 2),
        COLUMNS,
        box=0.1,
        budget=budget,
        seed=0,
    )
    return turned, model


def slope(rows: pd.DataFrame) -> Any:
    return 1 / (1 + np.exp(-rows["a"].to_numpy() - rows["b"].to_numpy()))


def test_decisions_near_the_cut_are_turned_and_clear_ones_are_not(rows: pd.DataFrame) -> None:
    turned, _ = attack(slope, rows)
    attacked = rows.iloc[::2]
    from_cut = (attacked["a"] + attacked["b"]).abs().to_numpy()
    reach = 0.1 * (spread(rows["a"]) + spread(rows["b"]))
    assert turned[from_cut < 0.5 * reach].all()
    assert not turned[from_cut > reach].any()


def test_no_query_leaves_the_box_or_makes_up_a_value_and_the_budget_is_kept(rows: pd.DataFrame) -> None:
    _, model = attack(slope, rows, budget=12)
    assert len(model.seen) <= 12
    for asked in model.seen:
        own = rows.loc[asked.index]
        for name in ("a", "b"):
            assert (asked[name] - own[name]).abs().max() <= 0.1 * spread(rows[name]) + 1e-12
            assert asked[name].isin(rows[name]).all()
        assert (asked["c"] == "text").all()


def test_a_model_that_changes_its_mind_at_every_step_is_turned_anywhere(rows: pd.DataFrame) -> None:
    turned, _ = attack(lambda r: (np.floor(r["a"].to_numpy() * 20) % 2) * 0.8 + 0.1, rows)
    assert turned.mean() > 0.8


def test_whoever_refuses_odd_rows_is_not_turned(rows: pd.DataFrame) -> None:
    known = set(zip(rows["a"], rows["b"], strict=True))

    def strict(asked: pd.DataFrame) -> Any:
        if not set(zip(asked["a"], asked["b"], strict=True)) <= known:
            raise DataError("never seen")
        return slope(asked)

    turned, _ = attack(strict, rows)
    assert not turned.any()
