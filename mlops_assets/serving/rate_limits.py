"""How much each caller may ask: a token bucket, and requests at a time.

Counts are kept in memory, by each worker process for itself; so with several workers each allows its share.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mlops_assets.serving.callers import UNLIMITED, Caller, Limits
from mlops_assets.serving.refusal import Refusal

_SECOND = 1_000_000_000
_MOST_CALLERS = 10_000


class TokenBucket:
    """Holds at most ``burst`` tokens, gains ``per_second`` a second, and gives one to each request.

    It is kept as the time at which it will be full again (the generic cell rate algorithm, ITU-T I.371), in
    whole nanoseconds: one number, no timer, no rounding that adds up.

    Args:
        per_second: Tokens gained a second, above 0.
        burst: Tokens it holds, at least 1.
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._interval = max(1, math.ceil(_SECOND / per_second))
        self._slack = (burst - 1) * self._interval
        self._full: int | None = None

    def take(self, now: int) -> int:
        """Take a token and return 0, or return in how many nanoseconds there will be one.

        Args:
            now: Nanoseconds of a clock that never goes back.
        """
        full = now if self._full is None else max(now, self._full)
        if (wait := full - self._slack - now) > 0:
            return wait
        self._full = full + self._interval
        return 0

    def is_full(self, now: int) -> bool:
        """Return whether it holds all the tokens it can."""
        return self._full is None or self._full <= now


class _Allowance:
    """What is left to one caller."""

    def __init__(self, limits: Limits, workers: int) -> None:
        self.limits = limits
        self.bucket: TokenBucket | None = None
        if limits.requests_per_second is not None:
            burst = max(1, math.ceil(limits.requests_per_second)) if limits.burst is None else limits.burst
            self.bucket = TokenBucket(limits.requests_per_second / workers, math.ceil(burst / workers))
        self.concurrent = None if limits.concurrent is None else math.ceil(limits.concurrent / workers)
        self.running = 0

    def is_idle(self, now: int) -> bool:
        return self.running == 0 and (self.bucket is None or self.bucket.is_full(now))


class RateLimits:
    """Holds callers to their limits; not safe to share between threads.

    Args:
        workers: Worker processes that share the port; each allows its share of a limit, at least 1.
        clock: Gives nanoseconds of a clock that never goes back.
    """

    def __init__(self, workers: int = 1, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._workers, self._clock = workers, clock
        self._allowances: dict[str, _Allowance] = {}

    def enter(self, caller: Caller) -> None:
        """Take a request of a caller in, if the limits allow one more.

        Raises:
            Refusal: 429 with Retry-After.
        """
        if caller.limits is UNLIMITED or not caller.limits:  # the usual one first: it takes no call
            return
        allowance, now = self._of(caller), self._clock()
        if allowance.concurrent is not None and allowance.running >= allowance.concurrent:
            raise _too_many(f"{caller.limits.concurrent} requests at a time", 1)
        if allowance.bucket is not None and (wait := allowance.bucket.take(now)):
            said = f"{caller.limits.requests_per_second:g} requests a second"
            raise _too_many(said, math.ceil(wait / _SECOND))

    @contextmanager
    def running(self, caller: Caller) -> Iterator[None]:
        """Count a request that was taken in as one that is being answered."""
        allowance = self._of(caller) if caller.limits else None
        if allowance is None:
            yield
            return
        allowance.running += 1
        try:
            yield
        finally:
            allowance.running -= 1

    def _of(self, caller: Caller) -> _Allowance:
        # By name and not by credential: who has two keys for a while, or a new token a minute, is one caller.
        known = self._allowances.get(caller.name)
        if known is not None and (known.limits is caller.limits or known.limits == caller.limits):
            return known
        if len(self._allowances) >= _MOST_CALLERS:
            self._forget_some()
        self._allowances[caller.name] = new = _Allowance(caller.limits, self._workers)
        return new

    def _forget_some(self) -> None:
        """Forget callers that have all that they may have; if there are none, the older half."""
        now = self._clock()
        idle = [name for name, allowance in self._allowances.items() if allowance.is_idle(now)]
        for name in idle or [*self._allowances][: _MOST_CALLERS // 2]:
            del self._allowances[name]


def _too_many(limit: str, seconds: int) -> Refusal:
    return Refusal(429, f"more than {limit}; try again in {seconds} s", {"retry-after": str(max(1, seconds))})
