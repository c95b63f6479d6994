"""Labels that are not what they were when the same rows were trained on before."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlops_assets.specs.data_spec import Data
from mlops_assets.training.groups import GroupFigure, members, wilson_bounds

if TYPE_CHECKING:
    import pandas as pd

_DIGITS = 9  # of a number to predict: computed anew, it may differ in the last


def changed_labels(
    rows: "pd.DataFrame",
    previous: "pd.DataFrame",
    data: Data,
    groups: "Mapping[str, pd.Series[Any]]",
    *,
    confidence: float,
    min_rows: int,
) -> list[GroupFigure]:
    """Return for each group of rows that were there before the share whose label was changed since.

    Whether a label is right no model has to say here: it was known, and is another one now.

    Args:
        rows: Rows to train on, with the target.
        previous: Rows of the last training, with the target.
        data: The spec's data part; a row is known by its key, else by all its columns.
        groups: The value of each row, by column.
        confidence: One-sided, of all bounds together (Bonferroni).
        min_rows: Rows a group needs of those that were there before.
    """
    import numpy as np
    from pandas.api.types import is_float_dtype
    from scipy.stats import norm

    before = _before(rows, previous, data)
    if before is None:
        return []
    known = before.notna().to_numpy()
    now = rows[data.target][known]
    if is_float_dtype(now.dtype):
        changed = ~np.isclose(now, before[known].astype("float64"), rtol=10**-_DIGITS, atol=0)
    else:
        changed = (now != before[known].astype(now.dtype)).to_numpy()
    found = list(members({name: values[known] for name, values in groups.items()}, min_rows))
    rows_of = np.array([mask.sum() for *_, mask in found], dtype=float)
    hits = np.array([changed[mask].sum() for *_, mask in found], dtype=float)
    low, high = wilson_bounds(hits, rows_of, norm.isf((1 - confidence) / max(1, len(found))))
    return [
        GroupFigure(column, value, "", int(n), float(h / n), float(lo), float(hi))
        for (column, value, _), n, h, lo, hi in zip(found, rows_of, hits, low, high, strict=True)
    ]


def _before(rows: "pd.DataFrame", previous: "pd.DataFrame", data: Data) -> "pd.Series[Any] | None":
    """Return the label each row had, missing where it was not there; None if rows cannot be matched."""
    names = list(data.key) or [name for name in data.columns if name != data.target]
    if data.target not in previous or any(n not in previous or n not in rows for n in names):
        return None
    if any(previous[n].dtype != rows[n].dtype for n in names):
        return None
    known = previous[[*names, data.target]].drop_duplicates(names, keep=False)
    merged = rows[names].merge(known, on=names, how="left")
    merged.index = rows.index
    return merged[data.target]
