"""A policy replayed over the evidence of the live fleet: who would no longer pass, before it is merged.

Nothing is measured again. Every figure is in the evidence, so the very functions that the gateway asks hold
it against another policy as well as against today's.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from mlops_assets.governance.approvals import ApprovalState
from mlops_assets.governance.evidence import Evidence, Objection
from mlops_assets.registry.authority import Authority
from mlops_assets.registry.port import CHALLENGER, ModelVersion
from mlops_assets.registry.proof import (
    Refused,
    carried_release,
    read_evidence,
    require_good,
    require_release,
)
from mlops_assets.registry.releases import MOVES
from mlops_assets.specs.policy import Risk
from mlops_assets.specs.policy_file import Policy

Role = Literal["champion", "pending", "challenger"]
Outcome = Literal["stops", "fails", "starts", "passes"]


@dataclass(frozen=True)
class Live:
    """A version that serves by right, waits for its promotion, or is on trial."""

    version: ModelVersion
    role: Role


@dataclass(frozen=True)
class Standing:
    """How a live version stands under today's policy and under a new one.

    Attributes:
        live: The version.
        risk: Its model's risk; None if its evidence cannot be read.
        today: Why it may not go on under today's policy; empty if it may.
        new: Why it could not under the new one.
    """

    live: Live
    risk: Risk | None
    today: tuple[Objection, ...]
    new: tuple[Objection, ...]

    @property
    def outcome(self) -> Outcome:
        """Whether it would stop passing, fails already, would start to pass, or passes as before."""
        if self.new:
            return "fails" if self.today else "stops"
        return "starts" if self.today else "passes"


def live_versions(authority: Authority) -> Iterator[Live]:
    """Yield the versions that a change of policy is about, each once.

    That is each model's champion by right, what was registered last and has not served yet, and what is on
    trial.

    Raises:
        RegistryError: The registry cannot be reached.
    """
    registered = authority.audit.newest_by_model(("register",))
    moved = authority.audit.newest_by_model(MOVES)
    for model, known in sorted(authority.registry.models().items()):
        entry, move = registered.get(model), moved.get(model)
        is_pending = entry is not None and (move is None or move.seq < entry.seq)
        waiting = str(entry.detail["version"]) if entry is not None and is_pending else None
        seen: set[str] = set()
        found: tuple[tuple[Role, ModelVersion | None], ...] = (
            ("champion", authority.champion(model)),
            ("pending", authority.registry.version(model, waiting) if waiting else None),
            (
                "challenger",
                authority.registry.by_alias(model, CHALLENGER) if CHALLENGER in known.aliases else None,
            ),
        )
        for role, version in found:
            if version is not None and version.version not in seen:
                seen.add(version.version)
                yield Live(version, role)


def replay(authority: Authority, today: Policy, new: Policy, now: datetime) -> Iterator[Standing]:
    """Yield how each live version stands under two policies.

    Args:
        authority: Tells what is live, and where its evidence is.
        today: The policy that holds.
        new: The policy that is to hold.
        now: The present, naive UTC.

    Raises:
        RegistryError: The registry cannot be reached.
    """
    for live in live_versions(authority):
        version, verifier = live.version, authority.verifier
        try:
            release = carried_release(version, verifier)
            named = release.evidence if release else None
            evidence = read_evidence(authority.registry, version, verifier, named)
        except Refused as error:  # which no policy changes
            yield Standing(live, None, error.objections, error.objections)
            continue
        found = (_objections(live, evidence, policy, today, authority, now) for policy in (today, new))
        yield Standing(live, evidence.risk, *found)


def _objections(
    live: Live, evidence: Evidence, policy: Policy, today: Policy, authority: Authority, now: datetime
) -> tuple[Objection, ...]:
    version, verifier, rules = live.version, authority.verifier, policy.tiers[evidence.risk]
    candidate = version.candidate
    found = _refusals(lambda: require_good(evidence, version, candidate, verifier, rules, now))
    match live.role:
        case "champion":
            found += _refusals(
                lambda: require_release(version, candidate, evidence, verifier, rules, policy.approvers)
            )
        case "pending":
            found += _unapproved(version, evidence, policy, today, authority)
    return found


def _refusals(check: Callable[[], object]) -> tuple[Objection, ...]:
    """Return what a check objects to."""
    try:
        check()
    except Refused as error:
        return error.objections
    return ()


def _unapproved(
    version: ModelVersion, evidence: Evidence, policy: Policy, today: Policy, authority: Authority
) -> tuple[Objection, ...]:
    """Return that a version lacks approvals, unless it waits for people today as well, as it should."""

    def state(under: Policy) -> ApprovalState:
        decisions = replace(authority.decisions, policy=under)
        return decisions.state(version, evidence, under.tiers[evidence.risk])

    if state(policy).approved or not state(today).approved:
        return ()
    return (Objection("not_approved", f"it is not approved: {state(policy).summary}"),)
