"""Estimates held against what was measured once the labels had come, and whether to believe the next.

What an estimator promises is that its own intervals hold what is measured, in 95 of 100 windows, say.
Gamblers bet against that promise on each window: as long as it is kept they may not expect to win, so that
they ever have ``1 / ALPHA`` times what they began with has a probability of ``ALPHA`` at most, however many
windows there are and however often anybody looks. They begin one after the other, as an estimator may be
right for a year and wrong from then on. Against whoever says that fewer than seven of ten are held there is a
bet likewise, which has to be won before an estimator is called trustworthy. Untrustworthy once is for good:
fit a new estimator on newer labels, which begins with no windows.

Judged are the estimator's own intervals and not the widened ones, which are made to hold in the end whatever
it says. This is where a change of what outputs mean is found, which no estimate can see.

Source: Waudby-Smith and Ramdas, "Estimating Means of Bounded Random Variables by Betting", Journal of the
Royal Statistical Society B 86 (2024), for the bets; Robbins, "Statistical Methods Related to the Law of the
Iterated Logarithm", Annals of Mathematical Statistics 41 (1970), for spreading them evenly over what the true
share may be; Shin, Ramdas and Rinaldo, "E-detectors: A Nonparametric Framework for Sequential Change
Detection", New England Journal of Statistics in Data Science (2023), for gamblers that begin later; Ville,
"Étude critique de la notion de collectif" (1939), for the inequality.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.errors import DataError
from mlops_assets.monitoring.estimation.estimate import Estimate, reach

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# The probability that an estimator is ever called untrustworthy although it keeps its promise.
ALPHA = 0.01
# And that it is ever called trustworthy although a smaller share of its intervals holds.
TRUST_ALPHA, LEAST_SHARE = 0.05, 0.7
# Figures that are equal differ by how they were added up.
_ROUNDING = 1e-9

Verdict = Literal["trustworthy", "not enough windows", "untrustworthy"]


@dataclass(frozen=True)
class AuditedWindow:
    """An estimate and what was measured.

    Attributes:
        estimate: As it was given out, before the labels came.
        measured: The metric on the labels.
    """

    estimate: Estimate
    measured: float

    @cached_property
    def covered(self) -> bool:
        """Whether the interval that was given out holds what was measured."""
        return self.estimate.low - _ROUNDING <= self.measured <= self.estimate.high + _ROUNDING

    @cached_property
    def kept(self) -> bool:
        """Whether the estimator's own interval does, before anything was learnt from audits."""
        return self.distance <= reach(self.estimate.degrees, self.estimate.confidence)

    @cached_property
    def distance(self) -> float:
        """How far off the estimate was, in its standard errors."""
        off = abs(self.measured - self.estimate.value)
        if off <= _ROUNDING:
            return 0.0
        return off / self.estimate.error if self.estimate.error > 0 else math.inf


@dataclass(frozen=True)
class Trust:
    """Whether an estimator's intervals are to be believed.

    Attributes:
        verdict: Trustworthy, untrustworthy, or that too few windows are audited to tell.
        windows: How many are.
        kept: How many of the estimator's own intervals held.
        covered: How many of those that were given out did.
        reason: Why, in one sentence.
    """

    verdict: Verdict
    windows: int
    kept: int
    covered: int
    reason: str


def audit(estimate: Estimate, measured: float) -> AuditedWindow:
    """Return an estimate held against what was measured.

    Both have to be of the same rows. Where only some labels have come, estimate the metric of these rows
    anew: the rows whose labels come early are seldom like the others.

    Args:
        estimate: The estimate of one metric.
        measured: The same metric on the labels.

    Raises:
        DataError: What was measured is no number.
    """
    if not math.isfinite(measured):
        raise DataError(
            f"{estimate.metric} is not defined on the labels of this window; there is nothing to audit"
        )
    return AuditedWindow(estimate, measured)


def judge_coverage(audited: Sequence[AuditedWindow], promise: float = 0.95) -> Trust:
    """Return whether an estimator keeps its promise.

    Args:
        audited: Windows of one metric and one estimator, in the order in which their labels came.
        promise: How often its own intervals are to hold; the confidence that was asked for.
    """
    misses = [not window.kept for window in audited]
    windows, missed = len(misses), sum(misses)
    kept = windows - missed
    promised = f"the {promise:.0%} that were promised"
    verdict: Verdict
    if _is_broken(misses, 1 - promise):
        verdict, reason = "untrustworthy", f", not {promised}; {_how_off(audited)}"
    elif any(_is_sound(count, sum(misses[:count])) for count in range(1, windows + 1)):
        verdict, reason = (
            "trustworthy",
            f": more than {LEAST_SHARE:.0%} for sure, and not shown to be less than {promised}",
        )
    else:
        verdict, reason = "not enough windows", f"; {_wanting(windows, missed)} more that do would tell"
    reason = f"{kept} of {windows} intervals held what was measured{reason}"
    return Trust(verdict, windows, kept, sum(window.covered for window in audited), reason)


def _is_broken(misses: Sequence[bool], allowed: float) -> bool:
    """Return whether the gamblers against the promise ever had enough."""
    import numpy as np

    before = np.concatenate([[0], np.cumsum(misses)])
    begun = np.arange(1, len(misses) + 1)
    # They share what there is so that there is some left for whoever begins last.
    stake = 1 / (begun * (begun + 1))
    # What they have grows at misses only: at a hit all of them lose, and who begins has what was kept back.
    for now in begun[np.asarray(misses, dtype=bool)]:
        since = begun[:now]
        won = _won(now - since + 1, before[now] - before[since - 1], allowed, more=True)
        if float(stake[:now] @ won) + 1 / (now + 1) >= 1 / ALPHA:
            return True
    return False


@lru_cache(100_000)
def _is_sound(windows: int, missed: int) -> bool:
    return bool(_won(windows, missed, 1 - LEAST_SHARE, more=False) >= 1 / TRUST_ALPHA)


def _how_off(audited: Sequence[AuditedWindow]) -> str:
    """Return in words how the windows that were missed differ from what was estimated."""
    off = [window.measured - window.estimate.value for window in audited if not window.kept]
    metric, mean = audited[0].estimate.metric, sum(off) / len(off)
    if all(each > 0 for each in off) or all(each < 0 for each in off):
        way = "higher" if mean > 0 else "lower"
        return (
            f"{metric} was {way} than estimated each time, by {abs(mean):.3g} on average: "
            "what comes of like outputs is no longer what it was in the hold-out"
        )
    return (
        f"{metric} was now higher and now lower than estimated: "
        "it changes in ways that the hold-out does not show"
    )


def _wanting(windows: int, missed: int) -> int:
    """Return how many windows that hold would make an estimator trustworthy."""
    more = 1
    while not _is_sound(windows + more, missed):
        more += 1
    return more


def _won(windows: "Array | int", missed: "Array | int", share: float, *, more: bool) -> "Array":
    """Return what gamblers have, of one at first, who bet on the share of windows that are missed.

    Args:
        windows: Number of windows.
        missed: How many of them were missed.
        share: The share that is bet against.
        more: Whether the bet is that more are missed, else that fewer are.
    """
    import numpy as np
    from scipy.special import betainc, betaincc, betaln

    held = np.asarray(windows) - missed
    a, b = np.asarray(missed) + 1, held + 1
    beyond, room = (betaincc(a, b, share), 1 - share) if more else (betainc(a, b, share), share)
    fair = np.asarray(missed) * math.log(share) + held * math.log1p(-share)
    return np.asarray(beyond / room * np.exp(np.minimum(betaln(a, b) - fair, 700.0)))
