"""Whether the level of a figure has risen, told after every block, with false alarms within a budget of time.

Each block is held against the mean of all blocks before it, those of the stable past first: what it exceeds
that by has an expectation of nothing as long as the level is what it was, whatever else is unknown of it.
Gamblers bet on it that the level has risen, each a fixed share of what they have. As nobody knows when a
change begins, new stakes come in all the time: a block brings in what its length is of a quarter of a year.
While nothing changes nobody may expect to win, so that what all of them have is expected to be the time that
has passed. An alarm is raised when they have ``1 / budget``; hence by Ville's and Doob's arguments it takes
``1 / budget`` quarters on average until a false one, however often anybody looks and however short the blocks
are.

How far a block lies off is measured in standard deviations, of chance in its rows and of what varies from
block to block, and cut off: a single block of however bad luck is one block. The gamblers differ in where it
is cut off below, which is what limits how much can be bet, and in the share that they bet.

Neighbouring blocks resemble each other, and then a run of bad ones is no news. To first order a bettor of
share ``b`` wins by that as if each block were better by ``b (r - 1) / 2`` standard deviations, where ``r`` is
the variance of a long mean over what it would be of independent blocks. So much is taken off each bet, with
``r`` from the stable past at the upper end of what is likely. With that the promise holds of blocks that
depend on each other only as far as ``r`` is right; ``benchmarks/harm.py`` measures it.

Source: Shin, Ramdas and Rinaldo, "E-detectors: a nonparametric framework for sequential change detection",
New England Journal of Statistics in Data Science 2 (2024), for stakes that come in over time and the average
run length; Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", Journal of the
Royal Statistical Society B 86 (2024), for the bets; Brown, Durbin and Evans, "Techniques for Testing the
Constancy of Regression Relationships over Time", Journal of the Royal Statistical Society B 37 (1975), for
recursive residuals; Kendall, "Note on Bias in the Estimation of Autocorrelation", Biometrika 41 (1954).
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

FEWEST_STABLE = 8
HOURS_A_QUARTER = 24 * 365.25 / 4
# Where each gambler cuts off below, and the share of the most that cannot ruin them which they bet.
_GAMBLERS = ((0.5, 1.0), (1.0, 1.0), (2.0, 1.0), (2.0, 0.5), (2.0, 0.25))
_HIGHEST = 6.0
# Of what they have gamblers keep at least this share.
_KEPT = 0.05
_MOST_CORRELATED = 0.9


@dataclass(frozen=True)
class Level:
    """Where a figure was while nothing was wrong, and how it varied.

    Attributes:
        mean: Its level.
        between: Variance from block to block beyond chance.
        within: Variance of a single row.
        run: Variance of a long mean, over what it would be of independent blocks; at the upper end of what is
            likely, and 1 at least.
        blocks: How many blocks tell.
    """

    mean: float
    between: float
    within: float
    run: float
    blocks: int

    def variance(self, rows: "Array") -> "Array":
        """Return the variance of a block's figure by its rows, at least a millionth of that of a row."""
        import numpy as np

        return np.maximum(self.between + self.within / rows, max(1e-6 * self.within, 1e-12))


@dataclass(frozen=True, eq=False)
class Change:
    """What a look tells.

    Attributes:
        alarm: At which block, counted from 0, an alarm was raised; None if there was none.
        began: With which block the change most likely began; None without an alarm.
        size: By how much the level has risen since, against what it was before; 0 without an alarm.
        error: Standard error of that.
        evidence: After each block what the gamblers have, over what it takes for an alarm; shape (blocks,).
    """

    alarm: int | None
    began: int | None
    size: float
    error: float
    evidence: "Array"


def stable_level(figures: "Array", rows: "Array", within: float) -> Level:
    """Return the level of a stable past.

    Args:
        figures: Mean of each block, in order of time; shape (blocks,).
        rows: How many rows it is a mean of.
        within: Variance of a single row within its block.

    Raises:
        ValueError: There are fewer than :data:`FEWEST_STABLE` blocks.
    """
    import numpy as np

    count = len(figures)
    if count < FEWEST_STABLE:
        raise ValueError(f"{count} blocks; a stable past needs {FEWEST_STABLE}")
    between = max(float(figures.var(ddof=1) - (within / rows).mean()), 0.0)
    variance = Level(0.0, between, within, 1.0, count).variance(rows)
    mean = float(np.average(figures, weights=1 / variance))
    apart = (figures - mean) / np.sqrt(variance)
    own = float((apart[1:] * apart[:-1]).sum() / (apart**2).sum()) if apart.any() else 0.0
    own += (1 + 3 * max(own, 0.0)) / count
    likely = own + math.sqrt(max(1 - own**2, 0.0) / count)
    correlation = min(max(likely, 0.0), _MOST_CORRELATED)
    return Level(mean, between, within, (1 + correlation) / (1 - correlation), count)


