"""The search for the fewest causes finds what no single step betters."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.monitoring.incidents.location import Facility, locate

CLIENTS = "abcdef"
WORTH = st.dictionaries(st.sampled_from(CLIENTS), st.floats(0.1, 9), min_size=1)
FACILITIES = st.lists(
    st.builds(Facility, WORTH, st.floats(0.1, 20), st.frozensets(st.integers(1, 2)), st.just(3.0)), max_size=5
)
KNOWN = st.lists(st.builds(Facility, WORTH, st.just(0.0)), max_size=2)


def gained(known: list[Facility], opened: list[Facility]) -> float:
    """Return what a choice is worth, less what it costs."""
    served = sum(max((f.worth.get(c, 0.0) for f in (*known, *opened)), default=0.0) for c in CLIENTS)
    saved = frozenset[int]().union(*(each.saves for each in opened))
    return served - sum(each.cost for each in opened) + 3.0 * len(saved)


def best(known: list[Facility], possible: list[Facility]) -> float:
    choices = product([False, True], repeat=len(possible))
    return max(
        gained(known, [f for f, taken in zip(possible, each, strict=True) if taken]) for each in choices
    )


@given(KNOWN, FACILITIES)
def test_everybody_is_served_best_and_nothing_opened_is_better_left(
    known: list[Facility], possible: list[Facility]
) -> None:
    everything = [*known, *possible]
    served = locate(known, possible)
    used = {place for place in served.values() if place >= len(known)}
    opened = [everything[place] for place in sorted(used)]
    for client, place in served.items():
        at_hand = [each.worth.get(client, 0.0) for each in (*known, *opened)]
        assert everything[place].worth[client] == max(at_hand)
    for client in set(CLIENTS) - served.keys():
        assert all(client not in each.worth for each in known)
    here = gained(known, opened)
    assert here >= gained(known, []) - 1e-6
    for each in possible:
        if not each.saves:  # one that serves nobody may still be open for what it saves
            assert gained(known, [*opened, each]) <= here + 1e-6 + 3.0 * 2
    assert here <= best(known, possible) + 1e-6


@given(FACILITIES.map(lambda each: [Facility(f.worth, f.cost) for f in each]))
def test_the_choice_is_hardly_ever_far_from_the_best(possible: list[Facility]) -> None:
    served = locate([], possible)
    here = gained([], [possible[place] for place in set(served.values())])
    assert here >= best([], possible) / 2


def test_two_that_fit_take_the_place_of_one_that_served_more() -> None:
    """The greedy choice alone would keep the large one."""
    large = Facility(dict.fromkeys(CLIENTS, 5.0), 12.0)
    halves = [Facility(dict.fromkeys(half, 6.0), 4.0) for half in ("abc", "def")]
    served = locate([], [large, *halves])
    assert set(served.values()) == {1, 2}
    assert gained([], halves) == pytest.approx(28)
