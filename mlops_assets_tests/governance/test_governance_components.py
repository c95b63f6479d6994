"""The gate on components: denied licences and known vulnerabilities, on environments as pip leaves them."""

import json
from collections.abc import Callable
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import MlopsError
from mlops_assets.governance.components import Component, inventory, measure_components
from mlops_assets.specs.gate_rules import ComponentRules
from mlops_assets.specs.policy import RISKS
from mlops_assets.specs.policy_file import load_policy
from mlops_assets.verdict import judge

Install = Callable[..., Path]

ISC = "ISC License\n\nPermission to use, copy, modify, and/or distribute this software for any purpose"


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """Return what installs a distribution's metadata into a folder, as an installer would."""

    def install(name: str, version: str, *headers: str, folder: str = "site", **files: str) -> Path:
        place = tmp_path / folder / f"{name}-{version}.dist-info"
        place.mkdir(parents=True)
        lines = ["Metadata-Version: 2.4", f"Name: {name}", f"Version: {version}", *headers]
        (place / "METADATA").write_text("\n".join(lines) + "\n\nA readme: with a colon.\n")
        for file, text in files.items():
            (place / "licenses").mkdir(exist_ok=True)
            (place / "licenses" / file).write_text(text)
        return place.parent

    return install


def rules(**changes: Any) -> ComponentRules:
    demanded = load_policy().tiers["high"].gates.components
    return ComponentRules.model_validate({**demanded.model_dump(), **changes})


def measured(components: tuple[Component, ...], demanded: ComponentRules, folder: Path = Path()) -> Any:
    return judge(measure_components(components, demanded, folder), demanded)


def test_the_inventory_names_what_is_installed(install: Install) -> None:
    place = install(
        "Paper_Less", "1.0+cpu", "License-Expression: MIT", "Author-email: A B <a@b.example>, c@d.example"
    )
    install("zebra", "2", "License: BSD", "License-File: LICENSE", LICENSE=ISC)
    paper, zebra = inventory(str(place))
    assert (paper.name, paper.version, paper.licence, paper.supplier) == (
        "paper-less",
        "1.0+cpu",
        "MIT",
        "A B",
    )
    assert paper.purl == "pkg:pypi/paper-less@1.0%2Bcpu"
    assert (zebra.licence, zebra.told) == ("ISC", "BSD")


def test_of_two_with_one_name_that_which_is_imported_counts(install: Install) -> None:
    first, second = install("twice", "1.0", folder="first"), install("Twice", "2.0", folder="second")
    assert [c.version for c in inventory(str(first), str(second))] == ["1.0"]
    assert [c.version for c in inventory(str(second), str(first))] == ["2.0"]


def test_what_is_left_of_a_removed_distribution_is_no_component(install: Install, tmp_path: Path) -> None:
    place = install("whole", "1.0")
    (place / "-gone-1.0.dist-info").mkdir()
    (place / "empty-1.0.dist-info").mkdir()
    (place / "empty-1.0.dist-info" / "METADATA").write_text("")
    assert [component.name for component in inventory(str(place))] == ["whole"]


def test_the_inventory_of_this_environment_is_complete() -> None:
    found = {component.name: component for component in inventory()}
    assert found["numpy"].version == version("numpy")
    assert "BSD-3-Clause" in (found["numpy"].licence or "")
    assert len(found) == len(
        {d.metadata["Name"].lower().replace("_", "-").replace(".", "-") for d in distributions()}
    )
    # Of nearly all the licence can be told; those of which it can't are found and named.
    assert sum(component.licence is None for component in found.values()) < 0.05 * len(found)


@pytest.mark.parametrize("risk", RISKS)
def test_this_environment_passes_the_platforms_own_policy(risk: Any) -> None:
    verdict = measured(inventory(), load_policy().tiers[risk].gates.components)
    assert verdict.passed, verdict.summary


def test_a_denied_licence_is_named_with_its_component() -> None:
    components = (
        Component("free", "1.0", "MIT OR AGPL-3.0-only"),
        Component("paperless", "1.2", "MIT AND AGPL-3.0-or-later"),
        Component("plain", "2.0", "MIT"),
    )
    verdict = measured(components, rules())
    assert not verdict.passed
    assert verdict.summary == "components under a denied licence 1, paperless 1.2 breaks ≤ 0"
    (finding,) = verdict.measurement.findings
    assert finding == {
        "component": "paperless",
        "version": "1.2",
        "problem": "denied licence",
        "licence": "MIT AND AGPL-3.0-or-later",
    }


def test_an_unknown_licence_is_told_and_does_not_refuse() -> None:
    verdict = measured((Component("odd", "1.0", None, "Ask us"),), rules())
    assert verdict.passed
    assert verdict.measurement.findings[0]["licence"] == "Ask us"
    assert "1 under an unknown one" in verdict.summary


def advisories(folder: Path, *fixed: str) -> None:
    record = {
        "id": "PYSEC-1",
        "modified": "2024-05-06T00:00:00Z",
        "summary": "It burns.",
        "affected": [
            {
                "package": {"ecosystem": "PyPI", "name": "paper.less"},
                "ranges": [
                    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, *({"fixed": f} for f in fixed)]}
                ],
            }
        ],
    }
    (folder / "osv.json").write_text(json.dumps([record]))


def test_a_known_vulnerability_is_named_with_what_mends_it(tmp_path: Path) -> None:
    advisories(tmp_path, "1.3")
    demanded = rules(advisories="osv.json", max_vulnerable=0)
    components = (Component("paper-less", "1.2", "MIT"), Component("plain", "1.0", "MIT"))
    verdict = measured(components, demanded, tmp_path)
    assert verdict.summary == "components with a known vulnerability 1, paper-less 1.2 breaks ≤ 0"
    (finding,) = verdict.measurement.findings
    assert (finding["component"], finding["advisory"], finding["fixed_in"]) == (
        "paper-less",
        "PYSEC-1",
        "1.3",
    )
    assert verdict.measurement.facts["advisories"]["newest"] == "2024-05-06"

    mended = measured((Component("paper-less", "1.3", "MIT"),), demanded, tmp_path)
    assert mended.passed
    assert (
        "0 with a known vulnerability, looked up in 1 advisories, the newest of 2024-05-06" in mended.summary
    )


def test_a_file_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    demanded = rules(advisories="osv.json", max_vulnerable=0)
    components = (Component("paper-less", "1.2", "MIT"),)
    advisories(tmp_path, "1.3")
    assert not measured(components, demanded, tmp_path).passed
    advisories(tmp_path, "1.0", "1.1")
    assert measured(components, demanded, tmp_path).passed


def test_a_policy_that_forbids_vulnerabilities_and_names_no_file_refuses() -> None:
    verdict = measured((Component("plain", "1.0", "MIT"),), rules(max_vulnerable=0))
    assert not verdict.passed
    assert "the policy names no file in gates.components.advisories" in verdict.summary


def test_a_file_that_the_policy_names_and_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MlopsError, match=r"osv\.json: cannot be used .* put OSV's records"):
        measured((), rules(advisories="osv.json", max_vulnerable=0), tmp_path)
