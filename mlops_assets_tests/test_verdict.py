"""A gate's figures against its limits: what is missing, not a number or beyond its limit does not pass."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.specs.gate_rules import FairnessRules, GateRules, MetricThresholdRules, ModelCardRules
from mlops_assets.specs.tasks import Limit
from mlops_assets.verdict import Figure, Measurement, judge
from mlops_assets_tests.vouching import rules_of

CARD = ModelCardRules(required=True, max_missing=1, sections=("purpose",))
THRESHOLDS = MetricThresholdRules(
    required=True,
    confidence=0.9,
    min_thresholds=1,
    thresholds={"roc_auc": Limit(min=0.7), "brier": Limit(max=0.2)},
)


def measured(*figures: Figure, **more: str) -> Measurement:
    return Measurement(gate="any", summary="looked", figures=figures, **more)


def told(rules: GateRules, *figures: Figure, **more: str) -> str:
    verdict = judge(measured(*figures, **more), rules)
    assert verdict.passed == (verdict.summary == "looked")
    return verdict.summary


@given(st.floats(allow_nan=False), st.floats(allow_nan=False, allow_infinity=False))
def test_a_figure_passes_exactly_up_to_its_limit(value: float, limit: float) -> None:
    at_most = CARD.model_copy(update={"max_missing": limit})
    figure = Figure(name="missing", value=value, limit="max_missing")
    assert judge(measured(figure), at_most).passed == (value <= limit)
    at_least = THRESHOLDS.model_copy(update={"min_thresholds": limit, "thresholds": {}})
    figure = Figure(name="thresholds", value=value, limit="min_thresholds")
    assert judge(measured(figure), at_least).passed == (value >= limit)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ((), "nothing was measured for max_missing"),
        ((Figure(name="other", value=0),), "nothing was measured for max_missing"),
        (
            (Figure(name="missing", value=None, limit="max_missing", note="unreadable"),),
            "missing: unreadable",
        ),
        ((Figure(name="missing", value=math.nan, limit="max_missing"),), "missing is not a number"),
        ((Figure(name="missing", value=2, limit="max_missing"),), "missing 2 breaks ≤ 1"),
    ],
)
def test_what_is_missing_or_no_number_or_beyond_its_limit_is_a_breach(
    figures: tuple[Figure, ...], said: str
) -> None:
    assert told(CARD, *figures) == said


def test_one_of_many_figures_beyond_the_limit_is_enough() -> None:
    figures = [Figure(name=f"card {i}", value=i, limit="max_missing") for i in range(4)]
    assert told(CARD, *figures) == "card 2 2 breaks ≤ 1; card 3 3 breaks ≤ 1"


def test_the_bound_counts_where_the_gate_says_so() -> None:
    interval = {"value": 0.72, "low": 0.68, "high": 0.76}
    common = (
        Figure(name="thresholds", value=2, limit="min_thresholds"),
        Figure(name="brier", value=0.15, low=0.1, high=0.2, limit="brier.max", counts="high"),
    )
    auc = Figure(name="roc_auc", **interval, limit="roc_auc.min", counts="low")
    assert told(THRESHOLDS, *common, auc) == "roc_auc 0.72 (lower bound 0.68) breaks ≥ 0.7"
    assert told(THRESHOLDS, *common, auc.model_copy(update={"counts": "value"})) == "looked"


def test_a_limit_of_null_demands_nothing() -> None:
    rules = rules_of("minimal").gates.fairness
    assert isinstance(rules, FairnessRules)
    assert rules.max_tpr_gap is None
    assert told(rules, Figure(name="groups", value=0, limit="min_groups")) == "looked"


def test_a_gate_that_does_not_apply_says_why_and_passes() -> None:
    assert told(CARD, not_applicable="a regression has no classes") == "looked"


@given(st.floats())
def test_what_was_measured_survives_the_file_also_where_it_is_no_number(value: float) -> None:
    written = measured(Figure(name="any", value=value))
    read = Measurement.model_validate_json(written.model_dump_json())
    assert repr(read.figures[0].value) == repr(written.figures[0].value)
    again = Measurement.model_validate(written.model_dump(mode="json"))
    assert repr(again.figures[0].value) == repr(written.figures[0].value)
