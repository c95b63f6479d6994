"""Gaps between groups of people in one window: how wide, how sure, and whether the policy allows them.

What is compared is what gate ``fairness`` compares (:mod:`mlops_assets.evaluation.fairness`), on what was
really decided: the rate of positive decisions among all rows, and the rates of hits and of false alarms among
those whose label is known. Each two groups are held against each other, in each rate. A limit is breached if
for some two groups it is certain, at the policy's confidence, that they are further apart than the limit:
certain for all pairs, rates and columns together by Holm's method. The bounds that are told hold together,
too (Bonferroni).

Source: see :mod:`mlops_assets.monitoring.holm`; what the rates and their errors rest on, see
:mod:`mlops_assets.evaluation.group_rates`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.block_jackknife import (
    FEWEST_BLOCKS,
    block_sums,
    critical,
    effective_blocks,
    jackknife,
)
from mlops_assets.evaluation.group_rates import (
    FEWEST_COUNTED,
    Decisions,
    error_by_rows,
    rate_counts,
    rate_differences,
)
from mlops_assets.evaluation.groups import Grouping
from mlops_assets.monitoring.holm import holm
from mlops_assets.monitoring.performance.blocks import Blocks
from mlops_assets.specs.gate_rules import FairnessRules

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")
VALUES = ("mean_prediction", "underprediction", "overprediction")
_MOST_TOLD = 50
# Which limits a gap in each of the three rates is held against.
_LIMITS = (
    ("max_demographic_parity_gap",),
    ("max_tpr_gap", "max_equalized_odds_gap"),
    ("max_fpr_gap", "max_equalized_odds_gap"),
)


@dataclass(frozen=True)
class GroupGap:
    """The two groups that are furthest apart in one rate, by what is certain.

    Attributes:
        column: The column of groups.
        rate: Name of the rate.
        groups: The group with less, and the one with more.
        rates: Their rates.
        value: How far they are apart.
        low: Lower bound of the widest gap of the column, at least 0.
        high: Upper bound of it.
        limit: The strictest limit that the policy sets for it; None if it sets none.
        p_value: How probable it is, for all tests together, to seem to break the limit while keeping it.
        breached: Whether the limit is broken for certain.
    """

    column: str
    rate: str
    groups: tuple[str, str]
    rates: tuple[float, float]
    value: float
    low: float
    high: float
    limit: float | None
    p_value: float
    breached: bool

    def __str__(self) -> str:
        less, more = self.groups
        told = f"{self.rate} of {self.column}: {less} {self.rates[0]:.3f}, {more} {self.rates[1]:.3f}, gap "
        told += f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"
        return told + (f", limit {self.limit:g}" if self.limit is not None else "")


@dataclass(frozen=True)
class Fairness:
    """Gaps between groups in a window.

    Attributes:
        gaps: One for each column and rate that two groups have; those that are breached first.
        rates: One record for each group: its rows and its rates.
        too_few: Groups without a rate, as there are not enough data, with what they have.
        rests_on: What the bounds rest on.
        reason: In one sentence.
    """

    gaps: tuple[GroupGap, ...]
    rates: tuple[dict[str, Any], ...]
    too_few: tuple[str, ...]
    rests_on: str
    reason: str

    @property
    def breaches(self) -> tuple[GroupGap, ...]:
        """The gaps that are certainly wider than the policy allows."""
        return tuple(gap for gap in self.gaps if gap.breached)


def measure_gaps(
    groupings: Sequence[Grouping],
    decisions: Sequence[Decisions],
    blocks: Blocks,
    rules: FairnessRules,
) -> Fairness:
    """Return the gaps between the groups of each column.

    Args:
        groupings: The columns of groups, see :func:`.grouping.group_window`.
        decisions: What was decided, see :func:`mlops_assets.evaluation.group_rates.decisions_of`.
        blocks: What the bounds are to rest on.
        rules: The policy's limits, its confidence, and the rows that a group needs.
    """
    compared = [
        _compare(grouping, each, blocks, rules)
        for grouping in groupings
        for each in decisions
        if len(grouping.names) > 1
    ]
    comparisons = sum(int(each.known_pairs.sum()) for each in compared)
    alpha = 1 - rules.confidence
    adjusted = holm([each.p_values for each in compared])
    gaps = [
        gap
        for each, p_values in zip(compared, adjusted, strict=True)
        for gap in each.gaps(p_values, alpha, comparisons)
    ]
    gaps.sort(key=lambda gap: (not gap.breached, -gap.low, -gap.value))
    records = [record for each in compared for record in each.records()]
    too_few = tuple(dict.fromkeys(told for each in compared for told in each.too_few()))
    return Fairness(
        tuple(gaps),
        tuple(records),
        too_few[:_MOST_TOLD],
        blocks.rests_on,
        _reason(gaps, bool(groupings), rules),
    )


def _reason(gaps: Sequence[GroupGap], any_column: bool, rules: FairnessRules) -> str:
    if not any_column:
        return "no columns of groups"
    if not gaps:
        return f"no two groups have enough data for any rate; a group needs {rules.min_rows:,} rows"
    breached = [str(gap) for gap in gaps if gap.breached]
    if breached:
        return f"broken at {rules.confidence:.0%} confidence: {'; '.join(breached[:3])}"
    return f"no limit is certainly broken; the widest gap is {gaps[0]}"


@dataclass(frozen=True, eq=False)
class _Compared:
    """Differences of each two groups of a column in each rate.

    Attributes:
        among: Rows that each group's rate counts among, shape (groups, 3).
        enough: Whether a group has a rate, shape (groups, 3).
        differences: Shape (groups, groups, 3).
        error: Standard error of these.
        count: Number of blocks they rest on.
        limits: The strictest limit of each rate, NaN if there is none; shape (3,).
    """

    grouping: Grouping
    decisions: Decisions
    rates: "Array"
    among: "Array"
    enough: "Array"
    differences: "Array"
    error: "Array"
    count: "Array"
    limits: "Array"

    @property
    def known_pairs(self) -> "Array":
        """Which ordered pairs can be compared, shape (groups, groups, 3)."""
        import numpy as np

        pairs = ~np.eye(len(self.enough), dtype=bool)[..., None]
        known: Array = pairs & self.enough[:, None] & self.enough[None, :]
        return known

    @property
    def p_values(self) -> "Array":
        """Of each pair that it breaks the limit only by chance; NaN where nothing is tested."""
        import numpy as np
        from scipy.stats import t

        with np.errstate(divide="ignore", invalid="ignore"):
            apart = (self.differences - self.limits) / self.error
        found = t.sf(apart, np.maximum(self.count - 1, 1))
        return np.where(self.known_pairs & np.isfinite(apart), found, np.nan)

    def gaps(self, p_values: "Array", alpha: float, comparisons: int) -> list[GroupGap]:
        """Return the widest gap in each rate, given the p-values for all tests together."""
        import numpy as np

        margin = critical(alpha, comparisons, self.count) * self.error
        found = []
        names = VALUES if self.decisions.values else RATES
        for kind in range(3):
            known = self.known_pairs[..., kind]
            if not known.any():
                continue
            low = np.where(known, self.differences[..., kind] - margin[..., kind], -np.inf)
            wide = np.where(known, self.differences[..., kind], -np.inf)
            least = float(low.max())
            # The pair of which most is certain; where nothing is, the one that looks furthest apart.
            more, less = np.unravel_index(int((low if least > 0 else wide).argmax()), low.shape)
            high = float((self.differences + margin)[..., kind][known].max())
            tested = p_values[..., kind][known]
            p_value = float(np.nanmin(tested)) if np.isfinite(tested).any() else 1.0
            limit = None if np.isnan(self.limits[kind]) else float(self.limits[kind])
            found.append(
                GroupGap(
                    column=self.grouping.column,
                    rate=f"{names[kind]}{self.decisions.label}",
                    groups=(self.grouping.names[less], self.grouping.names[more]),
                    rates=(float(self.rates[less, kind]), float(self.rates[more, kind])),
                    value=float(self.differences[more, less, kind]),
                    low=max(least, 0.0),
                    high=high if self.decisions.values else min(high, 1.0),
                    limit=limit,
                    p_value=p_value,
                    breached=limit is not None and p_value <= alpha,
                )
            )
        return found

    def records(self) -> list[dict[str, Any]]:
        """Return the rates of each group."""
        names = VALUES if self.decisions.values else RATES
        return [
            {
                "column": self.grouping.column,
                "group": group,
                "rows": int(self.grouping.rows[place]),
                **{
                    f"{name}{self.decisions.label}": float(self.rates[place, kind])
                    for kind, name in enumerate(names)
                    if self.enough[place, kind]
                },
            }
            for place, group in enumerate(self.grouping.names)
        ]

    def too_few(self) -> list[str]:
        """Return what to say of groups that have no rate."""
        names = VALUES if self.decisions.values else RATES
        return [
            f"{self.grouping.column} {group}: not enough data for {names[kind]}{self.decisions.label} "
            f"({int(self.among[place, kind]):,} rows)"
            for place, group in enumerate(self.grouping.names)
            for kind in range(3)
            if not self.enough[place, kind]
        ]


def _compare(grouping: Grouping, decisions: Decisions, blocks: Blocks, rules: FairnessRules) -> _Compared:
    import numpy as np

    sums = block_sums(rate_counts(decisions), grouping.codes, len(grouping.names), blocks.member)
    among = sums[..., 3:]
    enough = (among.sum(axis=0) >= FEWEST_COUNTED) & ((among > 0).sum(axis=0) >= FEWEST_BLOCKS)
    enough &= (grouping.rows >= rules.min_rows)[:, None]
    found = jackknife(rate_differences, sums)
    error = found.error if decisions.values else np.maximum(found.error, error_by_rows(sums))
    effective = effective_blocks(among)
    total = sums.sum(axis=0)
    limits = [
        min((limit for name in names if (limit := getattr(rules, name)) is not None), default=np.nan)
        for names in _LIMITS
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = total[:, :3] / total[:, 3:]
    return _Compared(
        grouping,
        decisions,
        rates,
        total[:, 3:],
        enough,
        found.value,
        error,
        np.minimum(effective[:, None], effective[None, :]),
        np.array(limits, dtype=float),
    )
