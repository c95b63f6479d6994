"""How much worse a challenger is than the champion, told after every answer and honest at each.

A test that is made for one look lies when it is looked at often. These bounds hold at all times at once:
with probability ``1 - alpha`` the true difference never leaves them, however often anybody looks and for
whatever reason the looking ends.

Each unit (a person, a machine, a single request) was sent to the challenger with a known probability ``p``,
by chance and by nothing else. So ``(y - b) / p`` where it was, and ``-(y - b) / (1 - p)`` where it was not,
has the difference between the arms as its mean, whatever the hour or the kind of unit, for any ``b`` that
was known before; that the last units' mean is ``b`` makes it vary least. Against each difference ``m`` that
might be the true one a gambler bets a share of what they have on every unit. If ``m`` is true they may not
expect to win, so that they ever have ``1 / alpha`` times what they began with has a probability of ``alpha``
at most, and an ``m`` at which they do is ruled out. What share to bet nobody knows before; the gambler
spreads what they have over many.

Source: Ham, Bojinov, Lindon and Tingley, "Design-Based Confidence Sequences" (arXiv:2210.08639, 2022), for
the differences; Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", Journal
of the Royal Statistical Society B 86 (2024), for the bets; Ville, "Étude critique de la notion de collectif"
(1939), for the inequality.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# Shares of the largest bet that cannot ruin. Each half of the one before: between two of them hardly
# anything is lost, and the smallest is right for differences that take millions of units to see.
_SHARES = tuple(0.5**k for k in range(1, 15))
# Before so many units nothing is known of how the outcomes lie, and nothing is bet.
OBSERVED_FIRST = 20
# What is won is added up in parts of so many units; a look at more units adds up the same parts.
AT_ONCE = 5_000
# Bounds are whole multiples of this.
_STEP = 2.0**-14
LEAST, _MOST = -(2**14), 2**14


@dataclass(frozen=True, eq=False)
class Differences:
    """For each unit, in the order in which they were known, an estimate of the difference between the arms.

    Attributes:
        estimate: Its expectation is how much more the unit's outcome is with the challenger; shape (n,).
        lowest: The least the estimate could have been, as was known before; shape (n,).
        highest: The most.
    """

    estimate: "Array"
    lowest: "Array"
    highest: "Array"

    def __len__(self) -> int:
        return len(self.estimate)


def split_differences(outcome: "Array", challenger: "Array", probability: "Array") -> Differences:
    """Return the differences of units that were split between the arms.

    Args:
        outcome: What came of each unit, from 0 to 1; shape (n,).
        challenger: Whether the challenger answered it; shape (n,).
        probability: How probable that was, above 0 and below 1; shape (n,).
    """
    import numpy as np

    before = np.arange(len(outcome))
    baseline = (np.cumsum(outcome) - outcome + 0.5) / (before + 1)
    from_mean = outcome - baseline
    estimate = np.where(challenger, from_mean / probability, -from_mean / (1 - probability))
    lowest = -np.maximum(baseline / probability, (1 - baseline) / (1 - probability))
    highest = np.maximum((1 - baseline) / probability, baseline / (1 - probability))
    return Differences(estimate, lowest, highest)


def paired_differences(challenger: "Array", champion: "Array") -> Differences:
    """Return the differences of units that both arms answered, as in shadow.

    Args:
        challenger: What would have come of each unit with the challenger, from 0 to 1; shape (n,).
        champion: What came of it with the champion; shape (n,).
    """
    import numpy as np

    estimate = challenger - champion
    return Differences(estimate, -np.ones(len(estimate)), np.ones(len(estimate)))


def lower_bound(differences: Differences, alpha: float) -> float:
    """Return a bound that the true difference is below, at any look, with this probability at most.

    Args:
        differences: Of the units so far, in the order in which they were known. What was looked at before
            has to be their beginning.
        alpha: The probability.
    """
    return value_of(greatest(lambda place: is_above(differences, value_of(place), alpha)))


def upper_bound(differences: Differences, alpha: float) -> float:
    """Return a bound that the true difference is above, likewise; see :func:`lower_bound`."""
    return -lower_bound(upside_down(differences), alpha)


def is_above(differences: Differences, value: float, alpha: float) -> bool:
    """Return whether the true difference is shown to be above a value; see :func:`lower_bound`."""
    return shown_above(differences, value, alpha) is not None


def is_below(differences: Differences, value: float, alpha: float) -> bool:
    """Return whether the true difference is shown to be below a value; see :func:`lower_bound`."""
    return shown_below(differences, value, alpha) is not None


def shown_above(differences: Differences, value: float, alpha: float) -> int | None:
    """Return after how many units it was first shown that the true difference is above a value, or None.

    A gambler who bets that it is greater then has ``1 / alpha`` times what they began with.
    """
    return bet(differences, value, alpha).shown


@dataclass(frozen=True)
class Bet:
    """How the gamblers against one value stand.

    Attributes:
        shown: After how many units they had ``1 / alpha`` times what they began with; None if never.
        units: Units in the whole parts that were added up.
        had: Logarithm of what each of them had after these, of what they began with.
    """

    shown: int | None = None
    units: int = OBSERVED_FIRST
    had: tuple[float, ...] = (0.0,) * len(_SHARES)


def bet(differences: Differences, value: float, alpha: float, before: Bet = Bet()) -> Bet:
    """Have gamblers bet that the true difference is greater than a value.

    Args:
        differences: Of the units so far, in the order in which they were known.
        value: The value.
        alpha: The probability that they win enough although it is not greater.
        before: How they stood when fewer of these units were known.
    """
    import numpy as np

    if before.shown is not None:
        return before
    shares, enough = np.asarray(_SHARES), -math.log(alpha)
    units, had = before.units, np.asarray(before.had)
    for start in range(before.units, len(differences), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        won = differences.estimate[part] - value
        # The estimate minus any value up to 1 is never below this.
        unit = shares[:, None] / (1 - differences.lowest[part])
        having = had[:, None] + np.cumsum(np.log1p(unit * won), axis=1)
        together = np.logaddexp.reduce(having, axis=0) - math.log(len(shares))
        if (reached := together >= enough).any():
            return Bet(start + int(reached.argmax()) + 1, units, tuple(had.tolist()))
        if start + AT_ONCE <= len(differences):
            units, had = start + AT_ONCE, having[:, -1]
    return Bet(None, units, tuple(had.tolist()))


def value_of(place: int) -> float:
    """Return the value at a place of the grid that bounds are on."""
    return place * _STEP


def greatest(shown: Callable[[int], bool], known: int = LEAST) -> int:
    """Return the greatest place whose value is shown to be below the true difference.

    The bets do not depend on the value they are against: the greater it is, the less is won.

    Args:
        shown: Tells that of a place.
        known: A place of which it is known, such as the least.
    """
    start, step = known, 1
    while start + step < _MOST and shown(start + step):
        known, step = start + step, 2 * step
    possible = min(start + step, _MOST)
    while possible - known > 1:
        middle = (known + possible) // 2
        if shown(middle):
            known = middle
        else:
            possible = middle
    return known


def shown_below(differences: Differences, value: float, alpha: float) -> int | None:
    """Return after how many units it was first shown that the true difference is below a value, or None."""
    return shown_above(upside_down(differences), -value, alpha)


def upside_down(differences: Differences) -> Differences:
    """Return how much less each unit's outcome is with the challenger."""
    return Differences(-differences.estimate, -differences.highest, -differences.lowest)
