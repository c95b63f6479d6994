"""What values a stable history had, to know by what it had not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.profiles.column import ColumnProfile, NumericProfile

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# Windows resemble each other for less than such a part of the history.
_BLOCKS = 8
# So much of the range's width beyond it is out of range: streams go a little beyond what they have been.
_MARGIN = 0.5


@dataclass(frozen=True)
class Seen:
    """What is known of a column's values.

    Attributes:
        low: The least number; infinite if there was none.
        high: The greatest.
        texts: All texts; None if they were too many to keep.
    """

    low: float = float("inf")
    high: float = float("-inf")
    texts: frozenset[str] | None = frozenset()

    @classmethod
    def of(cls, profile: ColumnProfile) -> "Seen":
        """Return what a profile saw."""
        if not isinstance(profile, NumericProfile):
            categories = profile.categories
            return cls(texts=None if categories.folded else frozenset(categories.counts))
        return cls(profile.low, profile.high) if profile.rows.known else cls()

    def unseen(self, profile: ColumnProfile) -> int:
        """Return how many rows have a value that was not seen."""
        import numpy as np

        if not isinstance(profile, NumericProfile):
            counts = profile.categories.counts
            return (
                sum(n for text, n in counts.items() if text not in self.texts)
                if self.texts is not None
                else 0
            )
        if self.low > self.high:
            return profile.rows.known
        margin = _MARGIN * (self.high - self.low)
        low, high = self.low - margin, self.high + margin
        if not profile.rows.known or (profile.low >= low and profile.high <= high):
            return 0
        edges = np.array([low, high])
        below, up_to = profile.cells.below(edges)[0], profile.cells.below(edges, side="right")[1]
        return int(profile.rows.known - (up_to - below))


def by_others(profiles: Sequence[ColumnProfile | None]) -> list[Seen]:
    """Return for each window what the others saw, but for those beside it.

    A history has no value that it has not seen. How much that is new a window usually brings is told by each
    of its windows beside the others; those next to it are left out since they resemble it (Burman, Chow and
    Nolan, "A cross-validatory method for dependent data", 1994).

    Args:
        profiles: A column's, in order of time; None where a window lacks it.
    """
    there = [profile for profile in profiles if profile is not None]
    told = iter(_by_others(there))
    # Predictions, say, are known of a hold-out only: windows without any are no part of the history.
    return [Seen() if profile is None else next(told) for profile in profiles]


def _by_others(profiles: Sequence[ColumnProfile]) -> list[Seen]:
    import numpy as np

    apart = len(profiles) // _BLOCKS + 1
    alone = [Seen.of(profile) for profile in profiles]
    lows = _of_others(np.minimum, np.array([each.low for each in alone]), apart, np.inf)
    highs = _of_others(np.maximum, np.array([each.high for each in alone]), apart, -np.inf)
    if any(each.texts is None for each in alone):
        return [Seen(low, high, None) for low, high in zip(lows, highs, strict=True)]
    first, last = dict[str, int](), dict[str, int]()
    for number, each in enumerate(alone):
        for text in each.texts or ():
            first.setdefault(text, number)
            last[text] = number
    every = frozenset(first)
    # What occurred in windows next to each other only.
    brief = [text for text in every if last[text] - first[text] < 2 * apart - 1]
    return [
        Seen(
            low,
            high,
            every - {text for text in brief if first[text] > number - apart and last[text] < number + apart},
        )
        for number, (low, high) in enumerate(zip(lows, highs, strict=True))
    ]


def _of_others(extreme: "np.ufunc", values: "Array", apart: int, nothing: float) -> list[float]:
    """Return the extreme of the values that lie so far from each, or farther."""
    import numpy as np

    padding = np.full(apart, nothing)
    before = np.concatenate([padding, extreme.accumulate(values)])[: len(values)]
    after = np.concatenate([padding, extreme.accumulate(values[::-1])])[: len(values)][::-1]
    found: list[float] = extreme(before, after).tolist()
    return found
