"""Gates on the candidate: how good it is, for whom, on what it rests, and what it costs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import dagster as dg

from mlops_assets.data.snapshots import read_snapshot
from mlops_assets.errors import MlopsError
from mlops_assets.evaluation.calibration import measure_calibration
from mlops_assets.evaluation.explanations import measure_explanations
from mlops_assets.evaluation.fairness import measure_fairness
from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.evaluation.quality import measure_against_champion, measure_thresholds
from mlops_assets.evaluation.robustness import measure_robustness
from mlops_assets.evaluation.serving_budget import measure_cost, measure_serving_budget
from mlops_assets.evaluation.slices import measure_slice_gate
from mlops_assets.gates.gate import enter_and_show, file_and_show, gate_checks, not_measured, selected
from mlops_assets.governance.model_card import measure_model_card
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules
from mlops_assets.stages.holdout_uses import other_candidates
from mlops_assets.stages.records import Evaluated
from mlops_assets.stages.stage import readable_errors
from mlops_assets.verdict import Measurement

COMPARISON = "champion_comparison"


@dataclass(frozen=True)
class Judged:
    """A candidate and all that its gates look at."""

    spec: ModelSpec
    rules: Rules
    folder: Path
    evaluated: Evaluated
    platform: Platform

    @cached_property
    def holdout(self) -> Holdout:
        """The candidate beside its hold-out rows."""
        trained = self.evaluated.trained
        raw = trained.features.raw
        rows = read_snapshot(self.platform.home.snapshot(self.spec.name, raw.digest), raw.digest)
        holdout = rows[rows[self.spec.data.time_column] >= trained.holdout_start]
        return Holdout(self.spec, self.platform.package(trained.run_id, trained.candidate), holdout)


def _thresholds(judged: Judged) -> Measurement:
    return measure_thresholds(judged.holdout, judged.rules.gates.metric_thresholds)


def _comparison(judged: Judged) -> Measurement:
    compared = judged.evaluated.comparison
    uses = 1
    if compared.champion is not None and not compared.same:
        uses = 1 + len(other_candidates(judged.spec.name, judged.evaluated.trained, judged.platform))
    weighs = judged.rules.gates.champion_comparison.weighs_expectation
    return measure_against_champion(
        compared.found(),
        compared.champion,
        compared.same,
        uses=uses,
        metric=judged.spec.evaluation.primary_metric,
        weighed=compared.weighed() if weighs else None,
    )


def _slices(judged: Judged) -> Measurement:
    return measure_slice_gate(judged.holdout, judged.rules.gates.slices)


def _fairness(judged: Judged) -> Measurement:
    return measure_fairness(judged.holdout, judged.rules.gates.fairness)


def _calibration(judged: Judged) -> Measurement:
    return measure_calibration(judged.holdout, judged.rules.gates.calibration)


def _robustness(judged: Judged) -> Measurement:
    return measure_robustness(judged.holdout, judged.rules.gates.robustness)


def _explanations(judged: Judged) -> Measurement:
    champion = judged.platform.champion(judged.spec.name)
    package = judged.platform.package(champion.run_id, champion.candidate) if champion else None
    return measure_explanations(judged.holdout, judged.rules.gates.explanations, package)


def _budget(judged: Judged) -> Measurement:
    return measure_serving_budget(judged.holdout, judged.rules.gates.serving_budget)


def _cost(judged: Judged) -> Measurement:
    return measure_cost(judged.holdout, judged.rules.gates.cost)


def _card(judged: Judged) -> Measurement:
    return measure_model_card(judged.spec, judged.rules.gates.model_card)


GATES: dict[str, tuple[str, Callable[[Judged], Measurement]]] = {
    "metric_thresholds": ("The bound of each metric within the spec's thresholds.", _thresholds),
    COMPARISON: (
        "Better than the champion by a paired block bootstrap on rows that neither was trained on.",
        _comparison,
    ),
    "slices": ("No group in which the model is much worse than elsewhere.", _slices),
    "fairness": ("Gaps of decisions and errors between groups of people within bounds.", _fairness),
    "calibration": ("Probabilities mean what they say.", _calibration),
    "robustness": ("Noise, gaps, wrong units and small changes do no great harm.", _robustness),
    "explanations": (
        "What predictions rest on, and whether it is what the champion's rest on.",
        _explanations,
    ),
    "serving_budget": ("Latency of one row and size, on the runtime that serves.", _budget),
    "cost": ("What 1,000 predictions cost.", _cost),
    "model_card": ("What a person has to be told of the model is told.", _card),
}


def candidate_gates(spec: ModelSpec, rules: Rules, folder: Path) -> dg.AssetChecksDefinition:
    """Return the checks that a candidate has to pass before it is registered."""

    @gate_checks(spec, "evaluation", "evaluated", {name: said for name, (said, _) in GATES.items()})
    def gates(
        context: dg.AssetCheckExecutionContext, evaluated: Evaluated, platform: Platform
    ) -> Iterator[dg.AssetCheckResult]:
        candidate = evaluated.trained.candidate
        judged = Judged(spec, rules, folder, evaluated, platform)
        for gate in selected(context, GATES):
            with readable_errors():
                known = (
                    platform.ledger.find(spec.name, candidate, gate) if evaluated.comparison.same else None
                )
            if known is not None:
                # Run again after it was promoted: what it won by is the evidence, and stays.
                yield enter_and_show(platform, spec, rules, candidate, known.measurement, context.run)
                continue
            try:
                measured = GATES[gate][1](judged)
            except MlopsError as error:
                yield not_measured(gate, candidate, error)
                continue
            with readable_errors():
                yield file_and_show(platform, spec, rules, candidate, measured, context.run)

    return gates
