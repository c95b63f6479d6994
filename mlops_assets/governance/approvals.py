"""Human decisions on a release: signed by a person, and judged against who may decide.

A decision names what it is about by digest, so an approval of one candidate is none of the next. A judgement
says of every decision whether it counts and, if not, why not.

What the rules take into account:

- **A claimed time.** ``at`` is the signer's word, so a stolen key could date its signature back. Once a key
  is revoked nothing it signed counts, for or against a new release, whatever its date. ``valid_until`` is for
  a planned change of keys: what was decided before still counts.
- **Stopping is open to all.** An approval counts only from somebody who is no author, is in one of the
  teams, and gave it recently. A rejection counts from every approver and does not grow old; it stands until
  the same person approves.
- **A list without gaps.** A signature proves what was said and not that nothing was left out. Whoever stores
  decisions must keep them from being taken away; that is the audit chain's work.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from mlops_assets.digests import canonical_json
from mlops_assets.errors import ApprovalError
from mlops_assets.governance import ssh_signatures
from mlops_assets.specs.approver import Approver, Word, distinct, folded
from mlops_assets.specs.durations import UtcTime, format_duration, naive_utc
from mlops_assets.specs.ssh_public_key import fingerprint

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

CLOCK_SKEW = timedelta(minutes=5)
"""How far the signer's clock may be ahead of ours."""


class Decision(BaseModel):
    """What a person decided.

    Attributes:
        model: Model name.
        version: Registry version.
        candidate: Digest of the model's package.
        evidence: Digest of the evidence that was looked at.
        decision: What was decided.
        reason: Why, in the person's words.
        at: When, by the signer's clock; naive UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Word
    version: Word
    candidate: Word
    evidence: Word
    decision: Literal["approve", "reject"]
    reason: Word
    at: UtcTime

    @property
    def content(self) -> bytes:
        """The bytes that are signed: canonical JSON."""
        return canonical_json(self.model_dump(mode="json"))


class SignedDecision(BaseModel):
    """A decision, the fingerprint of the key that signed it, and the SSHSIG signature over its content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    decision: Decision
    key: Annotated[str, StringConstraints(pattern=r"^SHA256:[A-Za-z0-9+/]{43}$")]
    signature: str

    @classmethod
    def from_json(cls, text: str | bytes) -> "SignedDecision":
        """Return the decision that ``model_dump_json`` wrote; its signature is not checked here.

        Raises:
            ApprovalError: The text is no signed decision.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(map(str, first["loc"])) or "the record"
            raise ApprovalError(f"not a signed decision: {where}: {first['msg']}") from None


class ApprovalState(BaseModel):
    """What the decisions on a release amount to.

    Attributes:
        approved: Whether it may go on.
        rejected: Whether somebody stopped it.
        given: How many persons' approvals count.
        needed: How many are needed.
        counted: The decisions that count: approvals, and rejections that stand.
        approved_by: Names of those whose approvals count.
        rejected_by: Names of those whose rejections stand.
        objections: For each decision that does not count, a sentence that says why.
        summary: One sentence for a person.
    """

    model_config = ConfigDict(frozen=True)

    approved: bool
    rejected: bool
    given: int
    needed: int
    counted: tuple[SignedDecision, ...]
    approved_by: tuple[str, ...]
    rejected_by: tuple[str, ...]
    objections: tuple[str, ...]
    summary: str


def sign_decision(decision: Decision, key: "Ed25519PrivateKey") -> SignedDecision:
    """Return ``decision`` signed with a person's key."""
    return SignedDecision(
        decision=decision,
        key=fingerprint(ssh_signatures.public_line(key)),
        signature=ssh_signatures.sign(key, decision.content),
    )


