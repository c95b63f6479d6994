"""The one place that changes what serves: it asks for the evidence, signs the release, moves the alias.

Every way into production goes through here, and each leaves an entry in the audit chain: those that succeed
and those that are refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mlops_assets.errors import EvidenceError, RegistryError
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.drill import Drill
from mlops_assets.governance.evidence import Evidence, GateRecord
from mlops_assets.governance.release import Release, consent_asked
from mlops_assets.governance.rollout_proof import RolloutProof
from mlops_assets.governance.signatures import Signer, Verifier
from mlops_assets.registry.decisions import Decisions
from mlops_assets.registry.port import (
    CANDIDATE_TAG,
    CHAMPION,
    EVIDENCE_TAG,
    RELEASE_TAG,
    ModelVersion,
    Registry,
)
from mlops_assets.registry.promotion import Move, promote, renew, roll_back
from mlops_assets.registry.proof import (
    Refused,
    carried_release,
    read_evidence,
    read_release,
    refused,
    require_evidence,
    require_release,
)
from mlops_assets.registry.releases import DRILLED, latest_releases
from mlops_assets.registry.serials import next_serial
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.policy import Rules

# A version that was proven and served may serve again that long although its evidence has lapsed since.
_GRACE = timedelta(days=7)


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

    def release(self, model: str) -> Release | None:
        """Return the release that holds, or None if the model was never released.

        That is the latest one in the audit chain, or a later one that the version under the alias carries:
        it was made by a promotion that was killed before it was entered.
        """
        entered = self._entered(model)
        named = self.registry.by_alias(model, CHAMPION)
        carried = carried_release(named, self.verifier) if named else None
        if carried is None or (entered is not None and entered.serial >= carried.serial):
            return entered
        return carried

    def releases(self) -> dict[str, Release]:
        """Return the release of each model that holds, by what was entered: one query for all of them.

        One that was made by a promotion that was killed before it was entered is not among them; see
        :meth:`release`.
        """
        return {name: each.release for name, each in latest_releases(self.audit, self.verifier).items()}

    def champion(self, model: str) -> ModelVersion | None:
        """Return the version that serves by right, which need not be the one the alias names.

        Nor need the registry still have it: whoever deletes a version, or registers another one under its
        number, does not make the next candidate the first of its model. Its evidence is what it was released
        on, and not what its tag names: that may be newer, and then nobody has consented to it yet.
        """
        release = self.release(model)
        if release is None:
            return None
        found = self._registered(release)
        run, tags = release.mlflow_run, found.tags if found else {CANDIDATE_TAG: release.candidate}
        tags = {**tags, EVIDENCE_TAG: release.evidence}
        return ModelVersion(model, release.version, release.candidate, run, tags)

    def promote(
        self,
        version: ModelVersion,
        rules: Rules,
        endpoint: Sequence[GateRecord],
        *,
        actor: str,
        run: str = "",
        reason: str = "",
        rollout: RolloutProof | None = None,
        approved_at: datetime | None = None,
    ) -> Move:
        """Make a version the champion.

        Args:
            version: The version, registered.
            rules: What is demanded of it today.
            endpoint: What the gates on the endpoint measured.
            actor: Who asked for it.
            run: The Dagster run.
            reason: Why.
            rollout: What it has shown on its way; None if it is to serve at once.
            approved_at: When people's decisions were counted, if that was before its way.

        Raises:
            Refused: Its evidence does not allow it, or it has not shown what it had to.
            RegistryError: The registry cannot be reached or refuses.
        """
        held = self.release(version.model)
        current = self._registered(held)
        serves = held is not None and current is not None and current.version == version.version
        made: list[Release] = []
        try:
            evidence = self._evidence(version, rules)
            self._require_whole_record(version, evidence, rules)
            if approved_at is not None:
                self._require_not_rejected(version, evidence)
            self.require_not_taken_back(version)

            def release(to: ModelVersion, replaced: str | None) -> str:
                new = Release(
                    model=to.model,
                    version=to.version,
                    candidate=to.candidate,
                    evidence=evidence.digest,
                    mlflow_run=to.run_id,
                    serial=next_serial(self.registry, self.audit, self.verifier, to.model),
                    action="promote",
                    replaced=replaced,
                    endpoint=tuple(endpoint),
                    at=utc_now(),
                    actor=actor,
                    reason=reason,
                    run=run,
                    approvals=tuple(self.decisions.of(to)),
                    approved_at=approved_at,
                    way_back=held.replaced if held else None,
                    drill=self.last_drill(to.model),
                    rollout=held.rollout if held and serves else rollout,
                    renews=held.moved if held and serves else None,
                )
                made.append(new)
                return self._sealed(new, to, evidence, rules)

            if held and current and serves and held.evidence != evidence.digest:
                move = renew(self.registry, current, held.replaced, release)
            else:
                move = promote(self.registry, version, current, release)
        except Refused as error:
            self._refuse(version, error, actor, run)
            raise
        if made:
            self._enter(made[-1], previous=move.previous)
        else:
            self.complete(version.model)
        return move

    def require_not_taken_back(self, version: ModelVersion) -> None:
        """Refuse a version that a rollback took away: whoever runs its lifecycle again means no return to it.

        Raises:
            Refused: It is the one that the last rollback went away from.
        """
        held = self.release(version.model)
        if held is not None and held.action == "rollback" and held.replaced == version.version:
            said = (
                f"it was taken back on {held.at:%Y-%m-%d} ({held.reason}); to return to it run mlops-assets "
                f"rollback {version.model} --to {version.version}"
            )
            raise refused(version, "not_approved", said)

    def complete(self, model: str) -> None:
        """Enter the release that holds, if a kill kept it from being entered when it was made.

        Raises:
            RegistryError: The registry cannot be reached.
            StorageError: The audit chain cannot be written.
        """
        held, entered = self.release(model), self._entered(model)
        if held is not None and entered != held:
            self._enter(held, previous=entered.version if entered else None)

    def roll_back(self, model: str, to: str | None, *, actor: str, reason: str) -> Move:
        """Make a version that served before the champion again.

        Raises:
            Refused: It never served, or not with the package it has now, or somebody rejected it since.
            RegistryError: There is no way back, or the registry cannot be reached.
        """
        made: list[Release] = []

        def release(target: ModelVersion, replaced: str | None) -> str:
            made.append(self._way_back(target, replaced, actor, reason))
            return self._sealed_way_back(made[-1], target)

        try:
            held = self.release(model)
            # By what was signed: the alias of the way back and its tag can be altered by hand.
            to = to or (held.replaced if held else None)
            move = roll_back(self.registry, model, to, self._registered(held), release)
        except Refused as error:
            target = self.registry.version(model, to) if to else None
            self._refuse(target or ModelVersion(model, to or "", "", ""), error, actor, "")
            raise
        if move.moved:
            self._enter(made[-1], previous=move.previous)
        return move

    def rehearse_roll_back(self, model: str, to: str) -> ModelVersion:
        """Do all of a rollback but what changes anything, and return the version it would have gone to.

        Raises:
            Refused: It may not serve again.
            RegistryError: The version is gone, or the registry cannot be reached.
        """
        target = self.registry.version(model, to)
        if target is None:
            raise RegistryError(f"{model} has no version {to} any more")
        self._sealed_way_back(self._way_back(target, None, "drill", "drill"), target)
        return target

    def last_drill(self, model: str) -> Drill | None:
        """Return a model's last drill that the platform signed, or None."""
        for entry in self.audit.newest_first((DRILLED,), model):
            try:
                drill = Drill.unsealed(str(entry.detail.get("drill")), self.verifier)
            except EvidenceError:
                continue
            if drill.model == model:
                return drill
        return None

    def _way_back(self, target: ModelVersion, replaced: str | None, actor: str, reason: str) -> Release:
        """Return the release by which a version that served before serves again.

        Raises:
            Refused: It never served, or somebody rejected it since.
        """
        earlier = read_release(target, self.verifier)
        if earlier is None:
            said = "it was never released, so there is no way back to it"
            raise refused(target, "missing_evidence", said)
        evidence = read_evidence(self.registry, target, self.verifier, earlier.evidence)
        self._require_not_rejected(target, evidence)
        now = utc_now()
        return earlier.model_copy(
            update={
                "serial": next_serial(self.registry, self.audit, self.verifier, target.model),
                "action": "rollback",
                "replaced": replaced,
                "renews": None,
                "at": now,
                "approved_at": earlier.approved_at or earlier.at,
                "actor": actor,
                "reason": reason,
                "run": "",
                "lapsed_until": now + _GRACE,
            }
        )

    def _require_not_rejected(self, version: ModelVersion, evidence: Evidence) -> None:
        """Have what people said since count as well: somebody may have found out what a version does."""
        if (state := self.decisions.state(version, evidence, evidence.rules)).rejected:
            raise refused(version, "not_approved", f"it was {state.summary}")

    def _sealed_way_back(self, release: Release, target: ModelVersion) -> str:
        evidence = read_evidence(self.registry, target, self.verifier, release.evidence)
        return self._sealed(release, target, evidence, evidence.rules)

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

    def _entered(self, model: str) -> Release | None:
        """Return the latest release in the audit chain."""
        signed = latest_releases(self.audit, self.verifier, model).get(model)
        return signed.release if signed else None

    def _registered(self, release: Release | None) -> ModelVersion | None:
        """Return the version that a release is for, if the registry still has that very one."""
        found = self.registry.version(release.model, release.version) if release else None
        if release is None or found is None:
            return None
        same = (found.run_id, found.candidate) == (release.mlflow_run, release.candidate)
        return found if same else None

    def _require_whole_record(self, version: ModelVersion, evidence: Evidence, rules: Rules) -> None:
        """Refuse what people have to consent to, if somebody may have taken a rejection away.

        Raises:
            Refused: The audit chain is not as it was written.
        """
        if not consent_asked(evidence, rules).needed:
            return
        if findings := self.audit.verify(self.verifier):
            said = (
                f"who consented cannot be told, because the audit chain is not as it was written "
                f"({findings[0]}); run mlops-assets audit --verify"
            )
            raise refused(version, "not_approved", said)

    def _enter(self, release: Release, previous: str | None) -> None:
        self.audit.append(
            release.action,
            release.model,
            actor=release.actor,
            reason=release.reason,
            evidence=release.evidence,
            version=release.version,
            previous=previous,
            serial=release.serial,
            # Signed again, and not as the registry has it: there it may be gone by now.
            release=release.sealed(self.signer()),
            run=release.run,
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
