"""The signed traffic record: which share of a model's callers a challenger answers, and on what that rests.

A challenger answers real callers before it is released. So a traffic record holds the very release that will
be signed if the rollout ends well, and lets nothing answer that this release would not let serve. Each change
of a rollout is a new record with a greater serial; releases and traffic records of a model are numbered
together, so that whatever was decided last holds, and an older one that is put back holds nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import Field

from mlops_assets.governance.release import Release
from mlops_assets.governance.rollout_proof import LookedAt, PassedStep
from mlops_assets.governance.statement import Sealed, Statement

State = Literal["running", "held", "ended"]


class Yardsticks(Statement):
    """What outcomes are measured by; see :class:`mlops_assets.rollout.outcomes.Scale`."""

    classes: tuple[Any, ...] = ()
    slow_ms: float | None = None
    edges: tuple[float, ...] = ()
    loss_scale: float | None = None


class Traffic(Sealed):
    """How a challenger takes part.

    Attributes:
        terms: The release that will be signed if all goes well: the challenger is its ``version``, the
            champion its ``replaced``.
        serial: Grows with each record and release of the model.
        rollout: The serial of the rollout's first record, by which it is known.
        state: ``running``; ``held``, in which it takes no further step; or ``ended``.
        step: Index of the present step.
        percent: Share of the entities that the challenger answers.
        paired: Whether the arm that does not answer is asked too, unseen.
        begun: When the rollout began, naive UTC.
        step_begun: When the present step began.
        until: The rollout is over then, whatever else happens.
        yardsticks: What outcomes are measured by.
        passed: The steps behind it.
        looked: What was seen when the record was made, for one that ended.
        at: When the record was made.
        actor: Who asked for it.
        reason: Why.
        run: The Dagster run, if it was one.
    """

    kind: ClassVar[str] = "traffic/1"

    terms: Release
    serial: int
    rollout: int
    state: State
    step: int = Field(ge=0)
    percent: int = Field(ge=0, le=100)
    paired: bool
    begun: datetime
    step_begun: datetime
    until: datetime
    yardsticks: Yardsticks
    passed: tuple[PassedStep, ...] = ()
    looked: tuple[LookedAt, ...] = ()
    at: datetime
    actor: str
    reason: str = ""
    run: str = ""

    @property
    def model(self) -> str:
        """The model's name."""
        return self.terms.model

    @property
    def challenger(self) -> str:
        """The version that is tried."""
        return self.terms.version

    @property
    def champion(self) -> str | None:
        """The version it is compared with."""
        return self.terms.replaced

    @property
    def salt(self) -> str:
        """What draws the entities of this rollout, other ones than those of the last."""
        return f"{self.model}/{self.rollout}"

    def passed_with(
        self, looked: Sequence[LookedAt], units: Mapping[str, int], ended: datetime
    ) -> tuple[PassedStep, ...]:
        """Return the steps that are behind it once the present one ends.

        Args:
            looked: What the guards told at its end.
            units: Units seen in it, by arm.
            ended: When it ended, naive UTC.
        """
        present = PassedStep(
            percent=self.percent,
            paired=self.paired,
            begun=self.step_begun,
            ended=ended,
            units=dict(units),
            looked=tuple(looked),
        )
        return (*self.passed, present)

    def runs_at(self, now: datetime) -> bool:
        """Return whether the challenger takes part at a time."""
        return self.state != "ended" and now < self.until
