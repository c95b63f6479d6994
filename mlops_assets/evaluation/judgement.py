"""The gates on a candidate's quality: its own thresholds, and the champion it has to beat."""

import math
from collections.abc import Mapping
from dataclasses import asdict

from mlops_assets.evaluation.intervals import Interval, PairedDifference
from mlops_assets.specs.model_spec import Evaluation
from mlops_assets.verdict import Finding, Verdict

FEWEST_COMMON_ROWS = 200


def judge_thresholds(metrics: Mapping[str, Interval], evaluation: Evaluation) -> Verdict:
    """Hold each metric's point estimate against the spec's limits.

    Returns:
        A verdict of gate ``metric_thresholds``; a metric that is not a number fails.
    """
    findings: list[Finding] = []
    for name, limit in evaluation.thresholds.items():
        value = metrics[name].value
        wrong = (
            math.isnan(value)
            or (limit.min is not None and value < limit.min)
            or (limit.max is not None and value > limit.max)
        )
        if wrong:
            findings.append(
                {
                    "metric": name,
                    "value": value,
                    "interval": str(metrics[name]),
                    "limit": _limit(limit.min, limit.max),
                }
            )
    return Verdict(
        gate="metric_thresholds",
        passed=not findings,
        summary="; ".join(f"{f['metric']} {f['interval']} breaks {f['limit']}" for f in findings)
        or ", ".join(f"{n} {metrics[n]}" for n in evaluation.thresholds)
        or "the spec sets no thresholds",
        measured={name: figure.value for name, figure in metrics.items()},
        limits={n: _limit(x.min, x.max) for n, x in evaluation.thresholds.items()},
        findings=findings,
    )


def judge_against_champion(
    difference: PairedDifference | None,
    *,
    champion: str | None,
    same: bool,
    rows: int,
    evaluation: Evaluation,
    problem: str | None = None,
) -> Verdict:
    """Decide whether a challenger may take the champion's place.

    Args:
        difference: The challenger's gain on the common rows; None if there was nothing to compare.
        champion: The champion's version, None if no model serves yet.
        same: Whether the candidate is the champion itself.
        rows: Number of rows neither model was trained on.
        evaluation: The spec's evaluation part.
        problem: Why there was nothing to compare, if that is known.

    Returns:
        A verdict of gate ``champion_comparison``; its ``measured`` names the champion it holds for.
    """
    metric = evaluation.primary_metric
    alpha = 1 - evaluation.confidence
    common = {"champion": champion, "rows": rows}
    limits = {"gain": f"> {evaluation.min_gain:g}", "p_value": f"< {alpha:.3g}"}

    def verdict(passed: bool, summary: str, **measured: float) -> Verdict:
        return Verdict(
            gate="champion_comparison",
            passed=passed,
            summary=summary,
            measured={**common, **measured},
            limits=limits,
            findings=[] if passed else [{"metric": metric, **common, **measured}],
        )

    if champion is None:
        return verdict(True, "no champion yet: the first version has none to beat")
    if same:
        return verdict(True, f"the candidate is the champion (version {champion})")
    if rows < FEWEST_COMMON_ROWS:
        return verdict(
            False,
            f"only {rows} rows that neither model was trained on, fewer than {FEWEST_COMMON_ROWS}",
        )
    if difference is None:
        return verdict(False, problem or "the champion could not be compared with")
    figures = asdict(difference)
    wins = difference.gain > evaluation.min_gain and difference.p_value < alpha
    said = (
        f"{metric} gain {difference.gain:+.4f} [{difference.low:+.4f}, {difference.high:+.4f}], "
        f"p = {difference.p_value:.3f}, on {rows:,} rows unseen by both"
    )
    return verdict(wins, f"{'beats' if wins else 'does not beat'} champion {champion}: {said}", **figures)


def _limit(low: float | None, high: float | None) -> str:
    if low is None:
        return f"≤ {high:g}"
    return f"≥ {low:g}" if high is None else f"{low:g} … {high:g}"
