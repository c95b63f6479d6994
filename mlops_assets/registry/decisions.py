"""What people decided about versions: filed in the audit chain, counted by today's policy."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from mlops_assets.errors import ApprovalError
from mlops_assets.governance.approvals import ApprovalState, SignedDecision, judge_approvals
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.audit_entry import Entry
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.release import consent_asked
from mlops_assets.governance.signatures import Verifier
from mlops_assets.registry.port import ModelVersion, Registry
from mlops_assets.registry.proof import read_evidence
from mlops_assets.registry.releases import MOVES
from mlops_assets.specs.approver import Approver
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.policy import Rules
from mlops_assets.specs.policy_file import Policy

DECISIONS = ("approve", "reject")


@dataclass(frozen=True)
class Decisions:
    """Files decisions, and tells what they amount to.

    Args:
        registry: Where versions are.
        verifier: The platform's public key.
        audit: Where decisions are kept, from which nobody can take one away unnoticed.
        policy: Today's policy.
    """

    registry: Registry
    verifier: Verifier
    audit: AuditChain
    policy: Policy

    def of(self, version: ModelVersion) -> list[SignedDecision]:
        """Return what people decided about a version or its package, oldest first."""
        found = (_signed(e) for e in self.audit.entries(version.model) if e.action in DECISIONS)
        return [
            signed
            for signed in found
            if signed is not None
            and (signed.decision.version == version.version or signed.decision.candidate == version.candidate)
        ]

    def state(self, version: ModelVersion, evidence: Evidence, rules: Rules) -> ApprovalState:
        """Return whether a version may go on, as far as people have to say so."""
        decisions = self.of(version)
        return _state(decisions, version, evidence, rules, self.policy.approvers)

    def file(self, signed: SignedDecision) -> ApprovalState:
        """File a decision, and return what all decisions about its version amount to now.

        Raises:
            ApprovalError: It would not count: there is no such version, it is about something else, or
                whoever signed it may not decide.
            Refused: The version has no evidence to decide on.
        """
        decision = signed.decision
        version = self.registry.version(decision.model, decision.version)
        if version is None:
            raise ApprovalError(f"{decision.model} has no version {decision.version}")
        evidence = read_evidence(self.registry, version, self.verifier)
        rules = self.policy.tiers[evidence.risk]
        alone = _state([signed], version, evidence, rules, self.policy.approvers)
        approver = next((a for a in self.policy.approvers if a.fingerprint == signed.key), None)
        if approver is None or signed not in alone.counted:
            said = "; ".join(alone.objections) or "it does not count"
            self._enter("refuse", signed, approver.name if approver else signed.key, said)
            raise ApprovalError(f"the decision on {decision.model} version {decision.version}: {said}")
        self._enter(decision.decision, signed, approver.name, decision.reason)
        return self.state(version, evidence, rules)

    def _enter(self, action: str, signed: SignedDecision, actor: str, reason: str) -> None:
        decision = signed.decision
        self.audit.append(
            action,
            decision.model,
            actor=actor,
            reason=reason,
            evidence=decision.evidence,
            version=decision.version,
            signed=signed.model_dump(mode="json"),
        )

    def pending(self) -> Iterator[tuple[ModelVersion, ApprovalState]]:
        """Yield the versions that wait for people: the newest registered one of each model."""
        moved = self.audit.newest_by_model(MOVES)
        for model, entry in self.audit.newest_by_model(("register",)).items():
            if not entry.detail.get("approvals_needed"):
                continue
            if model in moved and moved[model].seq > entry.seq:
                continue
            version = self.registry.version(model, str(entry.detail.get("version")))
            if version is None:
                continue
            evidence = read_evidence(self.registry, version, self.verifier)
            yield version, self.state(version, evidence, self.policy.tiers[evidence.risk])


def _signed(entry: Entry) -> SignedDecision | None:
    """Return what an entry holds, or None if somebody made it unreadable; that is for the verification."""
    try:
        return SignedDecision.model_validate(entry.detail.get("signed"))
    except ValidationError:
        return None


def _state(
    decisions: Sequence[SignedDecision],
    version: ModelVersion,
    evidence: Evidence,
    rules: Rules,
    approvers: Sequence[Approver],
) -> ApprovalState:
    now, asked = utc_now(), consent_asked(evidence, rules)
    state = judge_approvals(
        decisions,
        model=version.model,
        version=version.version,
        candidate=evidence.subject.candidate,
        evidence=evidence.digest,
        approvers=approvers,
        needed=asked.needed,
        authors=evidence.authors,
        now=now,
        from_teams=asked.teams,
        lifetime=asked.timeout,
    )
    until = evidence.made_at + asked.timeout
    if state.approved or state.rejected or now <= until:
        return state
    said = f"{state.summary}, but its time ran out on {until:%Y-%m-%d}; register a new candidate"
    return state.model_copy(update={"summary": said})