def judge_approvals(
    decisions: Sequence[SignedDecision],
    *,
    model: str,
    version: str,
    candidate: str,
    evidence: str,
    approvers: Sequence[Approver],
    needed: int,
    authors: Collection[str],
    now: datetime,
    from_teams: Collection[str] = (),
    lifetime: timedelta | None = None,
) -> ApprovalState:
    """Decide whether a release is approved; neither order nor repetition of ``decisions`` matters.

    Args:
        decisions: All that were filed, for whatever release.
        model: Model name.
        version: Registry version.
        candidate: Digest of the package to be released.
        evidence: Digest of its evidence.
        approvers: Who may decide.
        needed: How many different persons must approve; none if zero.
        authors: Names and addresses of those who made the release, who cannot approve it.
        now: When it is released, UTC. A release of the past is judged as of its own time.
        from_teams: Only approvals from members of one of these count; everybody's if empty.
        lifetime: How long an approval holds; for ever if None.

    Raises:
        ApprovalError: The list of approvers leaves open who is who.
    """
    try:
        by_key = {approver.fingerprint: approver for approver in distinct(approvers)}
    except ValueError as error:
        raise ApprovalError(f"the approvers cannot be told apart: {error}") from error
    subject = {"model": model, "version": version, "candidate": candidate, "evidence": evidence}
    now, written = naive_utc(now), frozenset(map(folded, authors))
    made_it = {approver.person for approver in approvers if approver.known_as & written}

    objections: list[str] = []
    latest: dict[str, tuple[Approver, SignedDecision]] = {}
    for signed in sorted(set(decisions), key=_order):
        approver = by_key.get(signed.key)
        if approver is None:
            objections.append(f"{signed.key}: no approver has this key")
        elif problem := _problem(signed, approver, subject, now):
            objections.append(f"{_named(approver, signed)}: {problem}")
        else:
            if earlier := latest.get(approver.person):
                objections.append(f"{_named(*earlier)}: the same person decided again later")
            latest[approver.person] = approver, signed

    approvals: list[tuple[Approver, SignedDecision]] = []
    rejections: list[tuple[Approver, SignedDecision]] = []
    for approver, signed in latest.values():
        if signed.decision.decision == "reject":
            rejections.append((approver, signed))
        elif approver.person in made_it:
            objections.append(f"{_named(approver, signed)}: an author cannot approve their own work")
        elif from_teams and not set(approver.teams) & set(from_teams):
            objections.append(f"{_named(approver, signed)}: not in {_either(from_teams)}")
        elif lifetime is not None and now - signed.decision.at > lifetime:
            objections.append(f"{_named(approver, signed)}: older than {format_duration(lifetime)}")
        else:
            approvals.append((approver, signed))

    given = len(approvals)
    return ApprovalState(
        approved=given >= needed and not rejections,
        rejected=bool(rejections),
        given=given,
        needed=needed,
        counted=tuple(signed for _, signed in (*approvals, *rejections)),
        approved_by=tuple(approver.name for approver, _ in approvals),
        rejected_by=tuple(approver.name for approver, _ in rejections),
        objections=tuple(objections),
        summary=_summary(approvals, rejections, needed, from_teams),
    )


def _problem(
    signed: SignedDecision, approver: Approver, subject: dict[str, str], now: datetime
) -> str | None:
    """Return why a decision says nothing about this release, or None if it does."""
    decision = signed.decision
    day = decision.at.date()
    # A rejection is of the package: new evidence or another number in the registry takes it back for nobody.
    about = ("model", "candidate") if decision.decision == "reject" else tuple(subject)
    for name in about:
        if getattr(decision, name) != subject[name]:
            return f"about another {name}"
    if not ssh_signatures.verify(signed.signature, decision.content, approver.key):
        return "the signature does not belong to what was decided"
    if approver.revoked_on and approver.revoked_on <= now.date():
        return f"the key was revoked on {approver.revoked_on}, and nothing signed with it counts since"
    if approver.valid_from and day < approver.valid_from:
        return f"the key was not valid before {approver.valid_from}"
    if approver.valid_until and day > approver.valid_until:
        return f"the key expired on {approver.valid_until}"
    if decision.at > now + CLOCK_SKEW:
        return "dated in the future"
    return None


def _order(signed: SignedDecision) -> tuple[datetime, bool, str]:
    """Place the latest last, and of one moment a rejection."""
    decision = signed.decision
    return decision.at, decision.decision == "reject", signed.model_dump_json()


def _named(approver: Approver, signed: SignedDecision) -> str:
    what = "approval" if signed.decision.decision == "approve" else "rejection"
    return f"{what} by {approver.name} at {signed.decision.at.isoformat()}Z"


def _summary(
    approvals: list[tuple[Approver, SignedDecision]],
    rejections: list[tuple[Approver, SignedDecision]],
    needed: int,
    from_teams: Collection[str],
) -> str:
    if rejections:
        said = (f"{who.name} ({' '.join(signed.decision.reason.split())})" for who, signed in rejections)
        return f"rejected by {', '.join(said)}"
    if needed <= 0:
        return "no approval is needed"
    count = f"{len(approvals)} of {needed} approval{'s' if needed > 1 else ''}"
    if (missing := needed - len(approvals)) > 0:
        of_whom = f" from {_either(from_teams)}" if from_teams else ""
        return f"{count}; waiting for {'one' if missing == 1 else missing} more{of_whom}"
    return f"{count}: {', '.join(approver.name for approver, _ in approvals)}"


def _either(teams: Collection[str]) -> str:
    return " or ".join(sorted(teams))
