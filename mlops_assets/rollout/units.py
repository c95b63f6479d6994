"""From logged answers to units that may be compared: one outcome of an entity in each step.

What one person's requests come to hangs together, and whoever counts each as a witness believes too much. So
an entity counts once in a step, with the first outcome of its that was known, and no more for a step once a
later one told of it. When the challenger's share grows, an entity that had seen the champion is sent over
with a probability that follows from what is known of its place; one that had seen the challenger stays with
it for certain, and tells nothing more.
"""

from typing import TYPE_CHECKING, Any

from mlops_assets.rollout.sequential_bounds import Differences, paired_differences, split_differences

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]


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


def differences_of_split(answers: "pd.DataFrame") -> Differences:
    """Return the differences that the units of a split rollout tell; see :func:`split_units`."""
    units = split_units(answers)
    return split_differences(
        units["outcome"].to_numpy(dtype="float64"),
        units["challenger"].to_numpy(dtype=bool),
        units["probability"].to_numpy(dtype="float64"),
    )


def differences_of_pairs(answers: "pd.DataFrame") -> Differences:
    """Return the differences that the units of a shadow tell.

    Args:
        answers: One row a request that both arms answered: ``entity``, ``outcome`` (the challenger's),
            ``champion_outcome`` and ``known_at``.
    """
    units = answers.sort_values("known_at", kind="stable").drop_duplicates("entity")
    return paired_differences(
        units["outcome"].to_numpy(dtype="float64"), units["champion_outcome"].to_numpy(dtype="float64")
    )


def _so_far(values: "pd.Series[Any]", entity: "pd.Series[Any]") -> "pd.Series[Any]":
    """Return the greatest value of each row's entity in the rows before it; missing in its first."""
    return values.groupby(entity, sort=False).cummax().groupby(entity, sort=False).shift()
