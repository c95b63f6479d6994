"""The one place that changes what serves: it asks for the evidence, signs the release, moves the alias.

Every way into production goes through here, and each leaves an entry in the audit chain: those that succeed
and those that are refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.evidence import Evidence, GateRecord, Objection
from mlops_assets.governance.release import Release
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
from mlops_assets.registry.releases import latest_releases
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.policy import Rules

# A version that was proven and served may serve again that long although its evidence has lapsed since.
_GRACE = timedelta(days=7)

_EPOCH = datetime(1970, 1, 1)


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

    def champion(self, model: str) -> ModelVersion | None:
        """Return the version that serves by right, which need not be the one the alias names.

        Nor need the registry still have it: whoever deletes a version, or registers another one under its
        number, does not make the next candidate the first of its model.
        """
        release = self.release(model)
        if release is None:
            return None
        found = self._registered(release)
        if found is not None:
            return found
        tags = {CANDIDATE_TAG: release.candidate, EVIDENCE_TAG: release.evidence}
        return ModelVersion(model, release.version, release.candidate, release.mlflow_run, tags)

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
        made: list[Release] = []
        try:
            evidence = self._evidence(version, rules)
            self._require_whole_record(version, evidence, rules)

            def release(to: ModelVersion, replaced: str | None) -> str:
                new = Release(
                    model=to.model,
                    version=to.version,
                    candidate=to.candidate,
                    evidence=evidence.digest,
                    mlflow_run=to.run_id,
                    serial=self._next_serial(to.model),
                    action="promote",
                    replaced=replaced,
                    endpoint=tuple(endpoint),
                    at=utc_now(),
                    actor=actor,
                    reason=reason,
                    run=run,
                    approvals=tuple(self.decisions.of(to)),
                )
                made.append(new)
                return self._sealed(new, to, evidence, rules)

            held = self.release(version.model)
            current = self._registered(held)
            if held and current and current.version == version.version and held.evidence != evidence.digest:
                move = renew(self.registry, current, held.replaced, release)
            else:
                move = promote(self.registry, version, current, release)
        except Refused as error:
            self._refuse(version, error, actor, run)
            raise
        if made:
            self._enter(made[-1], previous=move.previous)
        elif held is not None and (entered := self._entered(held.model)) != held:
            # A kill kept it from being entered when it was made.
            self._enter(held, previous=entered.version if entered else None)
        return move

    def roll_back(self, model: str, to: str | None, *, actor: str, reason: str) -> Move:
        """Make a version that served before the champion again.

        Raises:
            Refused: It never served, or not with the package it has now, or somebody rejected it since.
            RegistryError: There is no way back, or the registry cannot be reached.
        """
        made: list[Release] = []

        def release(target: ModelVersion, replaced: str | None) -> str:
            earlier = read_release(target, self.verifier)
            if earlier is None:
                said = Objection("missing_evidence", "it was never released, so there is no way back to it")
                raise Refused(f"{model} version {target.version}", (said,))
            evidence = read_evidence(self.registry, target, self.verifier, earlier.evidence)
            # What people said since counts as well: somebody may have found out what it does.
            if (state := self.decisions.state(target, evidence, evidence.rules)).rejected:
                raise refused(target, "not_approved", f"it was {state.summary}")
            now = utc_now()
            new = earlier.model_copy(
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
            made.append(new)
            return self._sealed(new, target, evidence, evidence.rules)

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
        """Return a serial greater than any before, even if the registry and the audit chain forgot them."""
        entered = self._entered(model)
        carried = (carried_release(v, self.verifier) for v in self.registry.versions(model))
        latest = max((r.serial for r in (entered, *carried) if r is not None), default=0)
        return max(latest + 1, int((utc_now() - _EPOCH).total_seconds()))

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
        if not max(rules.approvals.needed, evidence.rules.approvals.needed):
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
