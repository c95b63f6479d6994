"""Rows of the hold-out that are among those to train on too, under another time or key."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops_assets.verdict import Figure

if TYPE_CHECKING:
    import pandas as pd

SEEN = "rows of the hold-out among those to train on"


def seen_rows(
    learnt: "pd.DataFrame", judged: "pd.DataFrame", columns: Sequence[str], confidence: float
) -> Figure:
    """Measure how many rows of the hold-out look like one to train on, beyond what chance explains.

    A backfill that writes rows once more, under new numbers and other dates, hands the model the answers it
    is judged by. Where columns are coarse, different events look alike; how often is told by the rows to
    train on among themselves. A copy of a hold-out row has no other there.

    Args:
        learnt: Rows to train on.
        judged: Rows of the hold-out.
        columns: What two rows have to share: features and target, without key and time.
        confidence: One-sided, of the lower bound.
    """
    import pandas as pd
    from scipy.stats import norm

    known, asked = (pd.util.hash_pandas_object(rows[list(columns)], index=False) for rows in (learnt, judged))
    by_chance, found = known.duplicated(keep=False).mean(), asked.isin(set(known)).mean()
    excess = float(found - by_chance)
    variance = found * (1 - found) / len(asked) + by_chance * (1 - by_chance) / len(known)
    return Figure(
        name=SEEN,
        value=max(0.0, excess),
        low=max(0.0, excess - float(norm.isf(1 - confidence)) * math.sqrt(variance)),
        limit="max_seen",
        counts="low",
        note=f"{found:.1%} look like one of them, {by_chance:.1%} do by chance",
    )
