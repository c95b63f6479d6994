"""How far a column has moved: the population stability index."""

from typing import TYPE_CHECKING, Any

from mlops_assets.data.columns import is_numeric

if TYPE_CHECKING:
    import pandas as pd

_FEWEST = 20  # rows of a value of text that has a bin of its own; rows for each bin


def population_stability(reference: "pd.Series[Any]", current: "pd.Series[Any]", bins: int = 10) -> float:
    """Return the population stability index of ``current`` against ``reference``.

    Bins are the reference's quantiles, for text its commonest values (of 20 rows at least) and all
    others together; missing values are a bin of their own. Half a row is added to each bin, so that a
    bin that happens to be empty in a small sample does not look like a shift.

    Source: Siddiqi, "Credit Risk Scorecards" (2006), chapter 9; for the half row Agresti, "Categorical
    Data Analysis" (2013), section 3.1.
    """
    import numpy as np
    import pandas as pd

    known = reference.dropna()
    # Chance alone moves nearly empty bins: the index of no shift at all grows with bins per row.
    bins = min(bins, max(2, min(len(reference), len(current)) // _FEWEST))
    if is_numeric(reference):
        # Each edge opens a bin, the last one too, so that the two values of a flag are told apart.
        quantiles = np.quantile(known, np.linspace(0, 1, bins + 1)) if len(known) else np.empty(0)
        edges = np.unique(quantiles)[1:]
        old, new = (
            pd.Series(np.searchsorted(edges, values, side="right")).where(values.notna().to_numpy(), -1)
            for values in (reference, current)
        )
    else:
        counts = known.value_counts()[: bins - 1]
        common = counts[counts >= _FEWEST].index
        old, new = (
            values.astype("object").where(values.isin(common) | values.isna(), "other").fillna("missing")
            for values in (reference, current)
        )
    p, q = old.value_counts().align(new.value_counts(), fill_value=0)
    p, q = (p + 0.5) / (p + 0.5).sum(), (q + 0.5) / (q + 0.5).sum()
    return float(((q - p) * np.log(q / p)).sum())
