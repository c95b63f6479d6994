"""What a rollout does next: it advances on shown harmlessness, reverts on shown harm, and otherwise waits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mlops_assets.rollout.plan import Step
from mlops_assets.rollout.sequential_bounds import Differences, lower_bound, upper_bound
from mlops_assets.specs.durations import format_duration
from mlops_assets.specs.rollout_rules import GuardRules, RolloutRules

Action = Literal["advance", "wait", "revert"]


@dataclass(frozen=True)
class Guard:
    """One respect in which the arms are compared.

    Attributes:
        name: The field of :class:`~mlops_assets.specs.rollout_rules.Guards`.
        of: The group or range it is about; empty for all.
        rules: What is demanded.
        differences: What was observed, higher is worse.
    """

    name: str
    of: str
    rules: GuardRules
    differences: Differences


@dataclass(frozen=True)
class Finding:
    """What a guard tells at a look.

    Attributes:
        guard: Its name.
        of: The group or range it is about; empty for all.
        low: It is worse by no less than this: with the probability that the rollout's alpha leaves, at all
            looks at once.
        high: It is worse by no more than this, likewise.
        units: How many units tell it.
        tolerance: Shown to be worse by more than this, it is reverted.
        margin: Shown to be worse by less than this, it may go on.
        required: Whether the rollout waits for that.
    """

    guard: str
    of: str
    low: float
    high: float
    units: int
    tolerance: float
    margin: float
    required: bool

    @property
    def name(self) -> str:
        """The guard with what it is about."""
        return guard_name(self.guard, self.of)

    @property
    def harm(self) -> bool:
        """Whether the challenger is shown to do harm."""
        return self.low > self.tolerance

    @property
    def harmless(self) -> bool:
        """Whether it is shown to do none that matters."""
        return self.high < self.margin

    def __str__(self) -> str:
        return f"{self.name} worse by {self.low:+.4f} to {self.high:+.4f} ({self.units:,} units)"


def guard_name(guard: str, of: str) -> str:
    """Return what a guard is called together with the group or range it is about, if there is one."""
    return f"{guard} of {of}" if of else guard


@dataclass(frozen=True)
class Progress:
    """How far a rollout has come.

    Attributes:
        begun: When it began.
        step_begun: When the present step began.
        units: Units seen in this step, by arm.
    """

    begun: datetime
    step_begun: datetime
    units: Mapping[str, int]


@dataclass(frozen=True)
class Decision:
    """What to do, and why in one sentence."""

    action: Action
    reason: str


def findings(guards: Sequence[Guard], alpha: float, among: int | None = None) -> list[Finding]:
    """Return what each guard tells.

    Args:
        guards: The guards.
        alpha: The probability that the bounds leave, all together.
        among: How many guards there may be at any look of the rollout; as many as now if None.

    One guard that shows harm reverts, so that each is given its part of ``alpha`` for the lower bound. The
    version goes on when all of them show that there is none, for which each may use all of it.

    Source: Berger, "Multiparameter Hypothesis Testing and Acceptance Sampling", Technometrics 24 (1982), for
    the latter (intersection-union test); Bonferroni for the former.
    """
    among = among or len(guards)
    return [
        Finding(
            guard.name,
            guard.of,
            low=lower_bound(guard.differences, alpha / among),
            high=upper_bound(guard.differences, alpha),
            units=len(guard.differences),
            tolerance=guard.rules.tolerance,
            margin=guard.rules.margin,
            required=guard.rules.required,
        )
        for guard in guards
    ]


def decide(
    rules: RolloutRules, step: Step, progress: Progress, looked: Sequence[Finding], now: datetime
) -> Decision:
    """Return what to do after a look.

    Args:
        rules: What is demanded.
        step: The present step.
        progress: How far the rollout has come.
        looked: What each guard tells.
        now: When that is.
    """
    if harm := [str(finding) for finding in looked if finding.harm]:
        return Decision("revert", f"harm at {step}: {'; '.join(harm)}")
    missing = _missing(rules, step, progress, looked, now)
    if not missing:
        return Decision("advance", f"no harm at {step}")
    age = now - progress.begun
    if age >= rules.deadline:
        limit = format_duration(rules.deadline)
        return Decision(
            "revert", f"after {limit} neither harm nor its absence is shown: {'; '.join(missing)}"
        )
    return Decision("wait", f"at {step}: {'; '.join(missing)}")


def _missing(
    rules: RolloutRules, step: Step, progress: Progress, looked: Sequence[Finding], now: datetime
) -> list[str]:
    """Return what still has to be seen before the next step."""
    missing = [
        f"{count:,} of {rules.min_units:,} units with the {arm}"
        for arm, count in progress.units.items()
        if count < rules.min_units
    ]
    spent = now - progress.step_begun
    asked = max(rules.min_time, rules.shadow) if step.percent == 0 else rules.min_time
    if spent < asked:
        missing.append(f"{format_duration(spent)} of {format_duration(asked)}")
    missing += [str(finding) for finding in looked if finding.required and not finding.harmless]
    return missing
