"""What model card, data sheet and bill of materials tell of a version: its facts, without a form."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from mlops_assets.specs.data_spec import Column, PythonSource, SqlSource
from mlops_assets.specs.durations import format_duration
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Risk
from mlops_assets.specs.tasks import Metric, Task
from mlops_assets.verdict import Figure, Verdict


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


class Bar(_Facts):
    """One bar of a distribution: which values, and their share of the present ones."""

    label: str
    share: float


class ColumnFacts(_Facts):
    """A column as it is declared and as it was found.

    Attributes:
        name: Its name.
        role: What it is for; a feature that is also the time or part of the key counts as a feature.
        type: Its declared type; that of the target is what was found.
        sensitive: Whether it is declared as personal or protected.
        declared: What its values may be, in words; empty if all of its type are allowed.
        missing: Share of rows without a value.
        low: Lowest value found, as text; of a sensitive column the 1st percentile.
        high: Highest value found, as text; of a sensitive column the 99th percentile.
        distinct: How many different values there are.
        bars: Its distribution.
    """

    name: str
    role: Literal["feature", "target", "time", "key"]
    type: str
    sensitive: bool = False
    declared: str = ""
    missing: float = 0.0
    low: str = ""
    high: str = ""
    distinct: int = 0
    bars: tuple[Bar, ...] = ()


class DataFacts(_Facts):
    """The data that a version learnt from and was judged by.

    Attributes:
        source: Kind of the source and where it is, without secrets.
        start: Begin of the window.
        end: End of the window, not in it.
        holdout_start: From when on rows were kept for judging; None if it is not known.
        rows: Rows of the snapshot.
        training_rows: Those the model was fitted on; None if not known.
        holdout_rows: Those it was judged by; None if not known.
        label_delay: How long after an event its label is known.
        digests: What the data are known by, such as of the raw snapshot and the features.
        columns: Its columns.
        note: Why less is told than there was to tell; empty if all is.
    """

    source: str
    start: datetime
    end: datetime
    holdout_start: datetime | None = None
    rows: int
    training_rows: int | None = None
    holdout_rows: int | None = None
    label_delay: str = ""
    digests: dict[str, str] = {}
    columns: tuple[ColumnFacts, ...] = ()
    note: str = ""

    @property
    def sensitive(self) -> tuple[str, ...]:
        """Names of the columns that are declared as personal or protected."""
        return tuple(column.name for column in self.columns if column.sensitive)


class TrainingFacts(_Facts):
    """How a version was fitted.

    Attributes:
        estimator: The estimator's class, or the training function.
        params: Its parameters.
        seed: Seed of all that is drawn by chance.
        trained_at: When it was fitted.
        runtime: What serves it, and why.
        environment: Versions of what it was fitted with, by name.
    """

    estimator: str
    params: dict[str, Any] = {}
    seed: int = 0
    trained_at: datetime | None = None
    runtime: str = ""
    environment: dict[str, str] = {}


class GroupFigure(_Facts):
    """One figure of one group of the hold-out.

    Attributes:
        column: The column that makes the groups.
        value: Which group it is.
        rows: How many rows it has.
        figure: What was measured; by its name it is known which figures compare.
    """

    column: str
    value: str
    rows: int
    figure: Figure


class CalibrationBin(_Facts):
    """Rows of similar predictions: what was predicted on average, and how often it happened.

    Attributes:
        predicted: Mean prediction.
        observed: Mean of what came true.
        low: Lower bound of the latter's interval, if it is known.
        high: Its upper bound.
        rows: How many rows.
    """

    predicted: float
    observed: float
    low: float | None = None
    high: float | None = None
    rows: int


class ApprovalFacts(_Facts):
    """One person's decision about a version, and the fingerprint of the key that signed it."""

    by: str
    decision: Literal["approve", "reject"]
    reason: str
    at: datetime
    key: str = ""


