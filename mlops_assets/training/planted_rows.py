"""Rows that were put among the others: with one label wherever one value is, or twice.

A model is poisoned by rows that carry a mark, an odd value, and all the same label: it learns what the mark
means, and answers accordingly wherever the mark is set. Such rows contradict no others, and a model that has
met some of them finds the rest right. But none of the column's other values goes with a label like that, and
this is what is looked for.

Sources: Gu, Dolan-Gavitt and Garg, "BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply
Chain" (2017) (the attack); Efron, "Large-Scale Simultaneous Hypothesis Testing: The Choice of a Null
Hypothesis", Journal of the American Statistical Association 99 (2004) (other groups tell what is usual).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.training.groups import GroupFigure

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

_BINS = 20  # for numbers that are not repeated
_FEWEST_CELLS = 5
_LARGEST_CELL = 0.1  # what makes up more of all rows is the data, and nothing that was slipped in


def marked_rows(
    codes: "Array",
    labels: tuple[Any, ...],
    columns: "Mapping[str, pd.Series[Any]]",
    *,
    confidence: float,
    min_rows: int,
) -> list[GroupFigure]:
    """Return for each column and label the value whose labels are most alike.

    Values that at least ``min_rows`` rows have are looked at one by one; other numbers are put together by
    their size. What is usual in a column is told by the median and the median absolute deviation of the log
    odds of a label; what is measured is how far a value is from there to all of its labels being alike.

    Args:
        codes: Class of each row, 0 … k - 1.
        labels: What the classes are called.
        columns: Values of the rows, by column.
        confidence: One-sided, of all bounds together (Bonferroni).
        min_rows: Rows a value needs.
    """
    import numpy as np

    tables = {name: table for name, values in columns.items() if (table := _table(values, codes, min_rows))}
    tests = sum(counts.size for _, counts in tables.values())
    found = []
    for name, (values, counts) in tables.items():
        rows = counts.sum(axis=1)
        small = rows <= _LARGEST_CELL * len(codes)
        for code in range(counts.shape[1]) if small.any() else ():
            hits = counts[:, code]
            usual = _usual(hits, rows, (1 - confidence) / tests)
            low = (_wilson(hits, rows, (1 - confidence) / tests) - usual) / (1 - usual)
            best = int(np.argmax(np.where(small, low, -np.inf)))
            share = float(hits[best] / rows[best])
            found.append(
                GroupFigure(
                    column=name,
                    value=values[best],
                    label=labels[code],
                    rows=int(rows[best]),
                    estimate=max(0.0, (share - usual) / (1 - usual)),
                    low=max(0.0, float(low[best])),
                    note=f"{share:.1%} of {rows[best]:,} rows are {labels[code]}, "
                    f"up to {usual:.1%} are usual",
                )
            )
    return found


def _table(values: "pd.Series[Any]", codes: "Array", min_rows: int) -> "tuple[list[str], Array] | None":
    """Return the names of a column's cells and their rows by class; None if there are too few cells."""
    import numpy as np
    import pandas as pd

    common = values.value_counts()
    common = common[common >= min_rows]
    cell = pd.Series(pd.Categorical(values, categories=common.index).codes, index=values.index, dtype="int64")
    names = [str(v) for v in common.index]
    rest = values[(cell < 0) & values.notna()]
    bins = min(_BINS, len(rest) // min_rows)
    if bins and not isinstance(values.dtype, pd.StringDtype):
        sizes = pd.qcut(rest, bins, duplicates="drop")
        cell[rest.index] = sizes.cat.codes.astype("int64") + len(names)
        names += [str(interval) for interval in sizes.cat.categories]
    if len(names) < _FEWEST_CELLS:
        return None
    known = (cell >= 0).to_numpy()
    classes = int(codes.max()) + 1
    flat = np.bincount(cell.to_numpy()[known] * classes + codes[known], minlength=len(names) * classes)
    counts = flat.reshape(len(names), classes)
    filled = counts.sum(axis=1) > 0
    return [n for n, f in zip(names, filled, strict=True) if f], counts[filled]


def _usual(hits: "Array", rows: "Array", level: float) -> float:
    """Return the largest share that is plausible for one more cell like these."""
    import numpy as np
    from scipy.special import expit
    from scipy.stats import t

    log_odds = np.log((hits + 0.5) / (rows - hits + 0.5))
    centre = np.median(log_odds)
    chance = np.median(1 / (hits + 0.5) + 1 / (rows - hits + 0.5))
    spread = max(1.4826 * np.median(np.abs(log_odds - centre)), math.sqrt(chance))
    edge = centre + t.isf(level, len(rows) - 1) * spread
    return float(min(expit(edge), 1 - 1e-9))


def _wilson(hits: "Array", rows: "Array", level: float) -> "Array":
    """Return Wilson's lower bounds of shares."""
    import numpy as np
    from scipy.stats import norm

    z = norm.isf(level)
    share = hits / rows
    centre = share + z**2 / (2 * rows)
    half = z * np.sqrt(share * (1 - share) / rows + z**2 / (4 * rows**2))
    bounds: Array = (centre - half) / (1 + z**2 / rows)
    return bounds


@dataclass(frozen=True)
class Copies:
    """Rows that are there more than once.

    Attributes:
        twins: Mask of the rows of which there is another, alike in all columns and in time.
        share: Their share of all rows, beyond what chance explains.
        low: Its lower bound.
    """

    twins: "Array"
    share: float
    low: float


def copies(rows: "pd.DataFrame", times: "pd.Series[Any]", confidence: float) -> Copies:
    """Return the rows that are there more than once, beyond what chance explains.

    Where columns are coarse, different events look alike. But chance makes a row look like one of its own
    time no more often than like one of the time next to it; a copy has its original's time.

    Args:
        rows: All columns of the rows, the target too.
        times: Time of each row.
        confidence: One-sided, of the lower bound.
    """
    import numpy as np
    import pandas as pd
    from scipy.stats import norm

    same = [name for name in rows if name != times.name]
    alike = pd.util.hash_pandas_object(rows[same], index=False)
    alike = pd.Series(pd.factorize(alike)[0])
    moment = pd.Series(pd.factorize(times, sort=True)[0])
    count = int(moment.max()) + 1
    here = alike * count + moment
    twins = here.duplicated(keep=False).to_numpy()
    beside = np.where(moment + 1 < count, here + 1, here - 1)
    by_chance = pd.Series(beside).isin(here).to_numpy() if count > 1 else np.zeros(len(rows), dtype=bool)
    excess = twins.astype(float) - by_chance
    error = float(excess.std()) / math.sqrt(len(rows))
    return Copies(twins, float(excess.mean()), float(excess.mean() - norm.isf(1 - confidence) * error))
