"""Can a decision be turned by a change of its row too small to matter? A black-box attack says.

The attack sees predictions only, as any client does. It tries one number of a row at a time, at the edge of
a small box around its true value, and keeps what does not take the decision further from being turned. Only
values that occur are tried, so that whoever looks at a row finds nothing odd in it.

Source: Guo, Gardner, You, Wilson and Weinberger, "Simple Black-box Adversarial Attacks", Proceedings of the
36th International Conference on Machine Learning (2019), algorithm 1, with the columns as directions.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.decisions import Decisions
from mlops_assets.evaluation.perturbation import ask, reachable, spread
from mlops_assets.specs.data_spec import Column
from mlops_assets.training.package import PackagedModel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]


def turned_by_attack(
    package: PackagedModel,
    rows: "pd.DataFrame",
    decisions: Decisions,
    attacked: "Array",
    numbers: Sequence[Column],
    *,
    box: float,
    budget: int,
    seed: int,
) -> "Array":
    """Return which decisions the attack turned, shape (attacked rows,).

    All rows are attacked side by side: each query of all of them is one call of the model.

    Args:
        package: The model.
        rows: Raw rows.
        decisions: What the model decides on them.
        attacked: Positions of the rows to attack.
        numbers: The columns that may be changed.
        box: How far each may be moved either way, as a share of its spread.
        budget: Queries for each row.
        seed: Seed of the choices.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    names = [column.name for column in numbers]
    victims = rows.iloc[attacked]
    margin = decisions.margins(decisions.predicted[attacked], attacked)
    current = victims[names].to_numpy(dtype="float64", copy=True)
    edges = _edges(victims, rows, numbers, box)
    for _ in range(budget if names else 0):
        standing = np.flatnonzero(margin >= 0)
        if len(standing) == 0:
            break
        column = generator.integers(0, len(names), len(standing))
        side = generator.integers(0, 2, len(standing))
        tried = current[standing]
        tried[np.arange(len(standing)), column] = edges[side, standing, column]
        answer = ask(package, victims.iloc[standing].assign(**dict(zip(names, tried.T, strict=True))))
        if answer.predicted is None:
            continue  # a refusal turns nothing
        found = decisions.margins(answer.predicted, attacked[standing])
        kept = found <= margin[standing]
        margin[standing[kept]], current[standing[kept]] = found[kept], tried[kept]
    return np.asarray(margin < 0)


def _edges(victims: "pd.DataFrame", rows: "pd.DataFrame", numbers: Sequence[Column], box: float) -> "Array":
    """Return the lower and the upper edge of each row's box, shape (2, rows, columns)."""
    import numpy as np

    edges = np.empty((2, len(victims), len(numbers)))
    for place, column in enumerate(numbers):
        values = victims[column.name].to_numpy(dtype="float64")
        occurring = rows[column.name].to_numpy(dtype="float64")
        edges[:, :, place] = reachable(values, occurring, box * spread(rows[column.name]))
    return edges
