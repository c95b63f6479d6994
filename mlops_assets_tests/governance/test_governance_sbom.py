"""The bill of materials, held against CycloneDX's own schema."""

import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.governance.card_facts import CardFacts
from mlops_assets.governance.components import Component, inventory
from mlops_assets.governance.sbom import sbom
from mlops_assets_tests.governance.cards import small_card

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def problems(document: dict[str, Any]) -> Any:
    return VALIDATOR.validate_str(json.dumps(document))


def test_the_schema_refuses_what_is_wrong() -> None:
    document = sbom((Component("plain", "1.0"),), small_card())
    document["metadata"]["component"]["modelCard"]["considerations"]["fairness"] = []
    assert problems(document)


@pytest.mark.parametrize(
    "model", [None, small_card(), small_card(version="", verdicts=(), metrics=(), by_group=())]
)
def test_this_environments_bill_is_valid(model: CardFacts | None) -> None:
    assert problems(sbom(inventory(), model)) is None


@given(
    component=st.builds(
        Component,
        name=st.text(min_size=1),
        version=st.text(min_size=1),
        licence=st.sampled_from([None, "MIT", "MIT AND (Apache-2.0 OR LicenseRef-Own)"]),
        told=st.text(max_size=20),
        supplier=st.text(max_size=20),
    ),
    text=st.text(max_size=20),
)
def test_any_component_and_any_text_give_a_valid_bill(component: Component, text: str) -> None:
    assert problems(sbom((component,), small_card(text))) is None


def test_the_model_is_told_with_its_card() -> None:
    model = sbom((), small_card())["metadata"]["component"]
    assert (model["type"], model["name"], model["version"]) == ("machine-learning-model", "small", "7")
    card = model["modelCard"]
    assert card["modelParameters"]["task"] == "binary_classification"
    assert [one["format"] for one in card["modelParameters"]["inputs"]] == ["a: number, ≥ 0", "b: string"]
    assert card["modelParameters"]["datasets"][0]["sensitiveData"] == ["b"]
    metrics = card["quantitativeAnalysis"]["performanceMetrics"]
    assert metrics[0] == {
        "type": "roc_auc",
        "value": "0.8",
        "confidenceInterval": {"lowerBound": "0.75", "upperBound": "0.85"},
    }
    assert [m.get("slice") for m in metrics] == [None, None, "b = red", "b = blue"]
    considered = card["considerations"]
    assert considered["technicalLimitations"] == ["Not for people."]
    assert considered["fairnessAssessments"][0]["groupAtRisk"] == "Nobody."
    assert "the gap is too wide" in considered["fairnessAssessments"][0]["harms"]


def test_every_component_is_what_the_model_was_made_with() -> None:
    document = sbom((Component("b", "2"), Component("a", "1", "MIT", supplier="A")), small_card())
    assert [c["purl"] for c in document["components"]] == ["pkg:pypi/b@2", "pkg:pypi/a@1"]
    assert document["components"][1]["licenses"] == [{"expression": "MIT"}]
    assert document["dependencies"] == [
        {"ref": "model:small@7", "dependsOn": ["pkg:pypi/a@1", "pkg:pypi/b@2"]}
    ]


def test_the_same_facts_give_the_same_bill_and_time_is_told_only_if_given() -> None:
    components = (Component("plain", "1.0"),)
    assert json.dumps(sbom(components, small_card())) == json.dumps(sbom(components, small_card()))
    number, time = "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79", "2024-07-01T00:00:00Z"
    told = sbom(components, serial_number=number, timestamp=time)
    assert (told["serialNumber"], told["metadata"]["timestamp"]) == (number, time)
    assert problems(told) is None
    untold = sbom(components)
    assert "serialNumber" not in untold
    assert "timestamp" not in untold["metadata"]
