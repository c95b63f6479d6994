"""What the environment is made of: the gate on its components' licences and known vulnerabilities."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlops_assets.governance.advisories import Advisories, Advisory, read_advisories
from mlops_assets.governance.licences import licence
from mlops_assets.specs.gate_rules import ComponentRules
from mlops_assets.specs.spdx import is_denied
from mlops_assets.verdict import Figure, Finding, Measurement

_MOST_FINDINGS = 50


@dataclass(frozen=True, order=True)
class Component:
    """An installed distribution.

    Attributes:
        name: Its name, normalized as package indexes do.
        version: Its version.
        licence: SPDX licence expression; None where its metadata leave the licence open.
        told: What its metadata say of the licence in their own words, at most a line.
        supplier: Who made it, if it says so.
    """

    name: str
    version: str
    licence: str | None = None
    told: str = ""
    supplier: str = ""

    @property
    def purl(self) -> str:
        """Its package URL, by which vulnerability databases and bills of materials know it."""
        return f"pkg:pypi/{self.name}@{quote(self.version, safe='')}"


@cache
def inventory(*folders: str) -> tuple[Component, ...]:
    """Return the components of an environment by name; of several with one name that which is imported.

    Args:
        *folders: Where its distributions lie; everything this process can import if none is given.
    """
    found: dict[str, Component] = {}
    for distribution in distributions(path=list(folders)) if folders else distributions():
        component = _component(distribution)
        if component is not None:
            found.setdefault(component.name, component)
    return tuple(sorted(found.values(), key=lambda component: component.name))


def _component(distribution: Distribution) -> Component | None:
    """Return a distribution as a component; None for what is left of one that was not fully removed."""
    from packaging.utils import canonicalize_name

    try:
        said: Any = distribution.metadata
    except FileNotFoundError:  # so says the importlib_metadata package, if it is there
        return None
    if not said or not said.get("Name") or not said.get("Version"):
        return None
    field = (said.get("License") or "").strip()
    classifiers = [
        value.removeprefix("License :: ")
        for value in said.get_all("Classifier") or ()
        if value.startswith("License :: ")
    ]
    expression = said.get("License-Expression") or ""
    texts = (_text(distribution, file) for file in said.get_all("License-File") or ())
    return Component(
        name=canonicalize_name(said["Name"]),
        version=said["Version"],
        licence=licence(expression, field, classifiers, texts),
        told=(expression or field or ", ".join(classifiers)).partition("\n")[0][:100],
        supplier=_supplier(said),
    )


def _text(distribution: Distribution, file: str) -> str:
    """Return a licence file's text; it lies in ``licenses/`` since PEP 639 and beside the rest before."""
    for place in (f"licenses/{file}", file):
        try:
            if text := distribution.read_text(place):
                return text
        except (OSError, UnicodeDecodeError):
            continue
    return ""


def _supplier(said: Any) -> str:
    """Return who made a component, without addresses."""
    # get() and not [], which the importlib_metadata package, if it is there, answers with a KeyError.
    found = (said.get(field) for field in ("Author", "Author-email", "Maintainer", "Maintainer-email"))
    told = next(filter(None, found), "")
    names = [re.sub(r"<[^>]*>|\S+@\S+", "", name).strip(' "') for name in told.split(",")]
    return ", ".join(dict.fromkeys(name for name in names if name))


def measure_components(components: Sequence[Component], rules: ComponentRules, folder: Path) -> Measurement:
    """Measure which components no one may use: denied licences, known vulnerabilities.

    Args:
        components: The environment's components.
        rules: What the policy demands.
        folder: The policy's folder, which the file of advisories is relative to.

    Raises:
        SpecError: The file of advisories cannot be read.
    """
    denied = [c for c in components if c.licence and is_denied(c.licence, rules.denied_licences)]
    unknown = [c for c in components if not c.licence]
    advisories = read_advisories(folder / rules.advisories) if rules.advisories else None
    known = {c: found for c in components if advisories and (found := advisories.of(c.name, c.version))}
    findings = [
        *(_denied(component) for component in denied),
        *(_vulnerable(c, advisory) for c, found in known.items() for advisory in found),
        *(_unknown(component) for component in unknown),
    ]
    return Measurement(
        gate="components",
        summary=_summary(components, denied, list(known), unknown, advisories),
        figures=(
            Figure(name="components under a denied licence", value=len(denied), limit="max_denied",
                   note=_names(denied)),
            _vulnerability_figure(list(known), advisories),
            Figure(name="components whose licence is unknown", value=len(unknown)),
            Figure(name="components", value=len(components)),
        ),
        findings=tuple(findings[:_MOST_FINDINGS]),
        facts={"advisories": advisories.facts()} if advisories else {},
    )  # fmt: skip


def _vulnerability_figure(known: Sequence[Component], advisories: Advisories | None) -> Figure:
    name = "components with a known vulnerability"
    if advisories is None:
        note = "unknown, because the policy names no file in gates.components.advisories"
        return Figure(name=name, value=None, limit="max_vulnerable", note=note)
    return Figure(name=name, value=len(known), limit="max_vulnerable", note=_names(known))


def _denied(component: Component) -> Finding:
    return {
        "component": component.name,
        "version": component.version,
        "problem": "denied licence",
        "licence": component.licence,
    }


def _vulnerable(component: Component, advisory: Advisory) -> Finding:
    return {
        "component": component.name,
        "version": component.version,
        "problem": "known vulnerability",
        "advisory": advisory.id,
        "aliases": ", ".join(advisory.aliases),
        "severity": advisory.severity,
        "fixed_in": advisory.fixed_in or "no fixed version yet",
        "says": advisory.summary,
    }


def _unknown(component: Component) -> Finding:
    return {
        "component": component.name,
        "version": component.version,
        "problem": "unknown licence",
        "licence": component.told or "not told",
    }


def _summary(
    components: Sequence[Component],
    denied: Sequence[Component],
    vulnerable: Sequence[Component],
    unknown: Sequence[Component],
    advisories: Advisories | None,
) -> str:
    if advisories is None:
        safety = "their vulnerabilities were not looked up, for lack of a file of advisories"
    else:
        known = advisories.facts()
        safety = (
            f"{len(vulnerable)} with a known vulnerability{_listed(vulnerable)}, "
            f"looked up in {known['count']:,} advisories, the newest of {known['newest']}"
        )
    return (
        f"{len(components)} components: {len(denied)} under a denied licence{_listed(denied)}, "
        f"{len(unknown)} under an unknown one; {safety}"
    )


def _listed(components: Sequence[Component]) -> str:
    return f" ({_names(components)})" if components else ""


def _names(components: Iterable[Component]) -> str:
    names = [f"{c.name} {c.version}" for c in components]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
