"""What a version has shown on its way to all of the traffic, for its release to tell.

As with the gates, nobody believes that a step was passed: what was seen at its end is held against the rules
again.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from mlops_assets.governance.evidence import Objection
from mlops_assets.governance.statement import Statement
from mlops_assets.rollout.decision import guard_name
from mlops_assets.rollout.plan import Step, steps
from mlops_assets.specs.rollout_rules import GuardRules, RolloutRules


class LookedAt(Statement):
    """What a guard told at a look.

    Attributes:
        guard: The field of :class:`~mlops_assets.specs.rollout_rules.Guards`.
        of: The group or range it is about; empty for all.
        low: The challenger is worse by no less than this.
        high: It is worse by no more than this.
        units: How many units tell it.
    """

    guard: str
    of: str
    low: float
    high: float
    units: int

    @property
    def name(self) -> str:
        """The guard with what it is about."""
        return guard_name(self.guard, self.of)


class PassedStep(Statement):
    """A step of a rollout that is behind it.

    Attributes:
        percent: Share of the entities that the challenger answered.
        paired: Whether the other arm was asked too, unseen.
        begun: When it began, naive UTC.
        ended: When it ended.
        units: Units seen, by arm.
        looked: What the guards told at its end.
    """

    percent: int
    paired: bool
    begun: datetime
    ended: datetime
    units: Mapping[str, int]
    looked: tuple[LookedAt, ...]

    @property
    def step(self) -> Step:
        """The step."""
        return Step(self.percent, self.paired)


class RolloutProof(Statement):
    """A whole rollout.

    Attributes:
        rollout: The serial it is known by.
        passed: Its steps, the first first.
        hastened: Why somebody cut its last step short and left out the others; empty if nobody did.
    """

    rollout: int
    passed: tuple[PassedStep, ...]
    hastened: str = ""


def rollout_objections(
    proof: RolloutProof | None, rules: RolloutRules, *, consent: bool
) -> Iterator[Objection]:
    """Yield why what a version has shown on its way does not let it serve.

    Args:
        proof: What it has shown; None if it served at once.
        rules: What was demanded when it was evaluated. A policy that has become stricter since does not take
            away what serves: unlike a gate's figures, a way that was gone cannot be judged anew.
        consent: Whether a version needs people's consent, which nobody may then shorten the way of alone.
    """
    behind = proof.passed if proof else ()
    hastened = proof is not None and bool(proof.hastened)
    passed = {each.step for each in (behind[:-1] if hastened else behind)}
    missing = [str(step) for step in steps(rules) if step not in passed]
    if missing and (consent or not hastened):
        alone = "; where people have to consent, nobody may leave them out" if hastened else ""
        said = f"it has not passed all steps of its rollout: {', '.join(missing)} to go{alone}"
        yield Objection("failed_gate", said)
        return
    for place, step in enumerate(behind, 1):
        # Of a step that was cut short nobody can say that no harm was left to be seen.
        yield from _step_objections(step, rules, cut_short=hastened and place == len(behind))


def _step_objections(step: PassedStep, rules: RolloutRules, *, cut_short: bool) -> Iterator[Objection]:
    for seen in step.looked:
        demanded: GuardRules = getattr(rules.guards, seen.guard)
        if seen.low > demanded.tolerance:
            said = f"{seen.name} was worse by at least {seen.low:.4f}, and {demanded.tolerance} is allowed"
            yield Objection("failed_gate", f"at {step.step}: {said}")
        elif demanded.required and not cut_short and not seen.high < demanded.margin:
            said = f"{seen.name} may be worse by {seen.high:.4f}, and {demanded.margin} is the margin"
            yield Objection("failed_gate", f"at {step.step}: {said}")
