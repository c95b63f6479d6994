import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.rollout.plan import Split, Step, steps
from mlops_assets.specs.policy_file import current_policy
from mlops_assets.specs.rollout_rules import RolloutRules

SHADOW, ALL = Step(0, paired=True), Step(100, paired=True)


def rules(**values: object) -> RolloutRules:
    demanded = current_policy().tiers["minimal"].rollout
    return RolloutRules.model_validate({**demanded.model_dump(), **values})


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"strategy": "immediate"}, ()),
        ({"strategy": "blue_green"}, (ALL,)),
        ({"strategy": "shadow"}, (SHADOW,)),
        ({"strategy": "canary"}, (Step(5, False), Step(25, False), Step(50, False))),
        (
            {"strategy": "canary", "shadow": "24h", "canary": [40, 3]},
            (SHADOW, Step(3, False), Step(40, False)),
        ),
        ({"strategy": "blue_green", "shadow": "1h"}, (SHADOW, ALL)),
    ],
)
def test_a_strategy_has_its_steps(asked: dict[str, object], expected: tuple[Step, ...]) -> None:
    assert steps(rules(**asked)) == expected


@given(st.text(), st.text(), st.floats(0, 100), st.floats(0, 100))
def test_who_has_seen_the_challenger_goes_on_seeing_it(salt: str, key: str, one: float, other: float) -> None:
    split = Split(salt)
    less, more = sorted((one, other))

    assert split.is_challengers(key, less) <= split.is_challengers(key, more)
    assert not split.is_challengers(key, 0)
    assert split.is_challengers(key, 100)


@pytest.mark.parametrize("percent", [1, 5, 25, 50])
def test_the_challenger_has_its_share_of_the_entities(percent: float) -> None:
    split = Split("rollout-7")
    chosen = np.mean([split.is_challengers(f"customer-{n}", percent) for n in range(20_000)])

    assert chosen == pytest.approx(percent / 100, abs=4 * (percent / 100 / 20_000) ** 0.5)


def test_another_rollout_sends_others_ahead() -> None:
    one, other = Split("rollout-7"), Split("rollout-8")
    first = [key for key in map(str, range(20_000)) if one.is_challengers(key, 10)]

    again = np.mean([other.is_challengers(key, 10) for key in first])

    assert again == pytest.approx(0.1, abs=4 * (0.1 / len(first)) ** 0.5)
