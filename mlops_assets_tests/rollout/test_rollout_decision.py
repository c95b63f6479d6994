from datetime import datetime, timedelta

import numpy as np
import pytest

from mlops_assets.rollout.decision import Decision, Finding, Guard, Progress, decide, findings
from mlops_assets.rollout.plan import Step
from mlops_assets.rollout.sequential_bounds import Differences, paired_differences
from mlops_assets.specs.policy_file import current_policy
from mlops_assets.specs.rollout_rules import GuardRules

BEGUN = datetime(2026, 1, 1)
RULES = current_policy().tiers["minimal"].rollout.model_copy(update={"min_time": timedelta(hours=2)})
CANARY = Step(5, paired=False)


def finding(
    low: float = -0.01, high: float = 0.01, *, required: bool = True, guard: str = "error_rate"
) -> Finding:
    name, _, of = guard.partition(" of ")
    return Finding(name, of, low, high, 4_000, tolerance=0.0, margin=0.02, required=required)


def decided(*looked: Finding, hours: float = 3, units: int = 900, step: Step = CANARY) -> Decision:
    progress = Progress(BEGUN, BEGUN, {"champion": 20_000, "challenger": units})
    return decide(RULES, step, progress, looked, BEGUN + timedelta(hours=hours))


def test_no_harm_and_enough_seen_advances() -> None:
    assert decided(finding()) == Decision("advance", "no harm at canary 5 %")


def test_harm_reverts_at_once_and_says_which() -> None:
    found = decided(finding(), finding(0.004, 0.05, guard="performance of JFK"), hours=0, units=30)

    assert found == Decision(
        "revert", "harm at canary 5 %: performance of JFK worse by +0.0040 to +0.0500 (4,000 units)"
    )


def test_harm_counts_even_where_nobody_waits_for_its_absence() -> None:
    assert decided(finding(0.001, 0.5, required=False)).action == "revert"


@pytest.mark.parametrize(
    ("looked", "hours", "units", "why"),
    [
        (finding(), 3, 499, "499 of 500 units with the challenger"),
        (finding(), 1, 900, "1h of 2h"),
        (finding(high=0.03), 3, 900, "error_rate worse by -0.0100 to +0.0300 (4,000 units)"),
    ],
)
def test_what_is_not_shown_yet_is_waited_for(looked: Finding, hours: float, units: int, why: str) -> None:
    assert decided(looked, hours=hours, units=units) == Decision("wait", f"at canary 5 %: {why}")


def test_nobody_waits_for_a_guard_that_is_not_required() -> None:
    assert decided(finding(), finding(high=0.9, required=False)).action == "advance"


def test_what_shows_neither_until_the_deadline_is_reverted() -> None:
    found = decided(finding(high=0.03), hours=14 * 24)

    assert found.action == "revert"
    assert found.reason.startswith("after 14d neither harm nor its absence is shown: error_rate worse by")


def test_a_shadow_takes_as_long_as_is_asked_of_it() -> None:
    rules = RULES.model_copy(update={"shadow": timedelta(hours=24)})
    progress = Progress(BEGUN, BEGUN, {"champion": 900, "challenger": 900})

    def action(hours: int) -> str:
        return decide(rules, Step(0, paired=True), progress, [], BEGUN + timedelta(hours=hours)).action

    assert (action(23), action(24)) == ("wait", "advance")


def test_each_guard_is_given_its_part_of_the_false_alarms() -> None:
    generator = np.random.default_rng(0)
    worse = paired_differences((generator.random(900) < 0.03).astype("float64"), np.zeros(900))
    same = Differences(np.zeros(900), -np.ones(900), np.ones(900))
    rules = GuardRules(tolerance=0, margin=0.02, required=True)

    alone = findings([Guard("error_rate", "", rules, worse)], 0.05)
    among_many = findings(
        [
            Guard("error_rate", "", rules, worse),
            *(Guard("performance", str(n), rules, same) for n in range(50)),
        ],
        0.05,
    )

    assert alone[0].low > among_many[0].low
    assert alone[0].high == among_many[0].high
    assert str(among_many[1]).startswith("performance of 0 worse by")
