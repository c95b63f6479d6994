"""The one place that changes what serves: it asks for the evidence, signs the release, moves the alias.

Every way into production goes through here, and each leaves an entry in the audit chain: those that succeed
and those that are refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from mlops_assets.errors import EvidenceError
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.audit_entry import Entry
from mlops_assets.governance.evidence import Evidence, GateRecord, Objection
from mlops_assets.governance.release import Release
from mlops_assets.governance.signatures import Signer, Verifier
from mlops_assets.registry.decisions import Decisions
from mlops_assets.registry.port import CHAMPION, RELEASE_TAG, ModelVersion, Registry
from mlops_assets.registry.promotion import MakeRelease, Move, promote, roll_back
from mlops_assets.registry.proof import (
    Refused,
    read_evidence,
    read_release,
    require_evidence,
    require_release,
)
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.policy import Rules

MOVES = ("promote", "rollback")

# A version that was proven and served may serve again that long although its evidence has lapsed since.
_GRACE = timedelta(days=7)


def release_in(entry: Entry | None, verifier: Verifier) -> Release | None:
    """Return the release that an audit entry holds, if the platform signed it.

    So whoever may write to the audit database can make nobody champion.
    """
    try:
        release = Release.unsealed(str(entry.detail.get("release")), verifier) if entry else None
    except EvidenceError:
        return None
    return release if entry and release and release.model == entry.model else None


@dataclass(frozen=True)
class Authority:
    """Promotes and rolls back.

    Args:
        registry: Where versions and aliases are.
        verifier: The platform's public key, all that is needed to tell who serves by right.
        audit: Where every change is entered.
        signer: Gives the platform key, when something is to be changed.
        decisions: What people decided.
    """

    registry: Registry
    verifier: Verifier
    audit: AuditChain
    signer: Callable[[], Signer]
    decisions: Decisions

    def champion(self, model: str) -> ModelVersion | None:
        """Return the version that serves by right, which need not be the one the alias names.

        The alias counts if its version carries a release no older than the newest move on record; a newer
        one was made by a promotion that was killed before it was entered. Otherwise the alias was moved by
        hand, and what the audit chain says holds.
        """
        entered = release_in(self.audit.newest(model, MOVES), self.verifier)
        named = self.registry.by_alias(model, CHAMPION)
        if named is not None:
            carried = self._serial(named)
            if carried >= (entered.serial if entered else 1):
                return named
        return self.registry.version(model, entered.version) if entered else None

    def promote(
        self,
        version: ModelVersion,
        rules: Rules,
        endpoint: Sequence[GateRecord],
        *,
        actor: str,
        run: str = "",
        reason: str = "",
    ) -> Move:
        """Make a version the champion.

        Args:
            version: The version, registered.
            rules: What is demanded of it today.
            endpoint: What the gates on the endpoint measured.
            actor: Who asked for it.
            run: The Dagster run.
            reason: Why.

        Raises:
            Refused: Its evidence does not allow it.
            RegistryError: The registry cannot be reached or refuses.
        """
        try:
            evidence = self._evidence(version, rules)

            def release(to: ModelVersion, replaced: str | None) -> str:
                made = Release(
                    model=to.model,
                    version=to.version,
                    candidate=to.candidate,
                    evidence=evidence.digest,
                    serial=self._next_serial(to.model),
                    action="promote",
                    replaced=replaced,
                    endpoint=tuple(endpoint),
                    at=utc_now(),
                    actor=actor,
                    reason=reason,
                    run=run,
                    approvals=tuple(self.decisions.of(to.model, to.version)),
                )
                return self._sealed(made, to, evidence, rules)

            champion = self.champion(version.model)
            if champion is not None and champion.version == version.version:
                self._renew(champion, evidence, release)
            move = promote(self.registry, version, champion, release)
        except Refused as error:
            self._refuse(version, error, actor, run)
            raise
        self._enter("promote", move, evidence, actor=actor, reason=reason, run=run)
        return move

    def roll_back(self, model: str, to: str | None, *, actor: str, reason: str) -> Move:
        """Make a version that served before the champion again.

        Raises:
            Refused: It never served, or not with the package it has now.
            RegistryError: There is no way back, or the registry cannot be reached.
        """
        found: list[Evidence] = []

        def release(target: ModelVersion, replaced: str | None) -> str:
            earlier = read_release(target, self.verifier)
            if earlier is None:
                said = Objection("missing_evidence", "it was never released, so there is no way back to it")
                raise Refused(f"{model} version {target.version}", (said,))
            evidence = read_evidence(self.registry, target, self.verifier, earlier.evidence)
            now = utc_now()
            made = earlier.model_copy(
                update={
                    "serial": self._next_serial(model),
                    "action": "rollback",
                    "replaced": replaced,
                    "at": now,
                    "approved_at": earlier.approved_at or earlier.at,
                    "actor": actor,
                    "reason": reason,
                    "run": "",
                    "lapsed_until": now + _GRACE,
                }
            )
            found.append(evidence)
            return self._sealed(made, target, evidence, evidence.rules)

        try:
            move = roll_back(self.registry, model, to, self.champion(model), release)
        except Refused as error:
            target = self.registry.version(model, to) if to else None
            self._refuse(target or ModelVersion(model, to or "", "", ""), error, actor, "")
            raise
        if move.moved:
            self._enter("rollback", move, found[0], actor=actor, reason=reason)
        return move

    def _renew(self, champion: ModelVersion, evidence: Evidence, release: MakeRelease) -> None:
        """Release the champion once more if its evidence is another than it was released on."""
        carried = read_release(champion, self.verifier)
        if carried is not None and carried.evidence != evidence.digest:
            signed = release(champion, carried.replaced)
            self.registry.set_tag(champion.model, champion.version, RELEASE_TAG, signed)

    def _evidence(self, version: ModelVersion, rules: Rules) -> Evidence:
        return require_evidence(
            self.registry, version, version.candidate, self.verifier, lambda _: rules, utc_now()
        )

    def _sealed(self, release: Release, to: ModelVersion, evidence: Evidence, rules: Rules) -> str:
        """Return the release signed, after reading it as the gateway will."""
        signed = release.sealed(self.signer())
        as_read = replace(to, tags={**to.tags, RELEASE_TAG: signed})
        require_release(
            as_read, to.candidate, evidence, self.verifier, rules, self.decisions.policy.approvers
        )
        return signed

    def _next_serial(self, model: str) -> int:
        entered = release_in(self.audit.newest(model, MOVES), self.verifier)
        carried = map(self._serial, self.registry.versions(model))
        # The chain counts too: whoever deletes a model and registers it anew does not begin at one again.
        return max(entered.serial if entered else 0, *carried, 0) + 1

    def _serial(self, version: ModelVersion) -> int:
        """Return the serial of the release a version carries; 0 if it carries none of ours."""
        try:
            release = read_release(version, self.verifier)
        except Refused:
            return 0
        return release.serial if release is not None else 0

    def _enter(
        self, action: str, move: Move, evidence: Evidence, *, actor: str, reason: str, run: str = ""
    ) -> None:
        """Enter a move, also one that a kill kept from being entered when it was made."""
        champion = self.registry.version(move.model, move.champion)
        entered = release_in(self.audit.newest(move.model, MOVES), self.verifier)
        if entered is not None and champion is not None and entered.serial == self._serial(champion):
            return
        self.audit.append(
            action,
            move.model,
            actor=actor,
            reason=reason,
            evidence=evidence.digest,
            version=move.champion,
            previous=move.previous,
            release=champion.tags.get(RELEASE_TAG) if champion else None,
            run=run,
        )

    def _refuse(self, version: ModelVersion, error: Refused, actor: str, run: str) -> None:
        self.audit.append(
            "refuse",
            version.model,
            actor=actor,
            reason=str(error),
            version=version.version,
            kinds=sorted({o.kind for o in error.objections}),
            run=run,
        )
