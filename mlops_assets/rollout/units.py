"""From logged answers to units that may be compared: one outcome of an entity in each step.

What one person's requests come to hangs together, and whoever counts each as a witness believes too much. So
an entity counts once in a step, with the first outcome of its that was known, and no more for a step once a
later one told of it. When the challenger's share grows, an entity that had seen the champion is sent over
with a probability that follows from what is known of its place; one that had seen the challenger stays with
it for certain, and tells nothing more.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from mlops_assets.rollout.sequential_bounds import Differences, paired_differences, split_differences

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]


Outcome: TypeAlias = "Callable[[Array], Array]"


def _as_it_is(values: "Array") -> "Array":
    return values


def split_units(answers: "pd.DataFrame") -> "pd.DataFrame":
    """Return the units of a rollout whose traffic is split, in the order in which they were known.

    Args:
        answers: One row an outcome: ``entity``, ``percent`` (the challenger's share when it was answered),
            ``challenger`` (whether it answered), ``outcome`` (from 0 to 1) and ``known_at``.

    Returns:
        The rows that count, with the ``probability`` that the challenger would answer.
    """
    known = answers.sort_values("known_at", kind="stable")
    # Only what was known before: otherwise a label that comes late would alter what was looked at already.
    before = _so_far(known["percent"], known["entity"]).fillna(0)
    stays = _so_far(known["challenger"].astype(float), known["entity"]) == 1
    units = known.assign(probability=(known["percent"] - before) / (100 - before))
    return units[(units["percent"] > before) & ~stays]


def paired_units(answers: "pd.DataFrame") -> "pd.DataFrame":
    """Return the units of a shadow, in the order in which they were known.

    Args:
        answers: One row a request that both arms answered: ``entity``, ``outcome`` (the challenger's),
            ``champion_outcome`` and ``known_at``.
    """
    return answers.sort_values("known_at", kind="stable").drop_duplicates("entity")


def differences_of_split(units: "pd.DataFrame", outcome: Outcome = _as_it_is) -> Differences:
    """Return the differences that the units of a split rollout tell; see :func:`split_units`.

    Args:
        units: The units.
        outcome: Makes outcomes from 0 to 1 of theirs, where these are something else.
    """
    return split_differences(
        outcome(units["outcome"].to_numpy()).astype("float64"),
        units["challenger"].to_numpy(dtype=bool),
        units["probability"].to_numpy(dtype="float64"),
    )


def differences_of_pairs(units: "pd.DataFrame", outcome: Outcome = _as_it_is) -> Differences:
    """Return the differences that the units of a shadow tell; see :func:`differences_of_split`."""
    return paired_differences(
        outcome(units["outcome"].to_numpy()).astype("float64"),
        outcome(units["champion_outcome"].to_numpy()).astype("float64"),
    )


def _so_far(values: "pd.Series[Any]", entity: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the greatest value of each row's entity in the rows before it; missing in its first."""
    return values.groupby(entity, sort=False).cummax().groupby(entity, sort=False).shift()
