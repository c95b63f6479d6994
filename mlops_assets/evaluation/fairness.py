"""Gaps between groups of people: in what is decided about them, and in how often that is wrong.

Groups are those of the columns in ``evaluation.groups``, and of all columns declared ``sensitive``. What is
compared depends on the task:

* Of two classes, a probability of at least ``evaluation.decision_threshold`` is a positive decision. Its rate
  is the *selection rate*; among rows of the positive class it is the *true positive rate*, among the others
  the *false positive rate*.
* Of more classes the likeliest is decided, and the same is measured of each class against the rest; the
  largest gap counts.
* Of values, it is the mean prediction, and by how much predictions are too low (as a miss is) and too high
  (as a false alarm is) on average, each in standard deviations of the target.

A gap is the difference of the highest and the lowest group. The largest of many differences is never zero, so
what counts is its lower bound: what is left of the largest difference when each is given its margin of error,
wide enough to hold for all pairs, rates and columns together. The error is that of days left out, and never
less than that of rows drawn one by one, which a rate of none or all would otherwise seem not to have.

Source: Hardt, Price and Srebro, "Equality of Opportunity in Supervised Learning", NeurIPS 2016 (equalised
odds); Agarwal, Dudík and Wu, "Fair Regression", ICML 2019 (parity of values); Agresti and Caffo, "Simple and
Effective Confidence Intervals for Proportions and Differences of Proportions Result from Adding Two Successes
and Two Failures", The American Statistician 54 (2000). The rates are Fairlearn's.
"""

from mlops_assets.evaluation.group_rates import (
    Decisions,
    Gap,
    GroupRates,
    decisions_of,
    group_rates,
    widest,
)
from mlops_assets.evaluation.groups import Grouping, group_by
from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.specs.gate_rules import FairnessRules
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.verdict import Figure, Finding, Measurement, unmeasured

_GAPS = ("demographic_parity_gap", "tpr_gap", "fpr_gap", "equalized_odds_gap")
_MOST_TOLD = 50


def group_columns(spec: ModelSpec) -> tuple[str, ...]:
    """Return the columns of groups of people: those that the spec names, and all sensitive ones."""
    sensitive = (column.name for column in spec.data.features if column.sensitive)
    return tuple(dict.fromkeys((*spec.evaluation.groups, *sensitive)))


def measure_fairness(holdout: Holdout, rules: FairnessRules) -> Measurement:
    """Measure the gaps between groups of people; gate ``fairness``.

    A sensitive column without two groups of ``min_rows`` rows, such as a name, is passed over; one that
    ``evaluation.groups`` names has to have them.

    Args:
        holdout: The candidate and its hold-out.
        rules: What the policy demands; ``confidence`` is that of all bounds together.

    Returns:
        How many columns there are, and four gaps for each; the findings are the rates of each group.
    """
    import numpy as np

    if not np.isfinite(holdout.predicted).all():
        return unmeasured("fairness", rules, "some predictions of the hold-out are not numbers")
    columns, decisions = group_columns(holdout.spec), _decisions(holdout)
    why = _why_all_alike(holdout, decisions)
    groupings = [] if why else [group_by(name, holdout.rows[name], rules.min_rows) for name in columns]
    pairs = sum(len(grouping.names) * (len(grouping.names) - 1) for grouping in groupings)
    comparisons = 3 * pairs * len(decisions)
    alpha = 1 - rules.confidence
    found = {
        grouping: [
            group_rates(grouping, each, holdout.blocks, alpha=alpha, comparisons=comparisons)
            for each in decisions
            if len(grouping.names) > 1
        ]
        for grouping in groupings
    }
    why = why or f"no column of groups has two groups of {rules.min_rows:,} rows to compare"
    figures = (
        Figure(name="group columns", value=len(columns), limit="min_groups"),
        *_gap_figures(found, holdout.spec.evaluation.groups, why),
    )
    findings = [record for grouping, rates in found.items() for record in _records(grouping, rates)]
    return Measurement(
        gate="fairness",
        summary=_summary(figures, columns, why),
        figures=figures,
        findings=tuple(findings[:_MOST_TOLD]),
    )


def _decisions(holdout: Holdout) -> list[Decisions]:
    """Return what was decided on the hold-out."""
    return decisions_of(
        holdout.spec.task,
        holdout.predicted,
        holdout.target,
        threshold=holdout.spec.evaluation.decision_threshold,
        classes=holdout.package.manifest.classes,
        spread=float(holdout.target.std()) or 1.0,
    )


def _why_all_alike(holdout: Holdout, decisions: list[Decisions]) -> str:
    """Return why nothing can be compared; empty if it can: a threshold that nobody passes leaves no gaps."""
    if any(each.values or each.made.min() < each.made.max() for each in decisions):
        return ""
    if holdout.predicted.ndim > 1:
        return "one class is decided for all rows"
    threshold = holdout.spec.evaluation.decision_threshold
    return f"all are decided alike at evaluation.decision_threshold {threshold:g}: set the one that is used"


def _gap_figures(found: dict[Grouping, list[GroupRates]], named: tuple[str, ...], why: str) -> list[Figure]:
    """Return the figures of each column, and in place of a gap that no column has, why there is none."""
    figures = []
    for grouping, rates in found.items():
        parity, misses, alarms = (widest(each.gaps[kind] for each in rates) for kind in range(3))
        gaps = (parity, misses, alarms, widest((misses, alarms)))
        for name, gap in zip(_GAPS, gaps, strict=True):
            if gap is not None or grouping.column in named:
                figures.append(_figure(name, grouping.column, gap))
    measured = {figure.limit for figure in figures}
    missing = [name for name in _GAPS if f"max_{name}" not in measured]
    return figures + [Figure(name=name, value=None, limit=f"max_{name}", note=why) for name in missing]


def _figure(name: str, column: str, gap: Gap | None) -> Figure:
    if gap is None:
        note = "no two groups are large enough for this rate; see gates.fairness.min_rows"
        return Figure(name=f"{name} {column}", value=None, limit=f"max_{name}", note=note)
    return Figure(
        name=f"{name} {column}",
        value=gap.value,
        low=gap.low,
        high=gap.high,
        limit=f"max_{name}",
        counts="low",
        note=gap.told,
    )


def _records(grouping: Grouping, rates: list[GroupRates]) -> list[Finding]:
    """Return for each group its rows and the rates that it has."""
    return [
        {
            "column": grouping.column,
            "group": group,
            "rows": int(grouping.rows[i]),
            **{
                name: float(each.rates[i, kind])
                for each in rates
                for kind, name in enumerate(each.names)
                if each.rates[i, kind] == each.rates[i, kind]  # not NaN
            },
        }
        for i, group in enumerate(grouping.names)
    ]


def _summary(figures: tuple[Figure, ...], columns: tuple[str, ...], why: str) -> str:
    if not columns:
        return "the spec names no groups of people (evaluation.groups, or sensitive columns)"
    gaps = [figure for figure in figures if figure.low is not None]
    if not gaps:
        return why
    widest_gap = max(gaps, key=lambda figure: (figure.low or 0.0, figure.value or 0.0))
    return (
        f"the largest gap is {widest_gap.name} {widest_gap.value:.3f}, at least {widest_gap.low:.3f}: "
        f"{widest_gap.note}"
    )
