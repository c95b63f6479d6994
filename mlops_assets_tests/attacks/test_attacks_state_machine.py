"""Legal and illegal steps in any order: what serves is the latest that was promoted by right, and proven.

The registry is one in memory that does what MLflow does (``test_memory_registry.py``). The rest is real: the
gateway's router, the authority, evidence, releases, approvals, the audit chain, signed packages. What may
serve is worked out apart from them, from bytes (``oracle.py``).
"""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from mlops_assets.serving import proving
from mlops_assets.specs.durations import utc_now
from mlops_assets_tests.attacks.estate import CANDIDATES, PEOPLE, RISKS, Estate
from mlops_assets_tests.attacks.tampering import TAMPERINGS

# The 1,000 sequences that were asked for take some minutes: ATTACK_SEQUENCES=1000 pytest <this file>
SEQUENCES = int(os.environ.get("ATTACK_SEQUENCES", "25"))

which = st.integers(0, 40)
# The last one is for the end: nobody has decided anything about it.
candidate = st.integers(0, CANDIDATES - 2)
tampering = st.sampled_from(TAMPERINGS)


class Attacked(RuleBasedStateMachine):
    """An estate where everybody does what they can, by right or without."""

    @initialize()
    def begin(self) -> None:
        self.estate = Estate()

    def teardown(self) -> None:
        if not hasattr(self, "estate"):
            return
        try:
            self.estate.follow()
            self.estate.what_is_done_by_right_serves()
        finally:
            self.estate.end()

    @rule(tamper=tampering, n=which, m=which)
    def somebody_tampers(self, tamper: Callable[..., None], n: int, m: int) -> None:
        tamper(self.estate, n, m)

    @rule(tamper=tampering, n=which, m=which)
    def somebody_tampers_before_the_gateway_looks(self, tamper: Callable[..., None], n: int, m: int) -> None:
        tamper(self.estate, n, m)
        self.estate.follow()

    @rule(candidate=candidate, error=st.sampled_from([0.02, 0.06]))
    def a_good_candidate_travels_the_road(self, candidate: int, error: float) -> None:
        version = self.estate.register(candidate, error, "limited")
        if version is not None:
            self.estate.promote(version)

    @rule(
        candidate=candidate,
        error=st.sampled_from([0.02, 0.06, 0.09]),
        risk=st.sampled_from(RISKS),
        age=st.sampled_from([0, 0, 60]),
    )
    def a_candidate_is_registered(self, candidate: int, error: float, risk: Any, age: int) -> None:
        self.estate.register(candidate, error, risk, age)

    @rule(n=which, error=st.sampled_from([0.02, 0.06]))
    def evidence_is_renewed(self, n: int, error: float) -> None:
        self.estate.renew(n, error)

    @rule(n=which)
    def a_version_is_promoted(self, n: int) -> None:
        version = self.estate.pick(n)
        if version is not None:
            self.estate.promote(version)

    @rule(n=st.one_of(st.none(), which))
    def somebody_on_call_rolls_back(self, n: int | None) -> None:
        self.estate.roll_back(n)

    @rule(n=which, name=st.sampled_from(sorted(PEOPLE)), decision=st.sampled_from(["approve", "reject"]))
    def somebody_decides(self, n: int, name: str, decision: str) -> None:
        self.estate.decide(n, name, decision)

    @rule(n=which)
    def a_version_of_high_risk_is_approved_and_promoted(self, n: int) -> None:
        if (version := self.estate.pick(n)) is not None:
            for name in ("Ada", "Grace"):
                self.estate.decide(n, name, "approve")
            self.estate.promote(version)

    @rule(limit=st.sampled_from([0.04, 0.08, 0.1]), days=st.sampled_from([50, 400]), revoked=st.booleans())
    def the_policy_changes(self, limit: float, days: int, revoked: bool) -> None:
        self.estate.limit, self.estate.days_valid, self.estate.revoked = limit, days, revoked

    @rule(days=st.sampled_from([1, 5, 30, 120]))
    def time_passes(self, days: int) -> None:
        self.estate.now += timedelta(days=days)

    @rule()
    def the_gateway_is_restarted(self) -> None:
        self.estate.start_gateway()

    @rule()
    def the_store_is_mended(self) -> None:
        self.estate.mend_store()

    @rule()
    def the_gateway_follows(self) -> None:
        self.estate.follow()

    @invariant()
    def what_serves_answers_as_it_was_signed(self) -> None:
        if hasattr(self, "estate"):
            self.estate.answers_as_it_was_signed()


def test_what_serves_was_promoted_by_right_and_is_the_latest() -> None:
    run_state_machine_as_test(
        Attacked,
        settings=settings(
            max_examples=SEQUENCES,
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
            deadline=None,
        ),
    )


def test_an_estate_that_cannot_be_built_leaves_the_clock_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Estate, "register", lambda *_: None)
    with pytest.raises(AssertionError):
        Estate()
    assert proving.utc_now is utc_now
