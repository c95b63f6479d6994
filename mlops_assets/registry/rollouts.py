"""Begin, move on and end rollouts: the challenger's share of the traffic, step by step, signed each time.

A change is made where the gateway looks first: the record becomes a tag of the challenger, and then an entry
in the audit chain. Whoever is killed in between has made the change, and the next look enters it. The last
step's end is a promotion, whose one commit point is the alias ``champion``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlops_assets.errors import RolloutError
from mlops_assets.governance.evidence import GateRecord
from mlops_assets.governance.release import Release
from mlops_assets.governance.rollout_proof import LookedAt, PassedStep, RolloutProof
from mlops_assets.governance.traffic import State, Traffic, Yardsticks
from mlops_assets.registry.port import CHALLENGER, TRAFFIC_TAG, ModelVersion
from mlops_assets.registry.promotion import Move
from mlops_assets.registry.proof import (
    carried_traffic,
    require_evidence,
    require_terms,
)
from mlops_assets.registry.releases import ROLLOUT, latest_traffic
from mlops_assets.registry.rollout_records import RolloutRecords
from mlops_assets.registry.serials import next_serial
from mlops_assets.rollout.plan import Step, steps
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.policy import Rules
from mlops_assets.specs.strictness import loosenings


@dataclass(frozen=True)
class Rollouts(RolloutRecords):
    """The rollouts of all models.

    Args:
        authority: Promotes at the end, and knows registry, audit chain and keys.
    """

    def begin(
        self,
        version: ModelVersion,
        rules: Rules,
        endpoint: Sequence[GateRecord],
        yardsticks: Yardsticks,
        *,
        actor: str,
        run: str = "",
        reason: str = "",
    ) -> Traffic:
        """Have a version begin its rollout, or return the one it is in the middle of.

        Another version's rollout ends with it.

        Args:
            version: The challenger, registered.
            rules: What is demanded of it today.
            endpoint: What the gates on the endpoint measured.
            yardsticks: What outcomes are measured by.
            actor: Who asked for it.
            run: The Dagster run.
            reason: Why.

        Raises:
            RolloutError: There is no champion to compare with, or more is demanded than at its evaluation.
            Refused: Its evidence does not allow it.
            RegistryError: The registry cannot be reached or refuses.
        """
        model, authority = version.model, self.authority
        running = self.mend(model, actor=actor)
        if running is not None and running.challenger == version.version:
            return running
        held = authority.release(model)
        if held is None:
            raise RolloutError(f"{model} has no champion, so there is nothing to compare version "
                               f"{version.version} with")  # fmt: skip
        now = utc_now()
        evidence = require_evidence(
            authority.registry, version, version.candidate, authority.verifier, lambda _: rules, now
        )
        demanded = evidence.rules.rollout
        if stricter := list(loosenings(rules.rollout, demanded)):
            told = ", ".join(".".join(map(str, each.path)) for each in stricter)
            raise RolloutError(
                f"{model} version {version.version} was evaluated when less was demanded of a rollout "
                f"({told}); run the lifecycle again"
            )
        authority.require_not_taken_back(version)
        if running is not None:
            self.end(running, f"version {version.version} takes its place", actor=actor, run=run)
        serial = self._next_serial(model)
        first = steps(demanded)[0]
        terms = Release(
            model=model,
            version=version.version,
            candidate=version.candidate,
            evidence=evidence.digest,
            mlflow_run=version.run_id,
            serial=serial,
            action="promote",
            replaced=held.version,
            endpoint=tuple(endpoint),
            at=now,
            actor=actor,
            reason=reason,
            run=run,
            approvals=tuple(authority.decisions.of(version)),
            way_back=held.replaced,
            drill=authority.last_drill(model),
        )
        traffic = Traffic(
            terms=terms,
            serial=serial,
            rollout=serial,
            state="running",
            step=0,
            percent=first.percent,
            paired=first.paired,
            begun=now,
            step_begun=now,
            # The look that reverts at the deadline may come late; without any look it ends by itself.
            until=now + 2 * demanded.deadline,
            yardsticks=yardsticks,
            at=now,
            actor=actor,
            reason=reason,
            run=run,
        )
        approvers = authority.decisions.policy.approvers
        require_terms(terms, version, version.candidate, evidence, rules, approvers, on_trial=True)
        authority.registry.set_alias(model, CHALLENGER, version.version)
        self._put(traffic)
        return traffic

    def advance(
        self,
        traffic: Traffic,
        looked: Sequence[LookedAt],
        units: Mapping[str, int],
        *,
        actor: str,
        reason: str,
    ) -> Traffic | Move:
        """Have a rollout take its next step; after the last one the version is promoted.

        Args:
            traffic: The record that holds.
            looked: What the guards tell.
            units: Units seen in this step, by arm.
            actor: Who decides.
            reason: Why.

        Returns:
            The record of the next step, or the promotion.

        Raises:
            Refused: What it rests on no longer allows it.
            RegistryError: The registry cannot be reached or refuses.
        """
        plan, now = steps(self.evidence(traffic).rules.rollout), utc_now()
        passed = traffic.passed_with(looked, units, now)
        if traffic.step + 1 >= len(plan):
            return self._finish(traffic, passed, actor, reason)
        following: Step = plan[traffic.step + 1]
        changes = {
            "step": traffic.step + 1,
            "percent": following.percent,
            "paired": following.paired,
            "step_begun": now,
            "passed": passed,
        }
        return self._change(traffic, actor, reason, **changes)

    def hasten(
        self,
        traffic: Traffic,
        looked: Sequence[LookedAt],
        units: Mapping[str, int],
        *,
        actor: str,
        reason: str,
    ) -> Move:
        """Promote a version before it has taken all steps, because a person wants it.

        Raises:
            Refused: Where people have to consent nobody may do that; nor once it is shown to do harm.
            RegistryError: The registry cannot be reached or refuses.
        """
        passed = traffic.passed_with(looked, units, utc_now())
        return self._finish(traffic, passed, actor, reason, hastened=f"{actor}: {reason}")

    def hold(self, traffic: Traffic, *, actor: str, reason: str) -> Traffic:
        """Have a rollout take no further step; it is reverted on harm all the same."""
        return self._set_state(traffic, "held", actor, reason)

    def resume(self, traffic: Traffic, *, actor: str, reason: str) -> Traffic:
        """Have a rollout that was held go on."""
        return self._set_state(traffic, "running", actor, reason)

    def end(
        self, traffic: Traffic, reason: str, *, actor: str, looked: Sequence[LookedAt] = (), run: str = ""
    ) -> Traffic:
        """Have the champion answer everybody again, at once.

        Args:
            traffic: The record that holds.
            reason: Why.
            actor: Who decides.
            looked: What the guards told.
            run: The Dagster run.
        """
        ended = self._change(
            traffic, actor, reason, state="ended", percent=0, paired=False, looked=tuple(looked), run=run
        )
        self._drop_alias(ended)
        return ended

    def mend(self, model: str, *, actor: str) -> Traffic | None:
        """Complete what a kill left half done, and return the record that holds now.

        A rollout whose version was deleted is over: nobody can be sent to it.

        Args:
            model: Model name.
            actor: Who looks.

        Raises:
            RegistryError: The registry cannot be reached or refuses.
        """
        latest = self.latest(model)
        if latest is None:
            return None
        self.authority.complete(model)
        entered = latest_traffic(self.authority.audit, self.authority.verifier, model).get(model)
        if entered is None or entered.serial < latest.serial:
            self._enter(latest)
        running = self.running(model)
        if running is None:
            self._drop_alias(latest)
            return None
        version = self.registered(running)
        if version is None:
            self.end(running, f"version {running.challenger} is gone from the registry", actor=actor)
            return None
        carried = carried_traffic(version, self.authority.verifier)
        if carried is None or carried.serial != running.serial:
            self._tag(running)
        named = self.authority.registry.by_alias(model, CHALLENGER)
        if named is None or named.version != running.challenger:
            self.authority.registry.set_alias(model, CHALLENGER, running.challenger)
        return running

    def _set_state(self, traffic: Traffic, state: State, actor: str, reason: str) -> Traffic:
        return traffic if traffic.state == state else self._change(traffic, actor, reason, state=state)

    def _finish(
        self, traffic: Traffic, passed: tuple[PassedStep, ...], actor: str, reason: str, hastened: str = ""
    ) -> Move:
        self._require_latest(traffic)
        rules = self.authority.decisions.policy.tiers[self.evidence(traffic).risk]
        return self.authority.promote(
            self.version(traffic),
            rules,
            traffic.terms.endpoint,
            actor=actor,
            run=traffic.run,
            reason=reason,
            rollout=RolloutProof(rollout=traffic.rollout, passed=passed, hastened=hastened),
            # Approvals may grow too old on a long way that they were given for.
            approved_at=traffic.terms.at,
        )

    def _change(self, traffic: Traffic, actor: str, reason: str, **changes: object) -> Traffic:
        changed = traffic.model_copy(
            update={
                "serial": self._next_serial(traffic.model),
                "at": utc_now(),
                "actor": actor,
                "reason": reason,
                **changes,
            }
        )
        if changed.state != "ended":  # which may follow on anything
            self._require_latest(traffic)
        self._put(changed)
        if changed.state != "ended" and self._was_ended_since(traffic):
            return self.end(changed, "it was ended meanwhile", actor=actor)
        return changed

    def _require_latest(self, traffic: Traffic) -> None:
        """Require that nobody has changed a rollout since it was looked at.

        Raises:
            RolloutError: Somebody has.
        """
        latest = self.latest(traffic.model)
        if latest is None or latest.serial != traffic.serial:
            by = f" by {latest.actor}" if latest else ""
            raise RolloutError(f"the rollout of {traffic.model} was changed meanwhile{by}; look again")

    def _was_ended_since(self, traffic: Traffic) -> bool:
        return any(
            record.state == "ended" and record.serial > traffic.serial for record in self.records(traffic)
        )

    def _put(self, traffic: Traffic) -> None:
        # What ends need not stand at a version that somebody has deleted.
        if traffic.state != "ended" or self.registered(traffic) is not None:
            self._tag(traffic)
        self._enter(traffic)

    def _tag(self, traffic: Traffic) -> None:
        sealed = traffic.sealed(self.authority.signer())
        self.authority.registry.set_tag(traffic.model, traffic.challenger, TRAFFIC_TAG, sealed)

    def _enter(self, traffic: Traffic) -> None:
        self.authority.audit.append(
            ROLLOUT,
            traffic.model,
            actor=traffic.actor,
            reason=traffic.reason,
            evidence=traffic.terms.evidence,
            version=traffic.challenger,
            previous=traffic.champion,
            serial=traffic.serial,
            state=traffic.state,
            step=str(Step(traffic.percent, traffic.paired)) if traffic.state != "ended" else "ended",
            traffic=traffic.sealed(self.authority.signer()),
            run=traffic.run,
        )

    def _drop_alias(self, traffic: Traffic) -> None:
        named = self.authority.registry.by_alias(traffic.model, CHALLENGER)
        if named is not None and named.version == traffic.challenger:
            self.authority.registry.delete_alias(traffic.model, CHALLENGER)

    def _next_serial(self, model: str) -> int:
        authority = self.authority
        return next_serial(authority.registry, authority.audit, authority.verifier, model)
