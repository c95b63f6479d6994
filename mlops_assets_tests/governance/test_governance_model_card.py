"""The gate on the model card: what people have to be told is told, and not just filled in."""

import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

import mlops_assets
from mlops_assets.governance.model_card import measure_model_card
from mlops_assets.specs.gate_rules import ModelCardRules
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy_file import load_policy
from mlops_assets.verdict import Verdict, judge
from mlops_assets_tests.governance.cards import small_spec

WRITTEN = {
    "limits": "Not for decisions about single persons.",
    "groups": "Applicants for a loan of up to 5,000.",
    "residual_risks": "Incomes are self-reported and may be wrong.",
}


def verdict(spec: ModelSpec, risk: Any = "high") -> Verdict:
    demanded: ModelCardRules = load_policy().tiers[risk].gates.model_card
    return judge(measure_model_card(spec, demanded), demanded)


def test_a_card_in_which_all_is_told_passes() -> None:
    passed = verdict(small_spec(card=WRITTEN))
    assert passed.passed
    assert passed.summary == "0 of 5 demanded sections are missing"


def test_what_the_policy_does_not_demand_may_be_missing() -> None:
    assert verdict(small_spec(), risk="minimal").passed


def test_each_missing_section_is_named_with_what_to_write_where() -> None:
    refused = verdict(small_spec(card={"limits": WRITTEN["limits"]}))
    assert not refused.passed
    assert refused.summary == (
        "missing sections 2, card.groups is missing; card.residual_risks is missing breaks ≤ 0"
    )
    assert refused.measurement.findings[1] == {
        "section": "residual_risks",
        "problem": "is missing",
        "write": "card.residual_risks in the spec: What can still go wrong.",
    }


@pytest.mark.parametrize(
    "text",
    [
        "TODO: write this down",
        "todo............",
        "Tbd by the team next week",
        "to be determined",
        "Lorem ipsum dolor sit amet, consectetur",
        "lorem ipsum dolor",
        "…………………………",
        "----------------",
        "1234567890",
        "aaaaaaaaaaaaaaa",
        "bla bla bla bla",
        "n/a  (not applicable)",
        "None / none / none",
        "See above. See above.",
        "Coming soon...",
        "FIXME FIXME",
        "ＴＯＤＯ: full width",
    ],
)
def test_a_placeholder_is_as_good_as_missing(text: str) -> None:
    refused = verdict(small_spec(card={**WRITTEN, "limits": text}))
    assert [f["section"] for f in refused.measurement.findings] == ["limits"]
    assert "is a placeholder" in refused.summary


@pytest.mark.parametrize(
    "text",
    [
        "None is known to us.",
        "No groups of people: it plans gates.",
        "Todos os passageiros de Nova Iorque.",
        "Keine Personen, nur Flugzeuge und Tore.",
        "仅用于规划登机口，不针对个人。",
        "Tests of loans above 5,000 are not covered.",
    ],
)
def test_a_short_and_honest_sentence_in_any_language_is_none(text: str) -> None:
    assert verdict(small_spec(card={**WRITTEN, "groups": text})).passed


def test_the_same_text_in_two_sections_tells_only_one_thing() -> None:
    text = "Something that we wrote once."
    refused = verdict(
        small_spec(purpose=text, card={**WRITTEN, "limits": f" {text.upper()}!", "groups": text})
    )
    assert [(f["section"], f["problem"]) for f in refused.measurement.findings] == [
        ("limits", "repeats purpose"),
        ("groups", "repeats purpose"),
    ]


@pytest.mark.parametrize(
    "owner", ["team:todo", "team:TBD", "nobody@example.com", "team:none", "team:to-be-determined"]
)
def test_an_owner_who_is_nobody_is_missing(owner: str) -> None:
    refused = verdict(small_spec(owner=owner), risk="minimal")
    assert [f["section"] for f in refused.measurement.findings] == ["owner"]


@pytest.mark.parametrize("owner", ["team:ml", "x@y.org", "team:na", "team:risk", "team:your-team", "team:11"])
def test_an_owner_may_have_a_short_name(owner: str) -> None:
    assert verdict(small_spec(owner=owner), risk="minimal").passed


@given(st.text(alphabet=st.characters(categories=["P", "S", "N", "Z"]), min_size=10, max_size=60))
def test_a_text_without_a_word_tells_nothing(text: str) -> None:
    assume(not any(letter.isalpha() for letter in unicodedata.normalize("NFKC", text)))
    spec = small_spec(card={**WRITTEN, "limits": text})
    assert [f["section"] for f in verdict(spec).measurement.findings] == ["limits"]


@pytest.mark.parametrize("file", sorted(Path(mlops_assets.__file__).parent.glob("defs/*/defs.yaml")), ids=str)
def test_the_cards_of_the_models_that_come_with_it_pass(file: Path) -> None:
    document = yaml.safe_load(file.read_text())
    if document["type"] == "mlops_assets.ModelLifecycle":
        spec = ModelSpec.model_validate(document["attributes"])
        assert verdict(spec, spec.risk).passed
