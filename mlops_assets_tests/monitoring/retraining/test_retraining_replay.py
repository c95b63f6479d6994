"""A replay sees only what was known, keeps its budgets, and is the same each time."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.evaluation.comparison import ChampionComparison
from mlops_assets.evaluation.intervals import PairedDifference
from mlops_assets.evaluation.quality import measure_against_champion
from mlops_assets.monitoring.retraining.decision import BUDGET_SPAN, Decision, Rules, Situation
from mlops_assets.monitoring.retraining.gain import ExpectedGain
from mlops_assets.monitoring.retraining.history import Comparison
from mlops_assets.monitoring.retraining.replay import (
    Gate,
    Policy,
    Replayed,
    RulesPolicy,
    replay,
    replay_fleet,
)
from mlops_assets.specs.gate_rules import ChampionComparisonRules
from mlops_assets.verdict import judge
from mlops_assets_tests.monitoring.retraining.pasts import WEEK, MeanTrainer, past

NOW = timedelta(0)
ALWAYS = Rules(on_harm=False, cadence=NOW, cooldown=NOW)
EAGER = Rules(on_harm=False, on_gain=0.1, cooldown=NOW)
OURS = RulesPolicy(EAGER, Gate(looks=2, revert=0.95, weighs_expectation=True))

rules = st.builds(
    Rules,
    on_harm=st.booleans(),
    cadence=st.none() | st.integers(0, 20).map(lambda days: timedelta(days=days)),
    on_new_rows=st.none() | st.integers(1, 200),
    on_gain=st.none() | st.floats(0, 0.1),
    cooldown=st.integers(0, 20).map(lambda days: timedelta(days=days)),
    budget=st.none() | st.integers(0, 3),
)
gates = (
    st.builds(
        Gate, looks=st.integers(1, 3), revert=st.sampled_from([None, 0.9]), weighs_expectation=st.booleans()
    )
    | st.none()
)
policies = st.builds(RulesPolicy, rules, gates)


def walked(policy: Policy, *, hindsight: bool = False, **given: float) -> Replayed:
    history = past(**given)  # type: ignore[arg-type]
    return replay(history, policy, MeanTrainer(history.target), hindsight=hindsight)


@settings(max_examples=12, deadline=None)
@given(policies, st.integers(0, 5), st.integers(1, 15), st.floats(0, 1))
def test_what_becomes_known_later_changes_no_decision(
    policy: RulesPolicy, seed: int, delay_days: int, level: float
) -> None:
    history = past(seed=seed, level=level, delay_days=delay_days)
    if len(history.learned_from(history.ticks[0])) == 0:
        return
    before = replay(history, policy, MeanTrainer(history.target), hindsight=False)
    for tick in (2, 5):
        at = history.ticks[tick]
        later = np.setdiff1d(np.arange(len(history.target)), history.learned_from(at))
        other = replace(history, target=history.target.copy())
        other.target[later] += 100.0
        after = replay(other, policy, MeanTrainer(other.target), hindsight=False)
        known = [(step.at, step.decision) for step in before.steps if step.at <= at]
        assert known == [(step.at, step.decision) for step in after.steps if step.at <= at]
        champions = [step.champion for step in before.steps[: tick + 1]]
        assert champions == [step.champion for step in after.steps[: tick + 1]]


@settings(max_examples=12, deadline=None)
@given(policies, st.integers(0, 5))
def test_budget_and_cooldown_hold_at_any_time(policy: RulesPolicy, seed: int) -> None:
    times = [version.trained for version in walked(policy, seed=seed, windows=10, level=0.5).versions]
    retrained = times[1:]
    for at in retrained:
        within = sum(at - BUDGET_SPAN < then <= at for then in retrained)
        assert policy.rules.budget is None or within <= policy.rules.budget
    assert all(late - early >= policy.rules.cooldown for early, late in pairwise(times))


@settings(max_examples=10, deadline=None)
@given(policies, st.integers(0, 5))
def test_the_same_past_is_walked_the_same_way(policy: RulesPolicy, seed: int) -> None:
    assert walked(policy, seed=seed, hindsight=True) == walked(policy, seed=seed, hindsight=True)


@settings(max_examples=15, deadline=None)
@given(policies)
def test_an_incident_about_labels_stops_every_training(policy: RulesPolicy) -> None:
    history = past(level=2.0, incidents=dict.fromkeys(range(8), "a label rate of .97"))
    done = replay(history, policy, MeanTrainer(history.target), hindsight=False)
    assert done.trainings == 0
    asked = [step.decision for step in done.steps if step.decision.trigger]
    assert all(each.blocked == "incident" and "people" in each.reason for each in asked)


def test_a_trainer_is_shown_no_row_whose_label_is_not_known() -> None:
    history = past(delay_days=10)
    history = replace(history, ticks=history.ticks[2:])
    trainer = MeanTrainer(history.target)
    replay(history, RulesPolicy(ALWAYS, None), trainer, hindsight=False)
    last = [history.learned_from(at)[-1] for at in history.ticks[:-1]]
    assert trainer.shown == last


def test_what_moves_is_followed_and_what_does_not_is_left_alone() -> None:
    moving = walked(OURS, level=0.8, windows=12)
    assert moving.steps[-1].champion > 1
    last = moving.steps[-1]
    assert last.metric is not None
    assert last.first_metric is not None
    assert last.metric < last.first_metric - 1
    still = walked(OURS, level=0.0, windows=12)
    always = walked(RulesPolicy(ALWAYS, Gate()), level=0.0, windows=12)
    assert still.trainings < always.trainings / 2


def test_a_challenger_serves_only_after_it_has_won() -> None:
    history = past(level=0.8)
    done = replay(history, RulesPolicy(ALWAYS, Gate()), MeanTrainer(history.target), hindsight=False)
    serving = {step.champion for step in done.steps}
    won = {step.trained for step in done.steps if step.fate == "serves"}
    assert serving - {1} <= won
    hopeless = Gate(min_rows=10_000)
    assert {s.champion for s in walked(RulesPolicy(ALWAYS, hopeless), level=0.8).steps} == {1}


@given(
    st.floats(0.001, 0.999),
    st.floats(-0.3, 0.3),
    st.floats(0.001, 0.2),
    st.none() | st.builds(ExpectedGain, st.floats(-0.3, 0.3), st.floats(0, 0.2), *[st.just(0)] * 4),
    st.builds(
        ChampionComparisonRules,
        required=st.just(True),
        confidence=st.sampled_from([0.7, 0.95]),
        min_gain=st.just(0.01),
        min_rows=st.sampled_from([100, 300]),
        weighs_expectation=st.booleans(),
    ),
)
def test_a_replay_decides_as_the_gate_of_the_policy_does(
    p_value: float,
    gain: float,
    error: float,
    expected: ExpectedGain | None,
    rules: ChampionComparisonRules,
) -> None:
    found = Comparison(200, gain, error, p_value, margin=0.02)
    weighed = (found.shown, expected.expectation) if expected and rules.weighs_expectation else None
    live = measure_against_champion(
        ChampionComparison(200, PairedDifference(gain, gain, gain, p_value)),
        "1", same=False, uses=1, metric="rmse", weighed=weighed,
    )  # fmt: skip
    assert Gate.of(rules).is_won(found, expected) == judge(live, rules).passed


def test_what_gains_less_than_is_demanded_does_not_serve() -> None:
    history = past(level=0.8)
    asked = Gate(margin=100.0)
    done = replay(history, RulesPolicy(ALWAYS, asked), MeanTrainer(history.target), hindsight=False)
    assert {step.champion for step in done.steps} == {1}


def test_a_version_that_turns_out_worse_is_reverted() -> None:
    history = past(windows=10)
    # For two weeks the world is another one, and then again as it was.
    history.target[2 * 56 : 4 * 56] += 2
    policy = RulesPolicy(Rules(on_harm=False, cadence=WEEK * 3, cooldown=NOW), Gate(revert=0.95))
    done = replay(history, policy, MeanTrainer(history.target), hindsight=False)
    assert next(step.fate for step in done.steps if step.fate) == "reverted"
    assert 1 in [step.champion for step in done.steps[5:]]


def test_harm_is_judged_by_labels_and_calls_for_a_training() -> None:
    moving = past(level=1.0, tolerance=0.1, min_labels=40)
    policy = RulesPolicy(Rules(cooldown=NOW), Gate())
    done = replay(moving, policy, MeanTrainer(moving.target), hindsight=False)
    harmed = [step for step in done.steps if step.decision.trigger == "harm"]
    assert harmed
    assert "on the hold-out: worse" in harmed[0].decision.reason
    assert done.trainings > 0
    still = past(level=0.0, tolerance=0.5, min_labels=40)
    assert replay(still, policy, MeanTrainer(still.target), hindsight=False).trainings == 0


def test_each_decision_is_told_how_it_turned_out() -> None:
    done = walked(RulesPolicy(Rules(on_harm=False), Gate()), level=0.8, hindsight=True)
    assert done.trainings == 0
    missed = [step.turned_out for step in done.steps[:-1]]
    assert all(gain is not None and gain > 0 for gain in missed[2:])
    read = json.loads(json.dumps(done.as_record(), default=datetime.isoformat))
    assert [step["turned_out"] for step in read["steps"]] == [step.turned_out for step in done.steps]
    assert read["steps"][3]["decision"]["expected"]["basis"]


class Everybody:
    """Asks for a training of every model at every tick; the higher its name, the more it promises."""

    gate = None
    fleet_budget = 0.5

    def decide(self, model: str, situation: Situation) -> Decision:
        return Decision("cadence", True, "asks", priority=float(model[1:]))


def test_a_fleet_trains_first_what_promises_most() -> None:
    fleet = [past(windows=4, seed=i, model=f"m{i}") for i in range(5)]
    done = replay_fleet([(h, MeanTrainer(h.target)) for h in fleet], Everybody(), hindsight=False)
    assert [each.trainings for each in done] == [0, 0, 2, 2, 2]
    said = done[0].steps[0].decision
    assert said.blocked == "fleet_budget"
    assert said.reason == "asks; 5th of 5 that ask for a training, and the fleet's budget allows 3 now"


def test_while_one_is_on_trial_none_is_trained() -> None:
    never_wins = Gate(confidence=0.999999, looks=3)
    done = walked(RulesPolicy(ALWAYS, never_wins), windows=10)
    times = [version.trained for version in done.versions[1:]]
    assert len(times) > 1
    assert all(late - early >= 2 * WEEK for early, late in pairwise(times))
    assert {step.decision.blocked for step in done.steps} >= {"running"}