def rise(
    level: Level,
    figures: "Array",
    rows: "Array",
    *,
    hours: "Array",
    budget: float,
    least: float = 0.0,
    stable_rows: float | None = None,
) -> Change:
    """Return whether a figure has risen above its level.

    Args:
        level: Of the stable past.
        figures: Mean of each block since, in order of time; shape (blocks,).
        rows: How many rows it is a mean of.
        hours: How long each is, shape (blocks,).
        budget: False alarms a quarter that this test may raise.
        least: A rise by no more than this is none.
        stable_rows: Rows of a usual block of the stable past; the mean of ``rows`` if not given.
    """
    import numpy as np

    if not len(figures):
        return Change(None, None, 0.0, 0.0, np.empty(0))
    usual = float(rows.mean()) if stable_rows is None else stable_rows
    apart, deviation = _recursive_residuals(level, figures, rows, usual)
    factors = _factors(apart, least / deviation, level.run)
    stakes = hours / HOURS_A_QUARTER
    having, evidence = np.zeros(len(_GAMBLERS)), np.empty(len(figures))
    for block, factor in enumerate(factors):
        having = (having + stakes[block]) * factor
        evidence[block] = having.mean() * budget
    over = evidence >= 1
    if not over.any():
        return Change(None, None, 0.0, 0.0, evidence)
    alarm = int(over.argmax())
    began = _began(factors[: alarm + 1])
    size, error = _size(level, figures, rows, began, usual)
    return Change(alarm, began, size, error, evidence)


def _recursive_residuals(
    level: Level, figures: "Array", rows: "Array", usual: float
) -> "tuple[Array, Array]":
    """Return by how much each block exceeds the mean of those before, in standard deviations, and these."""
    import numpy as np

    variance = level.variance(rows)
    weight = 1 / variance
    stable = level.blocks / level.variance(np.asarray(usual))
    before = stable + np.cumsum(weight) - weight
    mean = (stable * level.mean + np.cumsum(weight * figures) - weight * figures) / before
    deviation = np.sqrt(variance + level.run / before)
    return (figures - mean) / deviation, deviation


def _factors(apart: "Array", least: "Array", run: float) -> "Array":
    """Return by how much each gambler's stake is multiplied by each block; shape (blocks, gamblers)."""
    import numpy as np
    from scipy.stats import norm

    lowest = np.array([low for low, _ in _GAMBLERS])
    shares = np.array([share for _, share in _GAMBLERS])
    # What is cut off below raises the mean, by so much if blocks are normal.
    raised = (norm.pdf(lowest) - lowest * norm.sf(lowest)) - (
        norm.pdf(_HIGHEST) - _HIGHEST * norm.sf(_HIGHEST)
    )
    handicap = (run - 1) / 2
    worst = lowest + raised + least[:, None]
    # The largest bet of which (worst + handicap bet) leaves what is kept.
    most = 2 * (1 - _KEPT) / (worst + np.sqrt(worst**2 + 4 * handicap * (1 - _KEPT)))
    bets = shares * most
    won = np.clip(apart[:, None], -lowest, _HIGHEST) - raised - least[:, None]
    factors: Array = 1 + bets * (won - handicap * bets)
    return factors


def _began(factors: "Array") -> int:
    """Return the block from which on the gambler who won most would best have begun."""
    import numpy as np

    won = np.cumsum(np.log(factors), axis=0)
    before = np.vstack([np.zeros(factors.shape[1]), won[:-1]])
    gain = won[-1] - before
    start, _ = np.unravel_index(int(gain.argmax()), gain.shape)
    return int(start)


def _size(level: Level, figures: "Array", rows: "Array", began: int, usual: float) -> tuple[float, float]:
    """Return by how much blocks since a change exceed all before, and the standard error of that."""
    import numpy as np

    weight = 1 / level.variance(rows)
    stable = level.blocks / float(level.variance(np.asarray(usual)))
    before = stable + weight[:began].sum()
    mean = (stable * level.mean + (weight * figures)[:began].sum()) / before
    after = weight[began:].sum()
    size = float(np.average(figures[began:], weights=weight[began:]) - mean)
    return size, math.sqrt(level.run * (1 / before + 1 / after))
