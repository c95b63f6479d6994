"""Gates on the evaluation: the spec's thresholds, and the champion that has to be beaten."""

import dagster as dg

from mlops_assets.evaluation.intervals import Interval, PairedDifference
from mlops_assets.evaluation.judgement import judge_against_champion, judge_thresholds
from mlops_assets.gates.gate import gate_check, record_and_show, shown
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.records import Comparison, Evaluated

THRESHOLDS = "metric_thresholds"
COMPARISON = "champion_comparison"


def metric_thresholds(spec: ModelSpec) -> dg.AssetChecksDefinition:
    """Return the check that holds the metrics against the spec's limits."""

    @gate_check(spec, "evaluation", THRESHOLDS, "Each metric within the spec's thresholds.")
    def gate(evaluated: Evaluated, platform: Platform) -> dg.AssetCheckResult:
        metrics = {n: Interval(f.value, f.low, f.high) for n, f in evaluated.metrics.items()}
        verdict = judge_thresholds(metrics, spec.evaluation)
        return record_and_show(platform, spec, evaluated.trained.candidate, verdict)

    return gate


def champion_comparison(spec: ModelSpec) -> dg.AssetChecksDefinition:
    """Return the check that lets a challenger pass only if it beats the champion."""

    @gate_check(
        spec,
        "evaluation",
        COMPARISON,
        "Better than the champion by a paired block bootstrap on rows that neither was trained on.",
    )
    def gate(evaluated: Evaluated, platform: Platform) -> dg.AssetCheckResult:
        comparison = evaluated.comparison
        candidate = evaluated.trained.candidate
        if comparison.same and (won := platform.verdicts.find(spec.name, candidate, COMPARISON)):
            # Run again after it was promoted: what it won by is the evidence, and stays.
            return shown(won, candidate)
        verdict = judge_against_champion(
            _difference(comparison),
            champion=comparison.champion,
            same=comparison.same,
            rows=comparison.rows,
            problem=comparison.problem,
            evaluation=spec.evaluation,
        )
        return record_and_show(platform, spec, candidate, verdict)

    return gate


def _difference(comparison: Comparison) -> PairedDifference | None:
    figures = (comparison.gain, comparison.low, comparison.high, comparison.p_value)
    gain, low, high, p_value = figures
    if gain is None or low is None or high is None or p_value is None:
        return None
    return PairedDifference(gain, low, high, p_value)
