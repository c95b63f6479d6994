"""Where our evidence answers what two frameworks ask for: the EU's AI Act and NIST's AI RMF.

The table tells, for each point, under which heading of the model card and in which file of the audit pack
an answer stands, and what nobody but the provider can add. It is a guide to the evidence, not legal advice.

Sources: Regulation (EU) 2024/1689 (Artificial Intelligence Act), Annex IV, "Technical documentation referred
to in Article 11(1)", OJ L, 2024/1689, 12.7.2024. National Institute of Standards and Technology, "Artificial
Intelligence Risk Management Framework (AI RMF 1.0)", NIST AI 100-1 (2023), tables 1 to 4,
https://doi.org/10.6028/NIST.AI.100-1.
"""

# ruff: noqa: E501  (tables: one point a line)

from dataclasses import dataclass
from typing import Literal

Framework = Literal["EU AI Act", "NIST AI RMF"]
Heading = Literal[
    "Purpose",
    "Limits",
    "People concerned",
    "Residual risks",
    "Data",
    "Training",
    "Performance",
    "Performance by group",
    "Gates",
    "Approvals",
    "Operation",
    "Versions",
]
Evidence = Literal[
    "spec", "policy", "data sheet", "model card", "bill of materials", "verdicts", "approvals", "manifest",
    "audit chain", "lineage", "monitoring reports", "prediction log",
]  # fmt: skip


