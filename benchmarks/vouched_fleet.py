"""A home whose registry holds many champions, each with signed evidence and a release, and no package."""

from collections.abc import Iterator

from mlops_assets.actor import os_user
from mlops_assets.digests import of_json
from mlops_assets.governance.evidence import Evidence, GateRecord, Subject
from mlops_assets.registry.port import EVIDENCE_TAG
from mlops_assets.registry.proof import write_evidence
from mlops_assets.resources import Platform
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.gate_rules import AT_THE_ENDPOINT, EVIDENT
from mlops_assets.specs.policy import Risk, Rules
from mlops_assets.specs.policy_file import Policy
from mlops_assets.verdict import Figure, Measurement

_RISKS: tuple[Risk, ...] = ("minimal", "limited")
# As many as the larger gates file, so that evidence is as long as it is in earnest.
_FINDINGS = 20


def promote_champions(platform: Platform, policy: Policy, models: int) -> None:
    """Register and promote version 1 of that many models, as the platform does it."""
    registry = platform.registry
    for number in range(models):
        risk = _RISKS[number % len(_RISKS)]
        rules = policy.tiers[risk]
        subject = _subject(f"model_{number:04d}")
        run = registry.client.create_run(registry.experiment(subject.model)).info.run_id
        evidence = Evidence(
            subject=subject,
            risk=risk,
            owner="team:bench",
            authors=("bench@example.org",),
            rules=rules,
            gates=tuple(_records(EVIDENT, subject, rules)),
            made_at=utc_now(),
        )
        write_evidence(registry, run, evidence, platform.signer)
        version = registry.register(subject.model, run, subject.candidate, {EVIDENCE_TAG: evidence.digest})
        endpoint = list(_records(AT_THE_ENDPOINT, subject, rules))
        platform.authority.promote(version, rules, endpoint, actor=os_user())


def _subject(model: str) -> Subject:
    parts = [name for name in Subject.model_fields if name != "model"]
    return Subject(model=model, **{name: of_json([model, name]) for name in parts})


def _records(gates: tuple[str, ...], subject: Subject, rules: Rules) -> Iterator[GateRecord]:
    """Yield what each gate would have filed of a candidate that just keeps every limit."""
    for gate in gates:
        held = rules.gates.of(gate)
        figures = [Figure(name=n, value=limit, limit=n) for n, (_, limit) in held.limits().items()]
        findings = [{"column": f"x{i}", "problem": "as it should be", "value": 0.5} for i in range(_FINDINGS)]
        yield GateRecord(
            model=subject.model,
            subject=subject.judged_by(gate),
            spec=subject.spec,
            measurement=Measurement(
                gate=gate, summary="all limits are kept", figures=tuple(figures), findings=tuple(findings)
            ),
            rules=held.model_dump(mode="json"),
            at=utc_now(),
        )
