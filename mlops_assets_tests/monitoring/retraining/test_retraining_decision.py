"""What calls for a training, what forbids it, and who comes first."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.monitoring.retraining.decision import Decision, Rules, Situation, decide_on
from mlops_assets.monitoring.retraining.fleet_choice import choose
from mlops_assets.monitoring.retraining.gain import ExpectedGain

NOW = datetime(2024, 6, 1)
LONG_AGO = NOW - timedelta(days=100)


def expected(share: float) -> ExpectedGain:
    return ExpectedGain(share, 0.01, 3, 40, 0.4, 0.0, 0.5)


def situation(**found: object) -> Situation:
    return Situation(**{"at": NOW, "note": "as found", "last_training": LONG_AGO, **found})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "trigger", "blocked"),
    [
        ({"harm": True}, "harm", None),
        ({"estimated_harm": "auc .61 estimated, .70 on the hold-out"}, "estimated_harm", None),
        ({"harm": True, "estimated_harm": "worse"}, "harm", None),
        ({"harm": True, "expected": expected(0.1)}, "harm", None),
        ({"harm": True, "expected": expected(-0.01)}, "harm", "no_gain"),
        ({"harm": True, "incident": "a label rate of .97"}, "harm", "incident"),
        ({"harm": True, "running": True}, "harm", "running"),
        ({"harm": True, "last_training": NOW - timedelta(days=3)}, "harm", "cooldown"),
        ({"harm": True, "started": [NOW, NOW]}, "harm", "budget"),
        ({"expected": expected(0.1), "missed": 0.06}, "new_data", None),
        ({"expected": expected(0.1), "missed": 0.04}, None, None),
        ({"missed": 0.06}, None, None),
    ],
)
def test_what_starts_and_what_stops_a_training(
    found: dict[str, object], trigger: str | None, blocked: str | None
) -> None:
    decision = decide_on(situation(**found), Rules(on_gain=0.05, budget=2))
    assert (decision.trigger, decision.blocked) == (trigger, blocked)
    assert decision.retrain == (trigger is not None and blocked is None)
    assert decision.reason


def test_a_decision_tells_gain_cost_and_what_it_rests_on() -> None:
    asked = situation(expected=expected(0.1), missed=0.06, cost=20.0, traffic=1000.0)
    decision = decide_on(asked, Rules(on_gain=0.05))
    assert decision.priority == pytest.approx(0.1 * 1000 / 20)
    record = decision.as_record()
    assert record["expected"]["metric"] == pytest.approx(0.5 * 0.09516, rel=1e-3)
    assert "learned from 3 of its own" in record["expected"]["basis"]
    assert decision.reason.startswith("waiting has lost 6.0% of a window's loss")


asking = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.builds(
        Decision,
        st.just("harm"),
        st.booleans(),
        st.just("asks"),
        priority=st.none() | st.floats(0, 100),
    ),
    max_size=8,
)


@given(asking, st.integers(0, 6))
def test_those_that_promise_most_come_first(decisions: dict[str, Decision], allowed: int) -> None:
    chosen = choose(decisions, allowed)
    trained = [d.priority for d in chosen.values() if d.retrain]
    left = [d.priority for d in chosen.values() if d.blocked == "fleet_budget"]
    asked = sum(d.retrain for d in decisions.values())
    assert len(trained) == min(asked, allowed)
    assert len(trained) + len(left) == asked
    unknown = float("inf")
    for kept in trained:
        for dropped in left:
            assert (unknown if kept is None else kept) >= (unknown if dropped is None else dropped)
    assert choose(decisions, None) == decisions


def test_the_choice_is_explained() -> None:
    decisions = {f"m{i:02}": Decision("harm", True, "auc fell", priority=100.0 - i) for i in range(14)}
    chosen = choose(decisions, 5)
    assert chosen["m11"].reason == (
        "auc fell; 12th of 14 that ask for a training, and the fleet's budget allows 5 now"
    )
