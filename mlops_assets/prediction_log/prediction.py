"""One prediction and what turned out to be true for it, as those see them who read the log."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Prediction:
    """One row's answer.

    Attributes:
        prediction_id: Names the row's answer for ever.
        model: Model name.
        version: Version that answered.
        event_time: When the event happened, naive UTC: the row's time column, else the arrival.
        served_at: When the answer was made, naive UTC.
        inputs: The row as the client sent it; sensitive columns as pseudonyms or not at all.
        output: The prediction: a probability, a list of probabilities or a value.
        latency_ms: Time from the whole request's arrival to its answer, milliseconds; one figure for all
            rows of a request.
        probe: Whether the platform itself asked (smoke test, parity), which monitoring leaves out.
        arm: Which side of a traffic split answered.
        caller: Who asked.
        entity: Whom or what the row is about; None if nobody said.
        traffic: Serial of the traffic record by which the arm was chosen; 0 if the traffic was not split.
    """

    prediction_id: str
    model: str
    version: str
    event_time: datetime
    served_at: datetime
    inputs: dict[str, Any]
    output: Any
    latency_ms: float
    probe: bool = False
    arm: str = ""
    caller: str = ""
    entity: str | None = None
    traffic: int = 0


@dataclass(frozen=True)
class Label:
    """What turned out to be true for one prediction, and when that was known (naive UTC)."""

    prediction_id: str
    label: Any
    observed_at: datetime
