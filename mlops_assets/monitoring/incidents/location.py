"""Facility location: the fewest facilities that serve most, each client by the one that serves it best.

Facilities are opened one after the other, each time the one that gains most (Cornuejols, Fisher and
Nemhauser, "Location of bank accounts to optimize float", 1977), and then exchanged while that gains (Arya et
al., "Local search heuristics for k-median and facility location problems", 2004).
"""

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_ROUNDS = 10
_LEAST_GAIN = 1e-9


@dataclass(frozen=True)
class Facility:
    """What may serve clients.

    Attributes:
        worth: What it is worth to each client that it can serve; positive.
        cost: What it costs to open it.
        saves: What need not be kept open any more beside it, by name; only one facility can save each.
        saving: How much each of these saves.
    """

    worth: Mapping[str, float]
    cost: float
    saves: frozenset[int] = frozenset()
    saving: float = 0.0


def locate(known: Sequence[Facility], possible: Sequence[Facility]) -> dict[str, int]:
    """Return by which facility each client is best served; who is served by none at a gain is left out.

    Args:
        known: Facilities that are open anyway.
        possible: Those that may be opened.

    Returns:
        For each client the place of its facility in ``[*known, *possible]``.
    """
    search = _Search(known, possible)
    search.open_what_gains()
    search.exchange_while_that_gains()
    return search.served_by()


class _Search:
    def __init__(self, known: Sequence[Facility], possible: Sequence[Facility]) -> None:
        self._all = [*known, *possible]
        self._fixed = len(known)
        self._open = list(range(len(known)))
        self._serving: dict[str, list[int]] = {}
        for place, facility in enumerate(self._all):
            for client in facility.worth:
                self._serving.setdefault(client, []).append(place)

    def open_what_gains(self) -> None:
        """Open facilities while any gains."""
        self._open_some(range(self._fixed, len(self._all)))

    def exchange_while_that_gains(self) -> None:
        """Close each facility in turn, where others in its place or none at all are better."""
        for _ in range(_ROUNDS):
            exchanged = [self._exchanged(place) for place in self._open[self._fixed :]]
            if True not in exchanged:
                return

    def served_by(self) -> dict[str, int]:
        """Return where each client is served."""
        opened = set(self._open)
        found = {}
        for client, places in self._serving.items():
            able = [place for place in places if place in opened]
            if able:
                found[client] = max(able, key=lambda place: (self._all[place].worth[client], -place))
        return found

    def _open_some(self, places: Iterable[int]) -> float:
        """Open what gains, the most first, and return how much is gained.

        What one gains only shrinks as others are opened, so it is reckoned anew when its turn comes.
        """
        worth = self._worth(self._open)
        turns = [(-self._gain(place, worth), place) for place in places]
        heapq.heapify(turns)
        gained = 0.0
        while turns:
            _, place = heapq.heappop(turns)
            gain = self._gain(place, worth)
            if gain <= _LEAST_GAIN:
                continue
            if turns and gain < -turns[0][0]:
                heapq.heappush(turns, (-gain, place))
                continue
            self._open.append(place)
            gained += gain
            for client, value in self._all[place].worth.items():
                worth[client] = max(worth.get(client, 0.0), value)
        return gained

    def _exchanged(self, place: int) -> bool:
        """Close a facility, open what gains in its place, and return whether that is better."""
        before = self._open
        self._open = [each for each in before if each != place]
        kept = self._gain(place, self._worth(self._open))
        near = {each for client in self._all[place].worth for each in self._serving[client]}
        others = sorted(each for each in near - set(before) if each >= self._fixed)
        if self._open_some(others) > kept + _LEAST_GAIN:
            return True
        self._open = before
        return False

    def _worth(self, opened: Sequence[int]) -> dict[str, float]:
        worth: dict[str, float] = {}
        for place in opened:
            for client, value in self._all[place].worth.items():
                worth[client] = max(worth.get(client, 0.0), value)
        return worth

    def _gain(self, place: int, worth: Mapping[str, float]) -> float:
        facility = self._all[place]
        more = (value - worth.get(client, 0.0) for client, value in facility.worth.items())
        saved = facility.saves.difference(*(self._all[each].saves for each in self._open if each != place))
        return sum(max(value, 0.0) for value in more) - facility.cost + facility.saving * len(saved)
