"""What answers of both arms come to, and how often what it costs is told wrong."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.rollout.decision import Finding, findings
from mlops_assets.rollout.outcomes import Scale, guards
from mlops_assets.rollout.sequential_bounds import is_above, split_differences
from mlops_assets.specs.policy_file import load_policy

RULES = load_policy().tiers["limited"].rollout
COSTS = Scale("regression", cost_ms=10.0)


def answers(latency_ms: Any, challenger: Any, *, percent: int = 50, rows: int = 1) -> pd.DataFrame:
    """Return answers to as many requests of nobody in particular, each with so many rows."""
    took, by = np.repeat(latency_ms, rows), np.repeat(challenger, rows)
    request = np.repeat([f"{n:08d}" for n in range(len(latency_ms))], rows)
    return pd.DataFrame(
        {
            "unit": request,
            "request": request,
            "prediction_id": [f"{base}-{n}" for n, base in enumerate(request)],
            "percent": percent,
            "challenger": by,
            "shadow": False,
            "failed": False,
            "served_at": pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(len(took)), "s"),
            "latency_ms": took.astype("float64"),
            "output": 1.0,
            "label": None,
            "labelled_at": pd.NaT,
        }
    )


def cost(frame: pd.DataFrame) -> Finding:
    compared = [guard for guard in guards(frame, COSTS, RULES.guards, paired=False) if guard.name == "cost"]
    (found,) = findings(compared, RULES.alpha)
    return found


def drawn(generator: np.random.Generator, dearer: float, count: int = 3_000) -> pd.DataFrame:
    """Return answers whose costs have a long tail, those of the challenger by a factor."""
    challenger = generator.random(count) < 0.5
    took = generator.lognormal(np.log(2.0), 0.6, count)
    return answers(took * np.where(challenger, dearer, 1.0), challenger)


def test_a_version_that_takes_three_times_as_long_is_shown_to_cost_more() -> None:
    assert cost(drawn(np.random.default_rng(0), 3.0)).harm


def test_a_version_that_takes_as_long_is_shown_to_cost_no_more() -> None:
    found = cost(drawn(np.random.default_rng(0), 1.0))
    assert (found.harm, found.harmless) == (False, True)


def test_false_alarms_over_costs_are_as_rare_as_promised_however_long_their_tail() -> None:
    generator, alarms = np.random.default_rng(1), 0
    for _ in range(300):
        challenger = generator.random(400) < 0.05
        shares = np.minimum(generator.lognormal(-2.0, 1.0, 400), 1.0)
        alarms += is_above(split_differences(shares, challenger, np.full(400, 0.05)), 0.0, RULES.alpha)
    assert alarms / 300 <= RULES.alpha


@pytest.mark.parametrize(("rows", "harm"), [(1, True), (10, False)])
def test_what_a_request_takes_is_what_its_rows_cost_together(rows: int, harm: bool) -> None:
    """A challenger that is asked for ten rows at once and takes eight times as long costs less a row."""
    challenger = np.arange(600) % 2 == 1
    one = answers(np.full(600, 1.0), ~challenger)
    frame = pd.concat(
        [one[~one["challenger"]], answers(np.full(600, 8.0), challenger, rows=rows).query("challenger")]
    )
    assert cost(frame.sort_values("served_at")).harm == harm


def test_costs_are_compared_where_they_can_be() -> None:
    frame = drawn(np.random.default_rng(0), 1.0, 100)

    def compared(scale: Scale, *, paired: bool) -> set[str]:
        return {guard.name for guard in guards(frame, scale, RULES.guards, paired=paired)}

    assert "cost" in compared(COSTS, paired=False)
    assert "cost" not in compared(COSTS, paired=True)
    assert "cost" not in compared(Scale("regression"), paired=False)
    assert COSTS.guards == Scale("regression").guards + 1