@dataclass(frozen=True)
class Point:
    """What a framework asks for, and where we answer.

    Attributes:
        framework: Which one.
        place: The point's number there.
        asks: What it asks for, in short and in our words.
        headings: Headings of the model card under which an answer stands.
        evidence: Parts of the audit pack that prove it.
        provider: What the provider has to add, because no system can know it; empty if nothing.
    """

    framework: Framework
    place: str
    asks: str
    headings: tuple[Heading, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    provider: str = ""


def _act(
    place: str,
    asks: str,
    headings: tuple[Heading, ...] = (),
    evidence: tuple[Evidence, ...] = (),
    provider: str = "",
) -> Point:
    return Point("EU AI Act", f"Annex IV {place}", asks, headings, evidence, provider)


def _rmf(
    place: str, asks: str, headings: tuple[Heading, ...], evidence: tuple[Evidence, ...], provider: str = ""
) -> Point:
    return Point("NIST AI RMF", place, asks, headings, evidence, provider)


_HARDWARE = "the hardware and the surrounding systems of the deployment"
_OVERSIGHT = "who oversees single decisions, and how they intervene"

ANNEX_IV = (
    _act("1(a)", "Purpose, provider, version and its relation to earlier ones", ("Purpose", "Versions"), ("spec", "model card", "audit chain"), "the provider's legal name"),
    _act("1(b)", "Interaction with hardware and software around it", ("Operation",), ("manifest",), _HARDWARE),
    _act("1(c)", "Versions of software, requirements of updates", ("Training", "Versions"), ("bill of materials", "manifest")),
    _act("1(d)", "Forms in which it is put into service", ("Operation",), ("manifest",), "forms other than the gateway's endpoint"),
    _act("1(e)", "Hardware it is meant to run on", (), (), _HARDWARE),
    _act("1(f)", "Pictures of products that it is a component of", (), (), "pictures, if it is part of a product"),
    _act("1(g)", "User interface for the deployer", (), (), "the user interface of the application that asks it"),
    _act("1(h)", "Instructions for use for the deployer", ("Purpose", "Limits"), ("model card",), "instructions for use in the application"),
    _act("2(a)", "Methods and steps of development, third parties' tools", ("Training",), ("spec", "bill of materials", "lineage", "audit chain")),
    _act("2(b)", "Logic, design choices, assumptions, what is optimised for", ("Purpose", "Training", "Limits"), ("spec", "model card"), "why this approach and not another"),
    _act("2(c)", "Architecture, computational resources", ("Training",), ("spec", "manifest"), _HARDWARE),
    _act("2(d)", "Data: provenance, scope, characteristics, selection, labelling, cleaning", ("Data",), ("data sheet", "verdicts", "lineage"), "how people were chosen and labels were made before the source"),
    _act("2(e)", "Assessment of human oversight", ("Approvals",), ("approvals",), _OVERSIGHT),
    _act("2(f)", "Changes determined beforehand, and how compliance is kept", ("Operation",), ("spec", "policy", "audit chain")),
    _act("2(g)", "Validation and testing: data, metrics, discrimination, signed test reports", ("Performance", "Performance by group", "Gates"), ("verdicts", "data sheet", "approvals")),
    _act("2(h)", "Cybersecurity measures", ("Gates", "Versions"), ("manifest", "bill of materials", "verdicts"), "security of the network and of the identity provider"),
    _act("3", "Capabilities, limits, accuracy for groups, unintended outcomes, oversight, input data", ("Limits", "People concerned", "Residual risks", "Performance", "Performance by group", "Data"), ("model card", "data sheet", "verdicts"), _OVERSIGHT),
    _act("4", "Why the performance metrics are appropriate", ("Performance", "Gates"), ("spec", "policy"), "why this metric stands for the purpose"),
    _act("5", "Risk management system (Article 9)", ("Residual risks", "Gates"), ("policy", "verdicts"), "the organisation's risk management"),
    _act("6", "Relevant changes through the lifecycle", ("Versions",), ("audit chain",)),
    _act("7", "Harmonised standards applied", (), (), "the list of standards"),
    _act("8", "EU declaration of conformity", (), (), "the declaration (Article 47)"),
    _act("9", "Post-market monitoring (Article 72)", ("Operation",), ("spec", "policy", "monitoring reports", "prediction log")),
)  # fmt: skip

AI_RMF = (
    _rmf("GOVERN 1.3", "Effort of risk management follows risk", ("Purpose", "Gates"), ("policy", "spec")),
    _rmf("GOVERN 1.6", "Inventory of AI systems", ("Versions",), ("audit chain",)),
    _rmf("GOVERN 2.1", "Roles and responsibilities", ("Purpose", "Approvals"), ("spec", "approvals")),
    _rmf("GOVERN 6.1", "Risks of third parties' software and data", ("Training", "Data"), ("bill of materials", "verdicts")),
    _rmf("MAP 1.1", "Purpose, context, users, expectations", ("Purpose", "People concerned"), ("spec", "model card")),
    _rmf("MAP 2.1", "Task and methods", ("Purpose", "Training"), ("spec", "manifest")),
    _rmf("MAP 2.2", "Limits of knowledge, use and oversight of the output", ("Limits",), ("model card",), _OVERSIGHT),
    _rmf("MAP 2.3", "Scientific integrity: data, design of tests", ("Data", "Performance"), ("data sheet", "verdicts")),
    _rmf("MAP 3.5", "Human oversight", ("Approvals",), ("approvals", "policy"), _OVERSIGHT),
    _rmf("MAP 4.1", "Legal risks of components", ("Training", "Gates"), ("bill of materials", "verdicts")),
    _rmf("MAP 5.1", "Likelihood and magnitude of impacts", ("People concerned", "Residual risks"), ("model card",), "how likely and how bad the impacts are"),
    _rmf("MEASURE 1.1", "Metrics chosen for the most significant risks", ("Performance", "Gates"), ("spec", "policy")),
    _rmf("MEASURE 2.1", "Test sets, metrics, tools", ("Performance", "Data"), ("data sheet", "verdicts")),
    _rmf("MEASURE 2.3", "Performance under conditions like those of use", ("Performance",), ("verdicts",)),
    _rmf("MEASURE 2.4", "Behaviour in production", ("Operation",), ("monitoring reports", "prediction log")),
    _rmf("MEASURE 2.5", "Valid and reliable; limits of generalisation", ("Performance", "Limits"), ("verdicts", "model card")),
    _rmf("MEASURE 2.7", "Security and resilience", ("Gates",), ("verdicts", "manifest")),
    _rmf("MEASURE 2.8", "Transparency and accountability", ("Approvals", "Versions"), ("audit chain", "approvals")),
    _rmf("MEASURE 2.9", "Explained, validated, documented", ("Training", "Gates"), ("verdicts", "model card")),
    _rmf("MEASURE 2.10", "Privacy", ("Data",), ("data sheet",), "the legal ground for personal data"),
    _rmf("MEASURE 2.11", "Fairness and bias", ("Performance by group", "People concerned"), ("verdicts",)),
    _rmf("MANAGE 1.1", "Decision whether to go on", ("Gates", "Approvals"), ("verdicts", "approvals")),
    _rmf("MANAGE 1.4", "Residual risks are documented", ("Residual risks",), ("model card",)),
    _rmf("MANAGE 2.4", "Ways to take it out of service", ("Operation",), ("audit chain",)),
    _rmf("MANAGE 3.1", "Third parties' resources are watched", ("Training",), ("bill of materials", "verdicts")),
    _rmf("MANAGE 4.1", "Plan of monitoring after deployment", ("Operation",), ("spec", "monitoring reports")),
)  # fmt: skip

SOURCES: dict[Framework, str] = {
    "EU AI Act": "Regulation (EU) 2024/1689, Annex IV, OJ L, 2024/1689, 12.7.2024",
    "NIST AI RMF": "NIST AI 100-1, AI Risk Management Framework (AI RMF 1.0), January 2023",
}
POINTS = (*ANNEX_IV, *AI_RMF)


def references(heading: Heading) -> str:
    """Return the points that a heading of the model card answers, as a line under it."""
    told = []
    for framework, points in (("EU AI Act", ANNEX_IV), ("NIST AI RMF", AI_RMF)):
        if places := [point.place for point in points if heading in point.headings]:
            told.append(f"{framework} {_shortened(places)}")
    return " · ".join(told)


def _shortened(places: list[str]) -> str:
    """Return places with what they begin with said once: "MAP 1.1, 2.1"."""
    told, before = [], ""
    for place in places:
        start = place.rpartition(" ")[0] + " "
        told.append(place.removeprefix(start) if start == before else place)
        before = start
    return ", ".join(told)
