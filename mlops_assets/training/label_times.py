"""Labels that are missing for a time: a class that happens far less in some stretch than it ever does.

Labels of a day that nobody reported, or of the newest days that nobody waited for, all say that nothing
happened. How often something happens differs honestly from day to day and by season, far more than a
binomial share does, so what is usual is learnt from the other stretches of the same length. Their log odds
tell the rates that one more stretch may have (Student's t around their mean, after the part of their spread
that is sampling error is taken out), and its hits are binomial given its rate. A stretch's *missing* labels
are the smallest share that has to be taken from the class for so few hits to be plausible.

Sources: Williams, "Extra-binomial variation in logistic linear models", Applied Statistics 31 (1982)
(shares that vary); Naus, "The distribution of the size of the maximum cluster of points on a line", Journal
of the American Statistical Association 60 (1965) (windows that slide, so that none has to begin with the
fault).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.training.groups import GroupFigure

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

_UNIT_ROWS = 50  # fewer say little of a rate; a quiet day is joined with the one before it
_LENGTHS = (1, 2, 4, 7, 14, 28)  # units: days where there are rows enough
_FEWEST_OTHERS = 7  # stretches of the same length that tell what is usual
_LEAST_SPREAD = 0.5  # of the sampling error: less could not be told from none
_NODES = 60
# Of the error that is allowed, so much is spent: days that stay bad for a while, and a season at its lowest
# just now, are further from others than days that have nothing to do with one another.
_SPENT = 0.1


@dataclass(frozen=True)
class _Stretch:
    """Some units in a row, and what is usual in others.

    Attributes:
        first: Number of its newest unit, counted back from the newest of all.
        length: Its number of units.
        rows: Its rows.
        hits: Its rows by class.
        centre: Mean log odds of others, by class.
        spread: How much the log odds of others really differ, by class.
        others: Number of others.
    """

    first: int
    length: int
    rows: int
    hits: "Array"
    centre: "Array"
    spread: "Array"
    others: int

    @property
    def newest(self) -> bool:
        """Whether it is the newest of its length, and more than a day."""
        return self.first == 0 and self.length > 1


def missing_labels(
    codes: "Array", labels: tuple[str, ...], times: "pd.Series[Any]", *, confidence: float
) -> list[GroupFigure]:
    """Return for each class the stretch of time in which most of its labels are surely missing.

    Stretches of one day to four weeks are looked at, each against those of the same length that it does not
    touch. A tenth of the allowed error is spent, and half of that goes to the newest ones, of which there are
    few: labels that were not waited for are missing there. The newest day alone is one of many: a day is
    often odd by itself.

    Args:
        codes: Class of each row, 0 … k - 1, or -1 if it is of no class.
        labels: What the classes are called.
        times: Time of each row.
        confidence: One-sided, of all bounds together (Bonferroni).

    Returns:
        One figure by class; none where there are not enough days to tell what is usual.
    """
    import numpy as np
    from scipy.special import expit

    units = _units(times)
    counts = np.zeros((int(units.max()) + 1, len(labels)), dtype=int)
    np.add.at(counts, (units[codes >= 0], codes[codes >= 0]), 1)
    stretches = list(_stretches(counts, np.bincount(units)))
    newest = sum(stretch.newest for stretch in stretches)
    error = _SPENT * (1 - confidence) / 2
    found = []
    for code, label in enumerate(labels if stretches else ()):
        judged = []
        for stretch in stretches:
            among = newest if stretch.newest else len(stretches) - newest
            low = _surely_missing(stretch, code, error / (among * len(labels)))
            usual = float(expit(stretch.centre[code]))
            share = float(stretch.hits[code] / stretch.rows)
            judged.append((low, max(0.0, 1 - share / usual), usual, stretch))
        low, estimate, usual, stretch = max(judged, key=lambda j: j[:2])
        found.append(
            GroupFigure(
                column=times.name if isinstance(times.name, str) else "time",
                value=_dates(times, units, stretch),
                label=label,
                rows=stretch.rows,
                estimate=estimate,
                low=low,
                note=f"{stretch.hits[code] / stretch.rows:.1%} of {stretch.rows:,} rows are {label}, "
                f"{usual:.1%} are usual",
            )
        )
    return found


def _units(times: "pd.Series[Any]") -> "Array":
    """Return each row's unit: full days counted back from the newest row, joined until they have rows enough.

    Calendar days would not do: the newest is seldom a whole one, and mornings are not like evenings.
    """
    import numpy as np
    import pandas as pd

    days = ((times.max() - times) // pd.Timedelta(days=1)).to_numpy(dtype=int)
    present, of_row, rows = np.unique(days, return_inverse=True, return_counts=True)
    unit, gathered = np.zeros(len(present), dtype=int), 0
    for day, count in enumerate(rows):
        unit[day] = unit[day - 1] + (gathered >= _UNIT_ROWS) if day else 0
        gathered = count + (gathered if gathered < _UNIT_ROWS else 0)
    if gathered < _UNIT_ROWS:  # what is left at the oldest end
        unit[unit == unit[-1]] = max(0, unit[-1] - 1)
    numbers: Array = unit[of_row]
    return numbers


def _stretches(hits: "Array", rows: "Array") -> "Iterator[_Stretch]":
    """Yield the stretches of all lengths for which there are enough others.

    Args:
        hits: Rows by unit and class.
        rows: Rows by unit, the newest first.
    """
    import numpy as np
    from scipy.special import logit

    total = np.concatenate([np.zeros((1, hits.shape[1]), dtype=int), hits.cumsum(axis=0)])
    passed = np.concatenate([[0], rows.cumsum()])
    for length in _LENGTHS:
        starts = np.arange(len(rows) // length) * length  # of stretches that do not touch one another
        n = (passed[starts + length] - passed[starts])[:, None]
        happened = total[starts + length] - total[starts]
        log_odds = logit((happened + 0.5) / (n + 1))
        for first in range(len(rows) - length + 1):
            apart = np.abs(starts - first) >= length
            if (others := int(apart.sum())) < _FEWEST_OTHERS:
                continue
            centre, here = log_odds[apart].mean(axis=0), passed[first + length] - passed[first]
            chance = 2 + np.exp(centre) + np.exp(-centre)  # variance of the log odds, times rows
            sampling = chance * (1 / n[apart]).mean()
            differ = log_odds[apart].var(axis=0, ddof=1) - sampling
            spread = np.sqrt(np.maximum(differ, _LEAST_SPREAD**2 * chance / here) * (1 + 1 / others))
            happened_here = total[first + length] - total[first]
            yield _Stretch(first, length, int(here), happened_here, centre, spread, others)


def _surely_missing(stretch: _Stretch, code: int, level: float) -> float:
    """Return the smallest share that has to be missing for the stretch's hits to be plausible."""
    import numpy as np
    from scipy.optimize import brentq
    from scipy.special import bdtr, expit, stdtrit

    if stretch.hits[code] >= stretch.rows * expit(stretch.centre[code]):
        return 0.0
    # Quantiles of the rates one more stretch may have: those between two count as the lower one, and the
    # upper half as the middle, so that a stretch is rather called plausible.
    edges = np.concatenate([[0], np.geomspace(level / 100, 0.5, _NODES)])
    weights = np.append(np.diff(edges), 0.5)
    deviations = stdtrit(stretch.others - 1, np.append(edges[:-1], 0.5))
    rates = expit(stretch.centre[code] + stretch.spread[code] * deviations)

    def beyond(missing: float) -> float:
        """Return how plausible so few hits are if so many are missing, less the level."""
        so_few = bdtr(float(stretch.hits[code]), stretch.rows, (1 - missing) * rates)
        return float(weights @ so_few) - level

    return 0.0 if beyond(0) >= 0 else float(brentq(beyond, 0, 1))


def _dates(times: "pd.Series[Any]", units: "Array", stretch: _Stretch) -> str:
    within = times[(units >= stretch.first) & (units < stretch.first + stretch.length)]
    return f"{within.min():%Y-%m-%d %H:%M} to {within.max():%Y-%m-%d %H:%M}"
