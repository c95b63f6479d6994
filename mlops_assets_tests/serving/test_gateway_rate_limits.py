"""How much a caller may ask: the token bucket is exact, and each caller has an own one."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.serving import rate_limits
from mlops_assets.serving.callers import ANONYMOUS, Caller, Limits
from mlops_assets.serving.rate_limits import RateLimits, TokenBucket
from mlops_assets.serving.refusal import Refusal

SECOND = 1_000_000_000

rates = st.integers(1, 10_000)
bursts = st.integers(1, 50)
pauses = st.lists(st.integers(0, 3 * SECOND) | st.integers(0, SECOND // 1000), max_size=60)


def caller(name: str = "booking", **limits: Any) -> Caller:
    return replace(ANONYMOUS, name=name, limits=Limits(**limits))


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


@given(rates, bursts, pauses)
def test_the_bucket_decides_as_one_that_counts_its_tokens(rate: int, burst: int, waits: list[int]) -> None:
    bucket, tokens, now = TokenBucket(rate, burst), Fraction(burst), 0
    interval = -(-SECOND // rate)
    for wait in waits:
        now += wait
        tokens = min(Fraction(burst), tokens + Fraction(wait, interval))
        taken = bucket.take(now) == 0
        assert taken == (tokens >= 1)
        tokens -= taken


@given(rates, bursts, pauses)
def test_who_waits_as_long_as_told_gets_a_token_and_not_a_moment_before(
    rate: int, burst: int, waits: list[int]
) -> None:
    bucket, now = TokenBucket(rate, burst), 0
    for wait in waits:
        now += wait
        if (told := bucket.take(now)) > 0:
            assert bucket.take(now + told - 1) == 1
            assert bucket.take(now + told) == 0
            now += told


@given(rates, bursts, pauses)
def test_no_stretch_of_time_lets_more_through_than_its_length_and_one_burst(
    rate: int, burst: int, waits: list[int]
) -> None:
    bucket, now, let_in = TokenBucket(rate, burst), 0, []
    for wait in waits:
        now += wait
        if bucket.take(now) == 0:
            let_in.append(now)
    for first, start in enumerate(let_in):
        for last, end in enumerate(let_in[first:], first):
            assert last - first + 1 <= burst + (end - start) * rate / SECOND + 1e-6


def test_callers_have_a_bucket_each_and_their_keys_share_it() -> None:
    limits = RateLimits(clock=Clock())
    first, other = caller("first", requests_per_second=1), caller("other", requests_per_second=1)

    limits.enter(first)
    limits.enter(other)
    with pytest.raises(Refusal) as refused:
        limits.enter(replace(first, until=5.0))  # another key of the same caller

    assert (refused.value.status, refused.value.headers["retry-after"]) == (429, "1")
    assert "more than 1 requests a second" in str(refused.value)


def test_a_burst_is_what_a_second_allows_unless_said_otherwise() -> None:
    limits = RateLimits(clock=Clock())
    for who, allowed in (
        (caller("a", requests_per_second=5), 5),
        (caller("b", requests_per_second=5, burst=2), 2),
    ):
        for _ in range(allowed):
            limits.enter(who)
        with pytest.raises(Refusal):
            limits.enter(who)


def test_as_many_at_a_time_as_allowed_and_one_more_when_one_has_ended() -> None:
    limits, who = RateLimits(clock=Clock()), caller(concurrent=2)
    limits.enter(who)
    with limits.running(who):
        limits.enter(who)
        with limits.running(who), pytest.raises(Refusal, match="2 requests at a time"):
            limits.enter(who)
        limits.enter(who)


def test_one_that_fails_has_ended_too() -> None:
    limits, who = RateLimits(clock=Clock()), caller(concurrent=1)
    with pytest.raises(RuntimeError), limits.running(who):
        raise RuntimeError
    limits.enter(who)


def test_each_of_several_workers_allows_its_share() -> None:
    clock = Clock()
    limits, who = RateLimits(workers=4, clock=clock), caller(requests_per_second=8, concurrent=4)
    for _ in range(2):
        limits.enter(who)
    with pytest.raises(Refusal):
        limits.enter(who)
    clock.now = SECOND // 2
    limits.enter(who)
    with limits.running(who), pytest.raises(Refusal, match="at a time"):
        limits.enter(who)


def test_changed_limits_count_at_once() -> None:
    limits = RateLimits(clock=Clock())
    limits.enter(caller(requests_per_second=1))
    limits.enter(caller(requests_per_second=2))


def test_callers_without_end_are_not_remembered_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "_MOST_CALLERS", 10)
    clock = Clock()
    limits, busy = RateLimits(clock=clock), caller("busy", requests_per_second=0.001)
    limits.enter(busy)
    for number in range(100):
        clock.now += SECOND
        limits.enter(caller(f"n{number}", requests_per_second=1))

    assert len(limits._allowances) <= 10
    with pytest.raises(Refusal):
        limits.enter(busy)  # those who have used theirs up are kept


def test_the_unlimited_are_not_counted() -> None:
    limits = RateLimits()
    for _ in range(1000):
        limits.enter(ANONYMOUS)
    with limits.running(ANONYMOUS):
        limits.enter(ANONYMOUS)
    assert not limits._allowances
