"""The evidence of a candidate: what every gate measured, about what, under which rules, signed.

Nothing is registered, deployed or served without it. Whoever relies on it does not believe that a gate
passed: the figures in the record are held against the limits again, those of its own time and those of
today's policy. So a policy that has become stricter counts from the moment it is merged, and nothing has to
be measured again where the figures are good enough.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import ValidationError

from mlops_assets import digests
from mlops_assets.errors import EvidenceError
from mlops_assets.governance.statement import Sealed, Statement
from mlops_assets.specs.gate_rules import EVIDENT, GateRules
from mlops_assets.specs.policy import Risk, Rules
from mlops_assets.specs.strictness import loosenings
from mlops_assets.verdict import Measurement, Verdict, judge

_OF_ITS_DAY = ("champion_comparison", "feature_verification")
_CLOCKS_DIFFER = timedelta(minutes=5)
# Rules that say what is demanded, but are no limits: figures are the same whatever they say.
_DEMANDS = ("required", "weighs_expectation")

Kind = Literal[
    "missing_evidence",
    "bad_signature",
    "other_candidate",
    "expired",
    "missing_gate",
    "duplicate_gate",
    "failed_gate",
    "not_a_number",
    "other_policy",
    "not_approved",
    "out_of_band",
]


@dataclass(frozen=True)
class Objection:
    """Why something may not go on.

    Attributes:
        kind: What sort of reason it is.
        message: The reason, in words.
    """

    kind: Kind
    message: str

    def __str__(self) -> str:
        return self.message


class Subject(Statement):
    """What the evidence is about, each thing by the digest of its content.

    Attributes:
        model: Model name.
        candidate: The packaged model's manifest, and through it every byte in the package.
        data: The snapshot it learnt from.
        features: The feature table made of it.
        feature_code: The code that made the features.
        code: The code that trained it.
        environment: Every installed distribution's version.
        spec: The spec, whole.
        recipe: All that determines the candidate.
    """

    model: str
    candidate: str
    data: str
    features: str
    feature_code: str
    code: str
    environment: str
    spec: str
    recipe: str

    def judged_by(self, gate: str) -> str:
        """Return the digest of what a gate judges."""
        return {
            "data_contract": self.data,
            "feature_verification": learnt_from(self.data, self.features),
            "label_noise": learnt_from(self.data, self.features),
        }.get(gate, self.candidate)


def learnt_from(data: str, features: str) -> str:
    """Return the digest of what a model learns from: its features, and its target, which is in the data."""
    return digests.of_json([data, features])


class GateRecord(Sealed):
    """What one gate measured about one subject, and under which rules.

    Attributes:
        model: Model name.
        subject: Digest of what was judged.
        spec: Digest of the spec as it stood: it says what a contract, a group or a metric is.
        measurement: What was measured.
        rules: The gate's rules as they stood, by name.
        at: When, naive UTC.
        run: The Dagster run.
        by: Who started that run, by all names they are known by.
    """

    kind: ClassVar[str] = "gate/1"

    model: str
    subject: str
    spec: str
    measurement: Measurement
    rules: dict[str, Any]
    at: datetime
    run: str = ""
    by: tuple[str, ...] = ()

    @property
    def gate(self) -> str:
        """Name of the gate."""
        return self.measurement.gate

    def own_rules(self, gate_rules: GateRules) -> GateRules:
        """Return the rules it was measured under, as those of its gate.

        Raises:
            EvidenceError: They are no rules of that gate.
        """
        try:
            return type(gate_rules).model_validate(self.rules)
        except ValidationError as error:
            raise EvidenceError(f"gate {self.gate} was judged under rules of another form") from error


class Evidence(Sealed):
    """All that speaks for one candidate.

    Attributes:
        subject: What it is about.
        risk: The spec's risk, which decides what the policy demands.
        owner: Who answers for the model.
        authors: By whom its code and spec were written, and who ran it.
        rules: What was demanded: the policy of that risk as the spec tightened it.
        gates: The gates' records.
        made_at: When it was signed, naive UTC.
        spec: The spec, whole.
        facts: What else an auditor asks for: windows, times, the commit, the MLflow and Dagster runs.
    """

    kind: ClassVar[str] = "evidence/1"

    subject: Subject
    risk: Risk
    owner: str
    authors: tuple[str, ...]
    rules: Rules
    gates: tuple[GateRecord, ...]
    made_at: datetime
    spec: dict[str, Any] = {}
    facts: dict[str, str] = {}

    @property
    def policy(self) -> str:
        """The digest of what was demanded."""
        return rules_digest(self.rules)

    def expires_at(self, rules: Rules) -> datetime:
        """Return until when it holds: it is as old as the oldest of what was measured.

        What compares with the champion of its day is left out, which is never measured again.
        """
        measured = [record.at for record in self.gates if record.gate not in _OF_ITS_DAY]
        lifetime = min(self.rules.evidence.lifetime, rules.evidence.lifetime)
        return min([self.made_at, *measured]) + lifetime

    def record(self, gate: str) -> GateRecord | None:
        """Return a gate's record, if there is one."""
        return next((record for record in self.gates if record.gate == gate), None)

    def verdicts(self) -> dict[str, Verdict]:
        """Return each gate's verdict under the rules of its time."""
        found = {}
        for record in self.gates:
            found[record.gate] = judge(record.measurement, self.rules.gates.of(record.gate))
        return found


