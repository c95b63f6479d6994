"""A release: the platform's signed word that one version is to serve, and on what it rests.

The alias ``champion`` can be moved by anyone who may write to the registry, so by itself it says nothing. A
version serves as champion only with a release that names it, and only while no later release names
another: so an alias that was moved by hand, be it to a version that once served, changes nothing.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import ClassVar, Literal

from mlops_assets.governance.approvals import ApprovalState, SignedDecision, judge_approvals
from mlops_assets.governance.drill import Drill, drill_objections
from mlops_assets.governance.evidence import Evidence, GateRecord, Objection
from mlops_assets.governance.rollout_proof import RolloutProof, rollout_objections
from mlops_assets.governance.statement import Sealed
from mlops_assets.specs.approver import Approver
from mlops_assets.specs.gate_rules import AT_THE_ENDPOINT
from mlops_assets.specs.policy import ApprovalRules, Rules
from mlops_assets.verdict import judge


class Release(Sealed):
    """What was decided about a model's endpoint.

    Attributes:
        model: Model name.
        version: The version that is to serve.
        candidate: Digest of its package.
        evidence: Digest of the evidence it rests on.
        mlflow_run: The MLflow run that holds both, also when the version is gone from the registry.
        serial: Grows from each of the model's releases to the next; the greatest is the one that holds.
        action: Whether it is a way forward or back.
        replaced: The version that served before, if any.
        endpoint: What the gates on the endpoint measured.
        at: When, naive UTC.
        actor: Who asked for it.
        reason: Why.
        run: The Dagster run, if it was one.
        approvals: What people decided about it.
        approved_at: When those decisions were counted, for a way back that keeps them.
        lapsed_until: Until when evidence that has lapsed since still counts: a way back must not be shut
            because the version that was proven has grown old.
        rollout: What it has shown on its way; None if it served at once.
        way_back: The version that the one replaced had replaced; None if there is none.
        drill: How the last rehearsal of that way went; None if there was none.
        renews: Serial of the release by which the version came to serve, if this one only renews it.
    """

    kind: ClassVar[str] = "release/1"

    model: str
    version: str
    candidate: str
    evidence: str
    mlflow_run: str
    serial: int
    action: Literal["promote", "rollback"]
    replaced: str | None
    endpoint: tuple[GateRecord, ...]
    at: datetime
    actor: str
    reason: str = ""
    run: str = ""
    approvals: tuple[SignedDecision, ...] = ()
    approved_at: datetime | None = None
    lapsed_until: datetime | None = None
    rollout: RolloutProof | None = None
    renews: int | None = None
    way_back: str | None = None
    drill: Drill | None = None

    @property
    def moved(self) -> int:
        """Serial of the release by which the version came to serve."""
        return self.serial if self.renews is None else self.renews


def release_objections(
    release: Release,
    evidence: Evidence,
    *,
    model: str,
    version: str,
    candidate: str,
    mlflow_run: str,
    rules: Rules,
    approvers: Sequence[Approver],
    on_trial: bool = False,
) -> Iterator[Objection]:
    """Yield why a release does not let a version serve.

    Args:
        release: A release whose signature was verified.
        evidence: The evidence at hand, verified.
        model: The model that is to be served.
        version: The version that is to serve.
        candidate: Digest of the package at hand.
        mlflow_run: The MLflow run that the version is of.
        rules: What the policy demands today.
        approvers: Who may approve, by today's policy.
        on_trial: Whether the version is on its way only, and cannot have shown yet what it is to show there.
    """
    names = {
        "model": model,
        "version": version,
        "candidate": candidate,
        "evidence": evidence.digest,
        "mlflow_run": mlflow_run,
    }
    for name, expected in names.items():
        if (found := getattr(release, name)) != expected:
            said = f"the release is for {name} {found[:12]}, not {expected[:12]}"
            yield Objection("other_candidate", said)
            return
    for gate in AT_THE_ENDPOINT:
        if rules.gates.of(gate).required:
            yield from _at_the_endpoint(gate, release, rules)
    state = approval_state(release.approvals, release, evidence, rules, approvers)
    if not state.approved:
        yield Objection("not_approved", f"it is not approved: {state.summary}")
    if release.action == "promote" and release.renews is None:
        max_age = evidence.rules.drills.max_age
        yield from drill_objections(release.drill, release.model, release.way_back, max_age, release.at)
    forward = release.action == "promote" and release.replaced is not None and release.renews is None
    if forward and not on_trial:
        consent = consent_asked(evidence, rules).needed > 0
        yield from rollout_objections(release.rollout, evidence.rules.rollout, consent=consent)


def approval_state(
    decisions: Sequence[SignedDecision],
    release: Release,
    evidence: Evidence,
    rules: Rules,
    approvers: Sequence[Approver],
) -> ApprovalState:
    """Return what people decided about a release, as of the time it was made."""
    asked = consent_asked(evidence, rules)
    return judge_approvals(
        decisions,
        model=release.model,
        version=release.version,
        candidate=release.candidate,
        evidence=release.evidence,
        approvers=approvers,
        needed=asked.needed,
        authors=evidence.authors,
        now=release.approved_at or release.at,
        from_teams=asked.teams,
        lifetime=asked.timeout,
    )


def consent_asked(evidence: Evidence, rules: Rules) -> ApprovalRules:
    """Return whose consent a version needs: today's policy says so, or its evidence if that asked for more.

    Evidence asks for more than the policy of its risk where a model's risk was lowered: then it is for those
    who had a say so far, and not for the teams that see to the lower one.
    """
    today, then = rules.approvals, evidence.rules.approvals
    asked, other = (then, today) if then.needed > today.needed else (today, then)
    return asked.model_copy(update={"teams": asked.teams or other.teams})


def _at_the_endpoint(gate: str, release: Release, rules: Rules) -> Iterator[Objection]:
    records = [record for record in release.endpoint if record.gate == gate]
    if not records:
        yield Objection("missing_gate", f"gate {gate} did not judge before the release")
    elif len(records) > 1:
        yield Objection("duplicate_gate", f"gate {gate} judged {len(records)} times in one release")
    elif (records[0].model, records[0].subject) != (release.model, release.candidate):
        yield Objection("other_candidate", f"gate {gate} judged another candidate")
    elif not (verdict := judge(records[0].measurement, rules.gates.of(gate))).passed:
        yield Objection("failed_gate", f"gate {gate} refused {release.candidate[:12]}: {verdict.summary}")
