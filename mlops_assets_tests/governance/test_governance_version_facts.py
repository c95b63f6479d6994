"""The facts of a version are those in its signed evidence, and what is not in it is not invented."""

from typing import Any

import pytest

from mlops_assets.errors import EvidenceError
from mlops_assets.governance.card_facts import CardFacts
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.version_facts import group_figures, spec_of, version_facts
from mlops_assets.specs.gate_rules import EVIDENT
from mlops_assets.verdict import Figure, Measurement
from mlops_assets_tests.governance.cards import small_spec
from mlops_assets_tests.governance.packs import ENVIRONMENT, SPEC, Platform, small_evidence
from mlops_assets_tests.vouching import record_of, rules_of


def with_findings(gate: str, *findings: dict[str, Any], figures: tuple[Figure, ...] = ()) -> Evidence:
    """Return evidence in which a gate found something."""
    evidence = small_evidence()
    measured = Measurement(gate=gate, summary="", findings=findings, figures=figures)
    gates = [record_of(name, evidence.subject, evidence.rules) for name in EVIDENT]
    return evidence.model_copy(
        update={
            "gates": tuple(
                r.model_copy(update={"measurement": measured}) if r.gate == gate else r for r in gates
            )
        }
    )


def test_what_it_learnt_from_and_by_what_it_was_judged() -> None:
    facts = version_facts(small_evidence(), "3", environment=ENVIRONMENT.versions)
    data = facts.data
    assert (facts.model, facts.version, facts.limits) == ("small", "3", "Not for people.")
    assert (str(data.start), str(data.end)) == ("2024-01-01 00:00:00", "2024-07-01 00:00:00")
    assert (data.rows, data.training_rows, data.holdout_rows) == (1200, 1000, 200)
    assert data.source == "CSV rows.csv"
    assert facts.training.environment == {"python": "3.11.9", "numpy": "2.4.6"}
    assert facts.training.trained_at is not None
    assert facts.versions["package"] == small_evidence().subject.candidate


def test_metrics_are_those_that_were_held_to_the_thresholds_with_their_bounds() -> None:
    twice = {"name": "brier", "value": 0.1, "low": 0.08, "high": 0.12}
    figures = (
        Figure(name="thresholds the spec sets", value=1, limit="min_thresholds"),
        Figure(**twice, limit="brier.max", counts="high"),
        Figure(**twice, limit="brier.min", counts="low"),
        Figure(name="roc_auc", value=0.8, low=0.7, high=0.9),
    )
    facts = version_facts(with_findings("metric_thresholds", figures=figures), "1")
    assert facts.metrics == (
        Figure(name="roc_auc", value=0.8, low=0.7, high=0.9),
        Figure(name="brier", value=0.1, low=0.08, high=0.12),
    )
    # A bound that is right in nine cases of ten on its own side is one of an interval of 80 %.
    assert rules_of("minimal").gates.metric_thresholds.confidence == 0.9
    assert facts.confidence == pytest.approx(0.8)


def told(figures: Any) -> list[tuple[Any, ...]]:
    return [
        (f.column, f.value, f.rows, f.figure.name, f.figure.value, f.figure.low, f.figure.high)
        for f in figures
    ]


def test_groups_are_told_with_every_figure_that_was_found_of_them() -> None:
    evidence = with_findings(
        "slices",
        {"column": "b", "group": "red", "rows": 9, "shortfall": 0.3, "shortfall_low": 0.1, "bias": -0.2,
         "bias_low": 0.05},
        {"column": "b", "group": "blue", "rows": 8, "shortfall": 0.2, "shortfall_low": 0.0},
        {"problem": "what is no group"},
    )  # fmt: skip
    assert told(group_figures(evidence)) == [
        ("b", "red", 9, "shortfall", 0.3, 0.1, None),
        ("b", "red", 9, "bias", -0.2, None, -0.05),  # at least .05 too low
        ("b", "blue", 8, "shortfall", 0.2, None, None),  # nothing is certain
    ]
    rates = with_findings("fairness", {"column": "b", "group": "red", "rows": 9, "tpr": 0.5, "tpr_low": 0.4,
                                       "tpr_high": 0.6})  # fmt: skip
    assert told(group_figures(rates)) == [("b", "red", 9, "tpr", 0.5, 0.4, 0.6)]


def test_probabilities_are_told_of_classes_and_not_of_values() -> None:
    found = {"bin": 1, "rows": 20, "predicted": 0.2, "observed": 0.3}
    evidence = with_findings("calibration", found, {"note": "something else"})
    (bin_,) = version_facts(evidence, "1").calibration
    assert (bin_.predicted, bin_.observed, bin_.rows, bin_.low) == (0.2, 0.3, 20, None)
    spec = small_spec(task="regression", evaluation={"primary_metric": "mae"}).model_dump(mode="json")
    assert version_facts(evidence.model_copy(update={"spec": spec}), "1").calibration == ()


def test_a_decision_is_told_by_name_and_one_of_a_person_who_left_too(tmp_path: Any) -> None:
    platform = Platform(tmp_path)
    evidence = small_evidence()
    signed = platform.released(evidence).release.approvals
    (known,) = version_facts(evidence, "1", decisions=signed, approvers=platform.approvers).approvals
    assert (known.by, known.decision, known.reason) == ("Ada", "approve", "in order")
    (unknown,) = version_facts(evidence, "1", decisions=signed).approvals
    assert unknown.by == "somebody who is no approver any more"


def test_a_spec_survives_the_evidence_with_all_that_it_tightens() -> None:
    spec = small_spec(
        approvals={"needed": 1, "timeout": "3d"},
        evidence={"lifetime": "90d"},
        gates={"slices": {"max_shortfall": 0.2}},
    )
    assert spec_of(small_evidence(spec)) == spec
    assert spec.model_dump(mode="json")["approvals"] == {"needed": 1, "timeout": "3d"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"spec": {}}, "the evidence holds no spec of today's form (name: Field required)"),
        ({"facts": {}}, "the evidence does not tell the 'rows' of what it is about"),
    ],
)
def test_evidence_that_tells_too_little_is_refused_in_words(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(EvidenceError) as raised:
        version_facts(small_evidence().model_copy(update=changes), "1")
    assert str(raised.value) == said


def test_facts_survive_being_written_down() -> None:
    facts = version_facts(small_evidence(SPEC), "1")
    assert CardFacts.model_validate_json(facts.model_dump_json()) == facts