class CardFacts(_Facts):
    """All that is told of one version of a model.

    Attributes:
        model: Its name.
        version: Its version in the registry; empty while it has none.
        owner: Who answers for it.
        risk: Its risk.
        purpose: What it is for.
        task: What it predicts.
        limits: What it must not be used for; empty if nobody wrote it.
        groups: Whom its decisions concern; empty if nobody wrote it.
        residual_risks: What can still go wrong; empty if nobody wrote it.
        primary_metric: The metric that counts.
        data: What it learnt from.
        training: How it was fitted.
        confidence: Of the intervals, two-sided.
        metrics: Metrics on the hold-out, with their intervals.
        by_group: Figures by group.
        calibration: What probabilities came to; empty for a regression.
        verdicts: What the gates say.
        approvals: What people say.
        operation: How it is watched and retrained, by subject.
        versions: What else it is known by, such as the digests of package, code and policy.
    """

    model: str
    version: str = ""
    owner: str
    risk: Risk
    purpose: str
    task: Task
    limits: str = ""
    groups: str = ""
    residual_risks: str = ""
    primary_metric: Metric
    data: DataFacts
    training: TrainingFacts
    confidence: float = 0.95
    metrics: tuple[Figure, ...] = ()
    by_group: tuple[GroupFigure, ...] = ()
    calibration: tuple[CalibrationBin, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    approvals: tuple[ApprovalFacts, ...] = ()
    operation: dict[str, str] = {}
    versions: dict[str, str] = {}


def card_facts(spec: ModelSpec, data: DataFacts, training: TrainingFacts, **measured: Any) -> CardFacts:
    """Return the facts of a version: what its spec says, and what was measured.

    Args:
        spec: The model's spec.
        data: What it learnt from.
        training: How it was fitted.
        **measured: All other fields of :class:`CardFacts` that are known.
    """
    return CardFacts(
        model=spec.name,
        owner=spec.owner,
        risk=spec.risk,
        purpose=spec.purpose,
        task=spec.task,
        limits=spec.card.limits or "",
        groups=spec.card.groups or "",
        residual_risks=spec.card.residual_risks or "",
        primary_metric=spec.evaluation.primary_metric,
        data=data,
        training=training,
        confidence=spec.evaluation.confidence,
        operation=_operation(spec),
        **measured,
    )


def source_of(spec: ModelSpec) -> str:
    """Return a source in words; a database by what is read from it, not by its URL."""
    source = spec.data.source
    if isinstance(source, PythonSource):
        return f"Python function {source.function}"
    if isinstance(source, SqlSource):
        return f"SQL table {source.table}" if source.table else f"SQL query {source.query}"
    return f"{source.type.upper()} {source.path}"


def declared_values(column: Column) -> str:
    """Return in words what a column's values may be besides their type."""
    told = []
    if column.range is not None:
        low, high = ("" if bound is None else f"{bound:g}" for bound in column.range)
        told.append(f"{low} … {high}" if low and high else f"≥ {low}" if low else f"≤ {high}")
    if column.allowed is not None:
        told.append(", ".join(map(str, column.allowed)))
    if column.nullable:
        told.append("may be missing")
    return "; ".join(told)


def _operation(spec: ModelSpec) -> dict[str, str]:
    watched, again, metric = spec.monitoring, spec.retraining, spec.evaluation.primary_metric
    causes = [
        *(["proven harm"] if again.on_harm else []),
        *([f"age of {format_duration(again.cadence)}"] if again.cadence else []),
        *([f"{again.on_new_rows:,} new rows"] if again.on_new_rows else []),
        *([f"{again.on_gain:.1%} of the loss missed by waiting"] if again.on_gain else []),
    ]
    return {
        "Watched": f"each {watched.window}, judged from {watched.min_labels:,} labelled rows on",
        "Harm": f"{metric} worse than on the hold-out by more than {watched.tolerance:g}",
        "Labels": f"known {format_duration(spec.data.label_delay)} after the event",
        "Retrained": (", ".join(causes) or "never by itself")
        + f"; {format_duration(again.cooldown)} between two; serves only if it beats the champion",
        "In trouble": f"{spec.owner} is paged; mlops-assets rollback {spec.name} is the way back",
    }
