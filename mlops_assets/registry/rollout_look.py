"""One look at a rollout: what the log tells of both arms, and what follows from it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from mlops_assets.errors import MlopsError
from mlops_assets.governance.rollout_proof import LookedAt
from mlops_assets.governance.traffic import Traffic, Yardsticks
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.records import kpi
from mlops_assets.registry.kept_bounds import KeptBounds
from mlops_assets.registry.promotion import Move
from mlops_assets.registry.rollouts import Rollouts
from mlops_assets.rollout.decision import Decision, Finding, Progress, decide, findings
from mlops_assets.rollout.outcomes import Scale, guards, units_by_arm
from mlops_assets.rollout.plan import Step, steps
from mlops_assets.rollout.running_bounds import RunningBounds, Stand
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.model_spec import ModelSpec


@dataclass(frozen=True)
class Look:
    """What a look at a rollout told.

    Attributes:
        traffic: The record that held.
        step: The step it is at.
        plan: All its steps.
        findings: What each guard tells.
        units: Units seen in this step, by arm.
        decision: What follows.
        stands: What the next look goes on from.
    """

    traffic: Traffic
    step: Step
    plan: tuple[Step, ...]
    findings: tuple[Finding, ...]
    units: Mapping[str, int]
    decision: Decision
    stands: Mapping[str, Stand] = field(default_factory=dict)

    @property
    def looked(self) -> tuple[LookedAt, ...]:
        """The findings, for the record."""
        return tuple(
            LookedAt(guard=f.guard, of=f.of, low=f.low, high=f.high, units=f.units) for f in self.findings
        )

    @property
    def bounds(self) -> list[dict[str, str]]:
        """What each guard tells, as rows of a table."""
        return [
            {
                "guard": found.name,
                "worse by at least": f"{found.low:+.4f}",
                "at most": f"{found.high:+.4f}",
                "units": f"{found.units:,}",
                "reverted above": f"{found.tolerance:g}",
                "goes on below": f"{found.margin:g}{'' if found.required else ' (not waited for)'}",
            }
            for found in self.findings
        ]


def look(
    rollouts: Rollouts,
    traffic: Traffic,
    log: PredictionLog,
    now: datetime,
    stands: Mapping[str, Stand] | None = None,
) -> Look:
    """Look at a rollout; nothing is changed.

    Args:
        rollouts: Where its records are.
        traffic: The record that holds.
        log: What was answered.
        now: The present, naive UTC; what was observed later is not seen.
        stands: What the last look kept of its bounds, which makes this one faster and no other.

    Raises:
        Refused: What it rests on is gone.
        RegistryError: The registry cannot be reached.
        StorageError: The log cannot be read.
    """
    evidence = rollouts.evidence(traffic)
    rules = evidence.rules.rollout
    plan, step = steps(rules), Step(traffic.percent, traffic.paired)
    # Before the log, which may be damaged: nobody who said no has to wait for that.
    if (rejected := rollouts.rejection(traffic)) is not None:
        return Look(traffic, step, plan, (), {}, Decision("revert", f"it was {rejected}"))
    spec = ModelSpec.model_validate(evidence.spec)
    scale, figure = _scale(spec, traffic.yardsticks), spec.monitoring.kpi
    answers = log.rollout(
        traffic.model,
        traffic.challenger,
        {record.serial: record.percent for record in rollouts.records(traffic)},
        traffic.begun,
        now,
        kpi=kpi(figure.name) if figure else None,
        columns=scale.groups,
    )
    # Shadow and split are two comparisons, each of which may cry wolf.
    kinds = len({each.paired for each in plan}) or 1
    bounds = RunningBounds(stands or {})
    compared = guards(answers, scale, rules.guards, paired=step.paired)
    found = findings(compared, rules.alpha / kinds, scale.guards, bounds)
    here = answers[answers["served_at"] >= traffic.step_begun]
    units = units_by_arm(here, paired=step.paired)
    decision = decide(rules, step, Progress(traffic.begun, traffic.step_begun, units), found, now)
    if traffic.state == "held" and decision.action == "advance":
        decision = Decision("wait", f"held by {traffic.actor}: {traffic.reason}")
    return Look(traffic, step, plan, tuple(found), units, decision, bounds.now)


def follow(rollouts: Rollouts, looked: Look, *, actor: str) -> Traffic | Move | None:
    """Do what follows from a look.

    Returns:
        The record that holds now, the promotion that ended the rollout, or None if it waits.

    Raises:
        Refused: What it rests on no longer allows the next step.
        RegistryError: The registry cannot be reached or refuses.
    """
    traffic, decision = looked.traffic, looked.decision
    if decision.action == "wait":
        return None
    if decision.action == "revert":
        return rollouts.end(traffic, decision.reason, actor=actor, looked=looked.looked)
    return rollouts.advance(traffic, looked.looked, looked.units, actor=actor, reason=decision.reason)


@dataclass(frozen=True)
class Turn:
    """What became of one model's rollout in a round.

    Attributes:
        model: Model name.
        look: What was seen; None if it could not be looked at.
        moved: What was done; None if it waits.
        failure: Why it could not be looked at or moved on; empty if it could.
    """

    model: str
    look: Look | None
    moved: Traffic | Move | None
    failure: str = ""

    @property
    def reverted(self) -> bool:
        """Whether the champion answers everybody again because of this look."""
        return self.look is not None and self.look.decision.action == "revert" and not self.failure


def one_round(
    rollouts: Rollouts, log: PredictionLog, *, actor: str, kept: KeptBounds | None = None
) -> Iterator[Turn]:
    """Look at every rollout there is and do what follows; yield what became of each.

    What a kill left half done is completed first. A model whose rollout cannot be looked at holds up no
    other.

    Args:
        rollouts: The rollouts of all models.
        log: What was answered.
        actor: Who looks.
        kept: What the last round left for this one; each look is from scratch if None.

    Raises:
        RegistryError: The registry cannot be reached at all.
    """
    for model in rollouts.models():
        found: Look | None = None
        try:
            traffic = rollouts.mend(model, actor=actor)
            if traffic is None:
                continue
            found = look(rollouts, traffic, log, utc_now(), kept.of(traffic) if kept else None)
            moved = follow(rollouts, found, actor=actor)
            if kept:
                kept.keep(traffic, found.stands)
            yield Turn(model, found, moved)
        except MlopsError as error:
            yield Turn(model, found, None, str(error))


def _scale(spec: ModelSpec, by: Yardsticks) -> Scale:
    figure = spec.monitoring.kpi
    return Scale(
        task=spec.task,
        classes=by.classes,
        slow_ms=by.slow_ms,
        cost_ms=by.cost_ms,
        edges=by.edges,
        loss_scale=by.loss_scale,
        groups=tuple(dict.fromkeys((*spec.evaluation.slices, *spec.evaluation.groups))),
        kpi=(figure.worst, figure.best) if figure is not None else None,
    )
