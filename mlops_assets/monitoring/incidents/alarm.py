"""An alarm: what one window of one model showed, with all that grouping and people need to know of it."""

from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict

from mlops_assets import digests
from mlops_assets.monitoring.incidents.change import Change
from mlops_assets.specs.durations import UtcTime
from mlops_assets.specs.policy import Risk

Kind: TypeAlias = Literal[
    "data_drift",
    "prediction_drift",
    "data_quality",
    "missing_data",
    "missing_labels",
    "performance",
    "estimated_performance",
    "concept_drift",
    "label_shift",
    "fairness",
    "latency",
    "errors",
    "throughput",
    "cost",
    "kpi",
    "untrusted_estimate",
    "out_of_band",
    "monitoring_failed",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
Harm: TypeAlias = Literal["measured", "estimated", "not_shown"]


class Upstream(BaseModel):
    """Where something comes from.

    Attributes:
        source: The source's identity, see :mod:`mlops_assets.monitoring.incidents.upstream`.
        column: Of its columns; None for all of it.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    column: str | None = None


class Alarm(BaseModel):
    """What one window of one model showed.

    Attributes:
        model: Model name.
        owner: Who answers for the model.
        risk: Its risk.
        version: Version that served.
        deployed_at: Since when; None if nobody knows.
        kind: What sort of finding it is; each has a runbook.
        subject: Column, group or metric that it is about; empty if it is about the model as a whole.
        start: When the window starts.
        end: When it ends, exclusive.
        observed_at: When the pass ran that found it.
        harm: Whether it did harm: by arrived labels, by an estimate that may be trusted, or not that anybody
            could show.
        importance: How much the model depends on the subject, from 0 to 1; None if nobody knows.
        effect: What it is expected to do to the primary metric, in words.
        effect_size: The same as a change of the metric; negative is worse whatever the metric.
        change: How the subject moved, if it is something that moves.
        says: The finding in one sentence.
        figures: What it rests on.
        upstream: Where the subject comes from.
        p_value: How probable it is that as much is seen while nothing is wrong.
    """

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")

    model: str
    owner: str
    risk: Risk
    version: str
    deployed_at: UtcTime | None = None
    kind: Kind
    subject: str = ""
    start: UtcTime
    end: UtcTime
    observed_at: UtcTime
    harm: Harm = "not_shown"
    importance: float | None = None
    effect: str = ""
    effect_size: float | None = None
    change: Change | None = None
    says: str
    figures: dict[str, float | str | None] = {}
    upstream: tuple[Upstream, ...] = ()
    p_value: float | None = None

    @cached_property
    def stream(self) -> str:
        """What it is about, as 32 hex digits: the same window after window."""
        return digests.of_json([self.model, self.kind, self.subject])[:32]

    @property
    def length(self) -> timedelta:
        """Length of the window."""
        return self.end - self.start

    def near(self, start: datetime, length: timedelta) -> bool:
        """Return whether it began when another window did, as nearly as windows can tell.

        A fault shows in the window in which it begins or in one of the two after it.

        Args:
            start: When that window starts.
            length: How long it is.
        """
        return abs(self.start - start) <= 2 * max(self.length, length)
