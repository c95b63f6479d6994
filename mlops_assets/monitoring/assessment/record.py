"""What one window says about one model, as it is kept and shown."""

from datetime import datetime
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.incidents.change import Change
from mlops_assets.specs.model_spec import Retraining
from mlops_assets.verdict import Finding

Harm: TypeAlias = Literal["measured", "estimated", "not_shown", "cannot_tell"]
CHECKS: tuple[str, ...] = ("drift", "quality", "performance", "fairness", "service", "cost")


class _Part(BaseModel):
    # Distances may be infinite; JSON's null would not read back as a number.
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")


class ColumnDrift(_Part):
    """How a column of inputs, or what the model said, differs from before.

    Attributes:
        column: Column name.
        method: What it was held against: its ``natural variation``, or the ``hold-out`` alone.
        score: p-value of so great a difference while nothing is wrong.
        threshold: Below which it is an alarm, if it is also large enough.
        drifted: Whether it is one.
        distances: From the hold-out, by name.
        figure: What of it moved most.
        effect: By how much, in standard deviations of a row (of a share: twice the arcsine of its root).
        change: In which way it moved; told of alarms.
        windows: How many windows together show it best.
        since: When the first of these starts.
        importance: Share of what the model depends on; None if not known.
        expected: What the shift alone does to the primary metric, in a sentence; told of alarms.
        expected_change: The same as a number.
    """

    column: str
    method: str = ""
    score: float = 1.0
    threshold: float = 0.0
    drifted: bool
    distances: dict[str, float] = {}
    figure: str = ""
    effect: float | None = None
    change: Change | None = None
    windows: int = 1
    since: datetime | None = None
    importance: float | None = None
    expected: str = ""
    expected_change: float | None = None

    @property
    def told(self) -> str:
        """How it moved, in words."""
        return self.change.words if self.change else f"{self.figure} {self.effect or 0:+.2f}".strip()


class EstimatedMetric(_Part):
    """What a metric will probably be measured to be.

    Attributes:
        value: The estimate.
        low: Lower bound, widened by what audits have taught.
        high: Upper bound.
        trust: Whether such bounds have held so far.
        why: In one sentence.
    """

    value: float
    low: float
    high: float
    trust: str
    why: str


class Told(_Part):
    """One thing that was looked at, in a sentence.

    Attributes:
        name: What.
        alarm: Whether it is one.
        says: What there is to say.
        figures: What it rests on.
    """

    name: str
    alarm: bool
    says: str
    figures: dict[str, float | str | None] = {}


class Assessment(_Part):
    """What a monitoring pass found about one model in one window.

    Attributes:
        model: Model name.
        owner: Who answers for it.
        risk: Its risk.
        metric: Its primary metric.
        version: Champion when the pass ran.
        as_of: When the pass ran; labels known later are not in it. Naive UTC.
        start: First event time of the window.
        end: End of the window, exclusive.
        labels_due: When all labels of the window are to be known; None in one of before that was told.
        served: Rows answered.
        labelled: Rows that this version answered and whose label is known.
        labels_told: Which labels there are, and whether they are like the rest, in a sentence.
        metrics: Each metric on labelled rows, where it is defined: value and interval.
        reference_metric: The primary metric on the champion's hold-out.
        estimated: Each metric before its labels, likewise.
        estimate_told: Why there is no estimate; empty if there is one.
        drift: How each column of inputs moved.
        prediction_drift: The same of what the model said; None if nothing was to be told.
        quality: Troubles with served inputs and with labels.
        concept_drift: What tests over time say of loss and calibration.
        label_jump: Labels that jumped by themselves, in a sentence; empty if they did not.
        fairness: Gaps between groups that the policy limits, and what there is to say of them.
        service: Requests, failures and latency beside the same hours before.
        cost: Of 1,000 predictions; None if not known.
        cost_told: What it is made of.
        kpis: Business figures.
        latency_ms: Quantiles of the answer time, by name.
        errors: Requests with valid input that the model failed on during the window (by arrival).
        refused: Requests that were themselves wrong, likewise; None if not asked.
        unseen_rows: Rows in the source newer than all the champion was trained on; None if not asked.
        harm: Whether the model did harm, measured on labels.
        harm_shown: How that is known, or that it is not.
        reason: Why it did, why not, or why that cannot be told yet.
        rules: The spec's retraining rules at the time.
        budget: How many retrainings the policy lets start by themselves in 30 days; None if any number.
        report: Path of the Evidently report, if one was made.
        alarms: What is worth somebody's attention.
        untold: What could not be looked at, and why.
    """

    model: str
    owner: str = ""
    risk: str = ""
    metric: str = ""
    version: str
    as_of: datetime
    start: datetime
    end: datetime
    labels_due: datetime | None = None
    served: int
    labelled: int = 0
    labels_told: str = ""
    metrics: dict[str, tuple[float, float, float]] = {}
    reference_metric: float | None = None
    estimated: dict[str, EstimatedMetric] = {}
    estimate_told: str = ""
    drift: list[ColumnDrift] = []
    prediction_drift: ColumnDrift | None = None
    quality: list[Finding] = []
    concept_drift: Told | None = None
    label_jump: str = ""
    fairness: list[Told] = []
    service: list[Told] = []
    cost: float | None = None
    cost_told: str = ""
    kpis: list[Told] = []
    latency_ms: dict[str, float] = {}
    errors: int = 0
    refused: int | None = None
    unseen_rows: int | None = None
    harm: bool = False
    harm_shown: Harm = "not_shown"
    reason: str = ""
    rules: Retraining = Retraining()
    budget: int | None = None
    report: str | None = None
    alarms: list[Alarm] = []
    untold: dict[str, str] = {}

    @property
    def judged(self) -> bool:
        """Whether all its labels were due, so that it says whether the model did harm."""
        return self.labels_due is None or self.as_of >= self.labels_due

    @property
    def drifted(self) -> list[str]:
        """Names of the columns that drifted."""
        return [each.column for each in self.drift if each.drifted]

    def findings(self) -> dict[str, list[str]]:
        """Return what each check has to object to, in sentences; nothing where all is well."""
        drifted = [each for each in (*self.drift, self.prediction_drift) if each is not None and each.drifted]
        concept = [self.concept_drift.says] if self.concept_drift and self.concept_drift.alarm else []
        found: dict[str, list[str]] = {
            "drift": [f"{each.column}: {each.told}" for each in drifted],
            "quality": [_in_words(each) for each in self.quality],
            "performance": [
                *([self.reason] if self.harm or self.harm_shown == "estimated" else []),
                *concept,
                *([self.label_jump] if self.label_jump else []),
                *(each.says for each in self.kpis if each.alarm),
            ],
            "fairness": [each.says for each in self.fairness if each.alarm],
            "service": [each.says for each in self.service if each.alarm and each.name != "cost"],
            "cost": [each.says for each in self.service if each.alarm and each.name == "cost"],
        }
        assert found.keys() == {*CHECKS}
        return found


def _in_words(finding: dict[str, Any]) -> str:
    share = finding.get("share")
    often = f" in {share:.1%} of rows" if isinstance(share, float) else ""
    return f"{finding.get('column', '')}: {finding.get('problem', '')}{often}"
