"""What a replay came to: the versions that were trained, and what was decided at each tick."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal

from mlops_assets.monitoring.retraining.decision import Decision

Fate = Literal["serves", "lost", "on trial", "reverted"]


@dataclass(frozen=True)
class Version:
    """A version of a replay.

    Attributes:
        number: From 1.
        trained: When.
        until: The labels known by this time are those that it learned from.
        rows: How many these are.
        seconds: Processor time of the training.
    """

    number: int
    trained: datetime
    until: datetime
    rows: int
    seconds: float


@dataclass(frozen=True)
class Step:
    """What was decided at a tick, and how that turned out.

    Attributes:
        at: The tick.
        champion: Version that served the window until then.
        metric: Its primary metric in that window, by the labels of today.
        first_metric: That of the first version, which a team that never retrains would still have.
        decision: What was decided.
        trained: The version that was trained, if one was.
        fate: What had become of it when the walk ended.
        turned_out: Logarithm of the loss, in the next window, of the version that was champion when it was
            decided, over that of the one that was trained or would have been; None where that is not known.
    """

    at: datetime
    champion: int
    metric: float | None
    first_metric: float | None
    decision: Decision
    trained: int | None = None
    fate: Fate | None = None
    turned_out: float | None = None

    def as_record(self) -> dict[str, Any]:
        """Return it as plain values, fit for JSON but for times."""
        return {**asdict(self), "decision": self.decision.as_record()}


@dataclass(frozen=True)
class Replayed:
    """What a replay of one model came to.

    Attributes:
        model: Name of the model.
        versions: All that were trained, the first included.
        steps: One a tick, from the second on.
    """

    model: str
    versions: tuple[Version, ...]
    steps: tuple[Step, ...]

    @property
    def trainings(self) -> int:
        """How many retrainings were started."""
        return len(self.versions) - 1

    @property
    def seconds(self) -> float:
        """Processor time of the retrainings."""
        return sum(version.seconds for version in self.versions[1:])

    def as_record(self) -> dict[str, Any]:
        """Return it as plain values, fit for JSON but for times."""
        return {
            "model": self.model,
            "trainings": self.trainings,
            "seconds": self.seconds,
            "versions": [asdict(version) for version in self.versions],
            "steps": [step.as_record() for step in self.steps],
        }
