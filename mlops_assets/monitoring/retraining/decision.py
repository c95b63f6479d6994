"""Whether to retrain one model now: what calls for it, what it is expected to gain, and what forbids it.

Drift is no reason. Harm is one, and so are age and new data; but a training that cannot be expected to gain
anything is not started for any of them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.monitoring.retraining.gain import ExpectedGain
from mlops_assets.specs.durations import format_duration

if TYPE_CHECKING:
    from mlops_assets.monitoring.assessment.record import Assessment
    from mlops_assets.specs.model_spec import Retraining

# "harm" is measured on labels; "estimated_harm" is told by an estimator whose intervals have held.
Trigger = Literal["harm", "estimated_harm", "cadence", "new_data"]
Block = Literal["incident", "running", "cooldown", "budget", "no_gain", "fleet_budget"]

# The span that a policy's budget is for.
BUDGET_SPAN = timedelta(days=30)


@dataclass(frozen=True)
class Rules:
    """What a model's spec and policy say about retraining.

    Attributes:
        on_harm: Whether harm calls for it.
        cadence: The champion's age that calls for it; None for none.
        on_new_rows: How many unseen rows call for it; None for none.
        on_gain: Which gain calls for it: the expected share of the loss, added up over the windows since the
            last training. What waiting has lost then pays for a training, so that never more than twice the
            least possible is lost and paid (Karlin et al., "Competitive Snoopy Caching", Algorithmica 3
            (1988), on renting or buying). None for none.
        cooldown: Least time between two trainings.
        budget: How many may start by themselves in :data:`BUDGET_SPAN`; None for any number.
    """

    on_harm: bool = True
    cadence: timedelta | None = None
    on_new_rows: int | None = None
    on_gain: float | None = None
    cooldown: timedelta = timedelta(days=7)
    budget: int | None = None

    @classmethod
    def of(cls, written: "Retraining", budget: int | None) -> "Rules":
        """Return the rules of a spec, under the budget of its policy."""
        return cls(
            on_harm=written.on_harm,
            cadence=written.cadence,
            on_new_rows=written.on_new_rows,
            on_gain=written.on_gain,
            cooldown=written.cooldown,
            budget=budget,
        )


@dataclass(frozen=True)
class Situation:
    """What is known of a model when it is decided about.

    Attributes:
        at: When.
        note: What was found, for people.
        harm: Whether harm is measured.
        estimated_harm: What a trusted estimator says of harm that no label shows yet; None if nothing.
        unseen_rows: Labelled rows that its newest version did not learn from; None if not asked.
        last_training: When it was trained last, whatever became of that.
        started: When retrainings started by themselves.
        running: Whether one is under way.
        incident: The open incident about its labels or data; None if there is none.
        expected: What a training can be expected to gain; None if that is not known.
        missed: What windows since the last training were expected to have lost, this one included.
        cost: Processor seconds of a training, by the last ones; None if not known.
        traffic: Rows it answers a day.
    """

    at: datetime
    note: str = ""
    harm: bool = False
    estimated_harm: str | None = None
    unseen_rows: int | None = None
    last_training: datetime | None = None
    started: Sequence[datetime] = ()
    running: bool = False
    incident: str | None = None
    expected: ExpectedGain | None = None
    missed: float = 0.0
    cost: float | None = None
    traffic: float = 1.0

    @property
    def priority(self) -> float | None:
        """Expected gain times traffic over cost; None if no gain is known."""
        if self.expected is None:
            return None
        return max(self.expected.share, 0.0) * self.traffic / max(self.cost or 1.0, 1e-9)


@dataclass(frozen=True)
class Decision:
    """Whether to retrain, and why.

    Attributes:
        trigger: What calls for it; None if nothing does.
        retrain: Whether it starts.
        reason: For people, the run's tags and the audit.
        blocked: What keeps it from starting though something calls for it.
        expected: What a training can be expected to gain.
        cost: Processor seconds that it is expected to take.
        priority: Expected gain times traffic over cost.
        evidence: Further figures that it rests on.
    """

    trigger: Trigger | None
    retrain: bool
    reason: str
    blocked: Block | None = None
    expected: ExpectedGain | None = None
    cost: float | None = None
    priority: float | None = None
    evidence: dict[str, Any] = field(default_factory=dict)

    def as_record(self) -> dict[str, Any]:
        """Return it as plain values, fit for JSON but for the times in its evidence."""
        record = asdict(self)
        if self.expected is not None:
            told = {"metric": self.expected.metric, "basis": self.expected.basis}
            record["expected"] = {**record["expected"], **told}
        return record


def decide_on(situation: Situation, rules: Rules) -> Decision:
    """Return whether to retrain a model."""
    trigger, reason = _trigger(situation, rules)
    found = Decision(
        trigger,
        trigger is not None,
        reason,
        expected=situation.expected,
        cost=situation.cost,
        priority=situation.priority,
        evidence={"missed": situation.missed, "unseen_rows": situation.unseen_rows},
    )
    if trigger is None:
        return found
    blocked = _blocked(situation, rules)
    if blocked is None:
        return found
    return replace(found, retrain=False, blocked=blocked[0], reason=f"{reason}; {blocked[1]}")


def decide(
    assessment: "Assessment",
    last_training: datetime | None,
    *,
    running: bool = False,
    started: Sequence[datetime] = (),
    estimated_harm: str | None = None,
    incident: str | None = None,
    expected: ExpectedGain | None = None,
    missed: float = 0.0,
    cost: float | None = None,
) -> Decision:
    """Return what to do after an assessment.

    Args:
        assessment: The newest assessment of a model, with the spec's rules in it.
        last_training: As-of time of the model's newest training, whatever became of it.
        running: Whether a lifecycle of the model is queued or running already.
        started: As-of times of the retrainings of the model that started by themselves.
        estimated_harm: What a trusted estimator says of harm that no label shows yet.
        incident: The open incident about its labels or data.
        expected: What a training can be expected to gain.
        missed: What windows since the last training were expected to have lost, this one included.
        cost: Processor seconds of a training, by the last ones.
    """
    days = max((assessment.end - assessment.start) / timedelta(days=1), 1 / 24)
    return decide_on(
        Situation(
            at=assessment.as_of,
            note=assessment.reason,
            harm=assessment.harm,
            estimated_harm=estimated_harm,
            unseen_rows=assessment.unseen_rows,
            last_training=last_training,
            started=started,
            running=running,
            incident=incident,
            expected=expected,
            missed=missed,
            cost=cost,
            traffic=assessment.served / days,
        ),
        Rules.of(assessment.rules, assessment.budget),
    )


def _trigger(situation: Situation, rules: Rules) -> tuple[Trigger | None, str]:
    if situation.harm and rules.on_harm:
        return "harm", situation.note
    if situation.estimated_harm and rules.on_harm:
        return "estimated_harm", situation.estimated_harm
    if rules.cadence is not None and situation.last_training is not None:
        age = situation.at - situation.last_training
        if age >= rules.cadence:
            return (
                "cadence",
                f"last trained {age.days} days ago, cadence {format_duration(rules.cadence)}",
            )
    if rules.on_new_rows is not None and (situation.unseen_rows or 0) >= rules.on_new_rows:
        return "new_data", f"{situation.unseen_rows:,} rows the champion has not seen"
    expected = situation.expected
    if rules.on_gain is not None and expected is not None and situation.missed >= rules.on_gain:
        return (
            "new_data",
            f"waiting has lost {situation.missed:.1%} of a window's loss, and a training is held to be worth "
            f"{rules.on_gain:.1%}: {expected.basis}",
        )
    return None, situation.note


def _blocked(situation: Situation, rules: Rules) -> tuple[Block, str] | None:
    """Return what keeps a training from starting, and how to say so."""
    if situation.incident is not None:
        return "incident", f"not before people have looked at {situation.incident}"
    if situation.running:
        return "running", "a lifecycle is under way already"
    last, cooldown = situation.last_training, rules.cooldown
    if last is not None and situation.at - last < cooldown:
        return "cooldown", f"in the cooldown of {format_duration(cooldown)} since {last:%Y-%m-%d}"
    spent = sum(situation.at - BUDGET_SPAN < then <= situation.at for then in situation.started)
    if rules.budget is not None and spent >= rules.budget:
        return (
            "budget",
            f"the policy lets {rules.budget} retrainings start by themselves in "
            f"{BUDGET_SPAN.days} days, and {spent} have; start one by hand if it is wanted",
        )
    if situation.expected is not None and situation.expected.share <= 0:
        return "no_gain", f"no gain is to be expected of it ({situation.expected.basis})"
    return None
