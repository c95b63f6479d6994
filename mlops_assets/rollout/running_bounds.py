"""Bounds that go on from where the last look left them, to the last bit as if each had begun from scratch.

What a gambler has won is a sum over units, and the units that were looked at before are the beginning of
those known now. So a bound goes on from what was kept, if its units are still what they were: a label that
was corrected, or came late, alters them, and then the bound begins anew.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mlops_assets.rollout.sequential_bounds import (
    AT_ONCE,
    LEAST,
    OBSERVED_FIRST,
    Bet,
    Differences,
    bet,
    greatest,
    upside_down,
    value_of,
)


@dataclass(frozen=True)
class Stand:
    """What is kept of a bound.

    Attributes:
        units: How many units it is about.
        digest: Of these units, and of the probability.
        known: The greatest place of the grid of bounds that they rule out.
        bets: How the gamblers against greater ones stood, by place.
    """

    units: int
    digest: str
    known: int
    bets: Mapping[int, Bet] = field(default_factory=dict)


_NOTHING = Stand(0, "", LEAST)


@dataclass
class RunningBounds:
    """The bounds of a rollout.

    Args:
        kept: What was kept of each, by its name.

    Attributes:
        now: What is to be kept of each that was asked for and has enough units.
    """

    kept: Mapping[str, Stand] = field(default_factory=dict)
    now: dict[str, Stand] = field(default_factory=dict)

    def lower(self, name: str, differences: Differences, alpha: float) -> float:
        """Return what :func:`mlops_assets.rollout.sequential_bounds.lower_bound` does.

        Args:
            name: By which the bound is known from look to look.
            differences: Of the units so far.
            alpha: The probability.
        """
        before = self.kept.get(name, _NOTHING)
        if before.digest != _digest(differences, before.units, alpha):
            before = _NOTHING
        bets = dict(before.bets)

        def shown(place: int) -> bool:
            bets[place] = bet(differences, value_of(place), alpha, bets.get(place, Bet()))
            return bets[place].shown is not None

        found = greatest(shown, before.known)
        parts = (len(differences) - OBSERVED_FIRST) // AT_ONCE
        if parts > 0:
            units = OBSERVED_FIRST + parts * AT_ONCE
            digest = _digest(differences, units, alpha)
            self.now[name] = _settled(Stand(units, digest, before.known, bets))
        return value_of(found)

    def upper(self, name: str, differences: Differences, alpha: float) -> float:
        """Return what :func:`mlops_assets.rollout.sequential_bounds.upper_bound` does; see :meth:`lower`."""
        return -self.lower(name, upside_down(differences), alpha)


def _settled(stand: Stand) -> Stand:
    """Return what is kept: what the units after the last whole part have shown is shown anew next time."""
    shown = [place for place, each in stand.bets.items() if each.shown and each.shown <= stand.units]
    known = max([stand.known, *shown])
    bets = {place: replace(each, shown=None) for place, each in stand.bets.items() if place > known}
    return replace(stand, known=known, bets=bets)


def _digest(differences: Differences, units: int, alpha: float) -> str:
    found = hashlib.sha256(repr((units, alpha)).encode())
    for values in (differences.estimate, differences.lowest):
        found.update(values[:units].astype("<f8", copy=False).data)
    return found.hexdigest()
