"""What small and large faults of the input do to a model: the gate ``robustness``.

Every fault is put into the raw columns that a client sends, and every prediction is the served one. Losses of
the primary metric are told relative to the model's skill, see :mod:`mlops_assets.evaluation.skill`.
"""

import math
from collections.abc import Iterator, Sequence

from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.evaluation.perturbation import Answer, ask, noisy, undeclared, without
from mlops_assets.evaluation.sample import SEED, Sample
from mlops_assets.evaluation.stress import measure_evasion, measure_stress
from mlops_assets.specs.gate_rules import RobustnessRules
from mlops_assets.verdict import Figure, Finding, Measurement

_NOISE = 0.05  # of each number's spread, and of the values of a category
_REPEATS = 3
_MISSING = 0.1
# A thousand times too much (grams for kilograms) leaves any sensible range. Kilometres for miles may not, nor
# does a thousandth where the range begins at zero.
_GROSS = 1000.0
_FACTORS = (_GROSS, 1.609, 0.001)
_GROSS_ADVICE = "declare a range of the column"
_FINE_ADVICE = "declare a range as narrow as the values are; what is left is for the drift monitor to see"
_HARM = 0.1  # of the skill
_NOTICED = 0.01  # of the rows: a wrong unit stays until somebody sees it
_MOST_FINDINGS = 50


def measure_robustness(holdout: Holdout, rules: RobustnessRules) -> Measurement:
    """Return what a candidate loses, and which of its decisions are turned, when its input is faulty.

    ==================  =============================================================================
    noise               5 % of each number's spread, and 5 % of the values of a category exchanged:
                        the loss, and how far predictions move
    missing             each nullable column missing in all rows, and a tenth of all nullable values:
                        the loss
    silent unit errors  numbers that cost a tenth of the skill when a thousand times too large, while
                        declared type and range let them through; for information also 1.609 and
                        1/1,000 times the value
    stress              decisions that one column alone turns at its 1st or 99th percentile, or at its
                        least or most likely value; for information also at the ends of its range
    evasion             decisions of the clearer half that an attack turns by moving numbers by up to
                        10 % of their spread; see :mod:`mlops_assets.evaluation.evasion`
    ==================  =============================================================================

    Args:
        holdout: The candidate beside its hold-out, of which at most 2,000 rows are taken.
        rules: What the policy demands, and the budget of the attack.
    """
    sample = Sample.of(holdout, rules.confidence)
    errors = tuple(_silent_unit_errors(sample))
    figures = (
        *_noise(sample),
        *_missing(sample),
        *_unit_errors(errors),
        *measure_stress(sample),
        *measure_evasion(sample, rules.query_budget),
    )
    return Measurement(
        gate="robustness",
        summary=_summary(figures),
        figures=figures,
        findings=errors[:_MOST_FINDINGS],
        facts={
            "rows": len(sample.rows),
            "metric": holdout.spec.evaluation.primary_metric,
            "skill": sample.skill.gain.gain,
        },
    )


def _noise(sample: Sample) -> Iterator[Figure]:
    import numpy as np
    import pandas as pd

    repeats = [
        noisy(sample.rows, sample.numbers, sample.categories, _NOISE, seed) for seed in range(_REPEATS)
    ]
    answer = ask(sample.drawn.package, pd.concat(repeats, ignore_index=True))
    yield _loss_figure(sample, "noise_loss", answer, "max_noise_loss")
    if answer.predicted is None:
        moved = 0.0 if answer.refused else None
        yield Figure(name="noise_change", value=moved, limit="max_noise_change", note=answer.problem)
        return
    own = sample.drawn.predicted
    differ = np.sqrt(((own - own.mean(axis=0)) ** 2).mean())
    moved = np.sqrt(((answer.predicted - np.concatenate([own] * _REPEATS)) ** 2).mean())
    yield Figure(
        name="noise_change",
        value=float(moved / differ) if differ > 0 else 0.0,
        limit="max_noise_change",
    )


def _missing(sample: Sample) -> Iterator[Figure]:
    """Yield the loss for each column that may be missing, and for a tenth of all such values."""
    nullable = [c.name for c in (*sample.numbers, *sample.categories) if c.nullable]
    if not nullable:
        yield Figure(name="missing_loss", value=0, limit="max_missing_loss", note="no value may be missing")
        return
    cases = [(name, [name], 1.0) for name in nullable]
    for name, columns, share in (*cases, (f"{_MISSING:.0%} of values", nullable, _MISSING)):
        answer = ask(sample.drawn.package, without(sample.rows, columns, share, SEED))
        yield _loss_figure(sample, f"missing_loss {name}", answer, "max_missing_loss", len(cases) + 1)


def _loss_figure(sample: Sample, name: str, answer: Answer, limit: str, comparisons: int = 1) -> Figure:
    if answer.predicted is None:
        # Whoever refuses a faulty row does not answer it wrongly.
        value = 0.0 if answer.refused else None
        return Figure(name=name, value=value, low=value, limit=limit, counts="low", note=answer.problem)
    lost, low = sample.skill.lost(answer.predicted), sample.skill.surely_lost(answer.predicted, comparisons)
    return Figure(name=name, value=lost, low=low, limit=limit, counts="low")


def _silent_unit_errors(sample: Sample) -> Iterator[Finding]:
    """Yield unit errors that do harm and that the declaration would have let through."""
    tried = len(sample.numbers) * len(_FACTORS)
    for column in sample.numbers:
        for factor in _FACTORS:
            values = sample.rows[column.name] * factor
            if float(undeclared(values, column).mean()) >= _NOTICED:
                continue
            answer = sample.with_column(column.name, values)
            if answer.predicted is None:
                continue  # refused or broken, thus seen
            loss = sample.skill.lost(answer.predicted)
            if loss > _HARM and sample.skill.surely_lost(answer.predicted, tried) > _HARM:
                yield {
                    "problem": "a unit error does harm and nothing refuses it",
                    "column": column.name,
                    "factor": factor,
                    "loss": loss,
                    "declared_range": str(column.range and list(column.range)),
                    "advice": _GROSS_ADVICE if factor == _GROSS else _FINE_ADVICE,
                }


def _unit_errors(errors: Sequence[Finding]) -> Iterator[Figure]:
    gross = sorted({str(error["column"]) for error in errors if error["factor"] == _GROSS})
    others = {error["column"] for error in errors if error["factor"] != _GROSS}
    yield Figure(
        name="silent_unit_errors",
        value=len(gross),
        limit="max_silent_unit_errors",
        note=f"declare a range of {', '.join(gross[:5])}" if gross else "",
    )
    yield Figure(name="silent_unit_errors that a range may not stop", value=len(others))


def _summary(figures: Sequence[Figure]) -> str:
    def worst(name: str) -> Figure:
        held = [f for f in figures if f.name.startswith(name) and f.limit]
        return max(held, key=lambda f: -math.inf if f.value is None or math.isnan(f.value) else f.value)

    noise, missing, stress = worst("noise_loss"), worst("missing_loss"), worst("stress_change")
    return (
        f"noise costs {_percent(noise)} of the skill, missing values at worst {_percent(missing)}; "
        f"unit errors do silent harm in {worst('silent_unit_errors').value:g} columns; "
        f"one column alone turns at worst {_percent(stress)} of the decisions, "
        f"an attack {_percent(worst('evasion'))} of the clear ones"
    )


def _percent(figure: Figure) -> str:
    return "an unknown share" if figure.value is None or math.isnan(figure.value) else f"{figure.value:.1%}"