def rules_digest(rules: Rules) -> str:
    """Return the digest of all that is demanded of a model."""
    return digests.of_json(rules.model_dump(mode="json"))


def objections(
    evidence: Evidence, candidate: str, model: str, rules: Rules, now: datetime
) -> list[Objection]:
    """Return why a candidate may not go on; empty if it may.

    Args:
        evidence: Evidence whose signature was verified.
        candidate: Digest of the package at hand.
        model: Name of the model it is to be a version of.
        rules: What the policy demands of it today.
        now: The present, naive UTC.
    """
    subject = evidence.subject
    if (subject.model, subject.candidate) != (model, candidate):
        said = (
            f"the evidence is of {subject.model} candidate {subject.candidate[:12]}, not of "
            f"{model} candidate {candidate[:12]}"
        )
        return [Objection("other_candidate", said)]
    return [*_age(evidence, rules, now), *gate_objections(evidence.gates, subject, evidence.rules, rules)]


def _age(evidence: Evidence, rules: Rules, now: datetime) -> Iterator[Objection]:
    until = evidence.expires_at(rules)
    if now > until:
        yield Objection("expired", f"the evidence expired on {until:%Y-%m-%d}; run the lifecycle again")
    elif evidence.made_at > now + _CLOCKS_DIFFER:
        yield Objection("expired", f"the evidence is dated in the future ({evidence.made_at})")


def gate_objections(
    records: tuple[GateRecord, ...], subject: Subject, then: Rules, today: Rules
) -> Iterator[Objection]:
    """Yield an objection for every required gate that does not vouch for its subject.

    Args:
        records: The gates' records.
        subject: What they have to be about.
        then: What was demanded when they were made.
        today: What is demanded today.
    """
    counts = Counter(record.gate for record in records)
    by_gate = {record.gate: record for record in records}
    for gate in EVIDENT:
        if not (today.gates.of(gate).required or then.gates.of(gate).required):
            continue
        expected = subject.judged_by(gate)
        if not counts[gate]:
            yield Objection("missing_gate", f"gate {gate} has not judged {expected[:12]}")
        elif counts[gate] > 1:
            yield Objection("duplicate_gate", f"gate {gate} judged {counts[gate]} times in one record")
        else:
            record = by_gate[gate]
            if (record.model, record.subject) != (subject.model, expected):
                said = f"gate {gate} judged {record.model} {record.subject[:12]}, not {expected[:12]}"
                yield Objection("other_candidate", said)
            else:
                yield from _judged_again(record, then, today)


def _judged_again(record: GateRecord, then: Rules, today: Rules) -> Iterator[Objection]:
    gate, subject = record.gate, record.subject[:12]
    own = judge(record.measurement, then.gates.of(gate))
    if not own.passed:
        numbers = all("is not a number" in breach.says for breach in own.breaches)
        kind: Kind = "not_a_number" if numbers else "failed_gate"
        yield Objection(kind, f"gate {gate} refused {subject}: {own.summary}")
        return
    try:
        loosened = list(loosenings(today.gates.of(gate), record.own_rules(today.gates.of(gate))))
    except EvidenceError as error:
        yield Objection("other_policy", f"{error}; evaluate again")
        return
    limits = today.gates.of(gate).limits()
    measured_otherwise = [x for x in loosened if x.path[0] not in limits and x.path[0] not in _DEMANDS]
    if measured_otherwise:
        told = ", ".join(f"{'.'.join(x.path)} {x.given}, not {x.demanded}" for x in measured_otherwise)
        yield Objection(
            "other_policy", f"gate {gate} measured under a looser policy ({told}); evaluate again"
        )
        return
    now = judge(record.measurement, today.gates.of(gate))
    if not now.passed:
        yield Objection(
            "other_policy", f"gate {gate} passed {subject} under a policy looser than today's: {now.summary}"
        )
