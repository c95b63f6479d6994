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
_TIE = 1e-9  # among values that cannot be bounded, the one with the most
# Of the newly-wed nearly nobody has an affair, and that is life. A mark goes with one label.
_ALL_ALIKE = 0.95
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
    odds of a label, and Student's t of the columns' other values around it; what is measured is how far a
    value is on the way from there to all of its labels being alike. It is bounded only where the labels are
    very nearly so.

    Args:
        codes: Class of each row, 0 … k - 1.
        labels: What the classes are called.
        columns: Values of the rows, by column.
        confidence: One-sided, of all bounds together (Bonferroni).
        min_rows: Rows a value needs.
    """
    import numpy as np

    tables = {name: table for name, values in columns.items() if (table := _table(values, codes, min_rows))}
    error = (1 - confidence) / max(1, sum(counts.size for _, counts in tables.values()))
    found = []
    for name, (values, counts) in tables.items():
        rows = counts.sum(axis=1)
        small = rows <= _LARGEST_CELL * len(codes)
        for code in range(counts.shape[1]) if small.any() else ():
            hits = counts[:, code]
            usual = _usual(hits, rows, 1 - confidence)
            estimate = (hits / rows - usual) / (1 - usual)
            low = (_least_share(hits, rows, error) - usual) / (1 - usual)
            low = np.where(estimate >= _ALL_ALIKE, low, 0.0)
            best = int(np.argmax(np.where(small, low + _TIE * estimate, -np.inf)))
            share = float(hits[best] / rows[best])
            found.append(
                GroupFigure(
                    column=name,
                    value=values[best],
                    label=labels[code],
                    rows=int(rows[best]),
                    estimate=max(0.0, float(estimate[best])),
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

    counted = values.value_counts()
    common = counted.index[counted >= min_rows]
    cell = pd.Categorical(values, categories=common).codes.astype("int64")
    names = [str(value) for value in common]
    rest = np.flatnonzero((cell < 0) & values.notna())
    bins = min(_BINS, len(rest) // min_rows)
    if bins and not isinstance(values.dtype, pd.StringDtype):
        sizes = pd.qcut(values.iloc[rest], bins, duplicates="drop")
        cell[rest] = len(names) + sizes.cat.codes.to_numpy(dtype="int64")
        names += [str(interval) for interval in sizes.cat.categories]
    if len(names) < _FEWEST_CELLS:
        return None
    classes, known = int(codes.max()) + 1, cell >= 0
    flat = np.bincount(cell[known] * classes + codes[known], minlength=len(names) * classes)
    counts = flat.reshape(len(names), classes)
    filled = counts.sum(axis=1) > 0
    return [n for n, f in zip(names, filled, strict=True) if f], counts[filled]


def _least_share(hits: "Array", rows: "Array", error: float) -> "Array":
    """Return one-sided lower bounds of shares, exact, because it is about shares of nearly all.

    Source: Clopper and Pearson, "The Use of Confidence or Fiducial Limits Illustrated in the Case of the
    Binomial", Biometrika 26 (1934).
    """
    import numpy as np
    from scipy.stats import beta

    return np.where(hits == 0, 0.0, beta.ppf(error, np.maximum(hits, 1), rows - hits + 1))


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


@dataclass(frozen=True)
class Twins:
    """Rows that are there more than once.

    Attributes:
        mask: The rows of which there is another, alike in all columns and in time; shape (n,).
        share: Their share of all rows, beyond what chance explains.
        low: Its lower bound.
    """

    mask: "Array"
    share: float
    low: float


def twins(rows: "pd.DataFrame", times: "pd.Series[Any]", confidence: float) -> Twins:
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
    alike = pd.factorize(pd.util.hash_pandas_object(rows[same], index=False))[0]
    moment = pd.factorize(times, sort=True)[0]
    moments = int(moment.max()) + 1
    here = pd.Series(alike * moments + moment)
    mask = here.duplicated(keep=False).to_numpy()
    beside = here + np.where(moment + 1 < moments, 1, -1)
    by_chance = beside.isin(here).to_numpy() if moments > 1 else np.zeros(len(rows), dtype=bool)
    excess = mask.astype(float) - by_chance
    error = float(excess.std()) / math.sqrt(len(rows))
    low = float(excess.mean()) - norm.isf(1 - confidence) * error
    return Twins(mask, max(0.0, float(excess.mean())), max(0.0, low))
