"""Evidence for tests: what gates would have measured of a candidate that just keeps every limit."""

from datetime import datetime, timedelta
from typing import Any

from mlops_assets.governance.evidence import Evidence, GateRecord, Subject
from mlops_assets.governance.release import Release
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.gate_rules import AT_THE_ENDPOINT, EVIDENT
from mlops_assets.specs.policy import DrillRules, Risk, Rules
from mlops_assets.specs.policy_file import load_policy
from mlops_assets.verdict import Figure, Measurement

CANDIDATE = "c" * 64


def rules_of(risk: Risk = "limited", *, at_once: bool = True, **gates: dict[str, Any]) -> Rules:
    """Return what the platform's own policy demands, with some gates' rules changed.

    A version serves at once, also at high risk, unless otherwise asked: rollouts and drills have tests of
    their own.
    """
    rules = load_policy().tiers[risk]
    if at_once:
        immediate = rules.rollout.model_copy(update={"strategy": "immediate", "shadow": timedelta(0)})
        rules = rules.model_copy(update={"rollout": immediate, "drills": DrillRules(max_age=None)})
    changed = {g: rules.gates.of(g).model_copy(update=update) for g, update in gates.items()}
    return rules.model_copy(update={"gates": rules.gates.model_copy(update=changed)})


def subject_of(model: str = "small", candidate: str = CANDIDATE, **changes: str) -> Subject:
    """Return a subject whose digests are told apart by their first letter."""
    named = {
        name: name[0] * 64 for name in Subject.model_fields if name not in ("model", "candidate", *changes)
    }
    return Subject(model=model, candidate=candidate, **{**named, **changes})


def record_of(
    gate: str, subject: Subject, rules: Rules, at: datetime | None = None, **figures: float | None
) -> GateRecord:
    """Return a gate's record with a figure at every limit, or as given."""
    limits = {name: value for name, (_, value) in rules.gates.of(gate).limits().items()}
    measurement = Measurement(
        gate=gate,
        summary=f"{gate} says so",
        figures=tuple(
            Figure(name=name, value=value, limit=name) for name, value in {**limits, **figures}.items()
        ),
        facts={"champion": None} if gate == "champion_comparison" else {},
    )
    return GateRecord(
        model=subject.model,
        subject=subject.judged_by(gate),
        spec=subject.spec,
        measurement=measurement,
        rules=rules.gates.of(gate).model_dump(mode="json"),
        at=at or utc_now(),
    )


def evidence_of(
    subject: Subject | None = None, rules: Rules | None = None, risk: Risk = "limited", **changes: Any
) -> Evidence:
    """Return evidence in which every gate vouches for a subject."""
    subject, rules = subject or subject_of(), rules or rules_of(risk)
    value: dict[str, Any] = {
        "subject": subject,
        "risk": risk,
        "owner": "team:tests",
        "authors": (),
        "rules": rules,
        "gates": tuple(record_of(gate, subject, rules) for gate in EVIDENT),
        "made_at": utc_now(),
    }
    return Evidence(**{**value, **changes})


def release_of(evidence: Evidence, version: str = "1", serial: int = 1, **changes: Any) -> Release:
    """Return a release of a candidate, whose endpoint was found in order."""
    subject, rules = evidence.subject, evidence.rules
    value: dict[str, Any] = {
        "model": subject.model,
        "version": version,
        "candidate": subject.candidate,
        "evidence": evidence.digest,
        "mlflow_run": evidence.facts.get("mlflow_run", "run"),
        "serial": serial,
        "action": "promote",
        "replaced": None,
        "endpoint": tuple(record_of(gate, subject, rules) for gate in AT_THE_ENDPOINT),
        "at": utc_now(),
        "actor": "tests",
    }
    return Release(**{**value, **changes})
