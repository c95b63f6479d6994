"""What a team writes: the spec of one model, complete and checked."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, model_validator

from mlops_assets import digests
from mlops_assets.errors import did_you_mean
from mlops_assets.specs.cron import Cron
from mlops_assets.specs.data_spec import CsvSource, Data, ParquetSource, SqlSource
from mlops_assets.specs.durations import Duration, format_duration
from mlops_assets.specs.monitoring_spec import Monitoring
from mlops_assets.specs.part import ContradictionError, Part, as_json
from mlops_assets.specs.policy import (
    PartialApprovalRules,
    PartialEvidenceRules,
    PartialGates,
    PartialRetentionRules,
    PartialRolloutRules,
    Risk,
)
from mlops_assets.specs.references import FunctionReference
from mlops_assets.specs.tasks import METRICS, Limit, Metric, Task


class Training(Part):
    """How the model is fitted."""

    estimator: str | None = Field(None, description="Importable scikit-learn compatible class.")
    function: FunctionReference | None = Field(
        None, description="train(features, target, params, seed) -> fitted estimator."
    )
    model_file: str | None = Field(
        None,
        pattern=r"^([\w-][\w.-]*/)*[\w-][\w.-]*\.(onnx|skops)$",
        description="A model from elsewhere, .onnx or .skops, beside the spec: it is judged as any other.",
    )
    params: Annotated[dict[str, Any], AfterValidator(as_json)] = {}
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _one_trainer(self) -> "Training":
        if sum(given is not None for given in (self.estimator, self.function, self.model_file)) != 1:
            raise ValueError("give exactly one of estimator, function and model_file")
        if self.model_file is not None and self.params:
            raise ValueError("a model file is not trained here, so it takes no params")
        return self

    @property
    def trainer(self) -> str:
        """What the estimator is made by, or where it is, as the spec names it."""
        return str(self.function or self.estimator or self.model_file)


class Evaluation(Part):
    """How a candidate is judged."""

    primary_metric: Metric
    thresholds: dict[Metric, Limit] = {}
    holdout: Duration = Field(timedelta(days=21), description="Newest part of the window, never trained on.")
    slices: tuple[str, ...] = Field((), description="Columns whose groups are measured apart.")
    groups: tuple[str, ...] = Field(
        (), description="Columns of groups of people, whose gaps are measured; sensitive ones always are."
    )
    decision_threshold: float = Field(
        0.5,
        gt=0.0,
        lt=1.0,
        description="Probability of the second class from which on it is decided for; where that class is "
        "rare, .5 may decide for nobody.",
    )
    confidence: float = Field(0.95, gt=0.5, lt=1.0)
    min_gain: float = Field(0.0, ge=0.0, description="Gain over the champion that must be shown.")


class Retraining(Part):
    """What starts a retraining."""

    on_harm: bool = True
    cadence: Duration | None = Field(None, description="Retrain when the champion is this old.")
    on_new_rows: int | None = Field(
        None,
        ge=1,
        description="Retrain when the source has this many rows the champion has not seen.",
    )
    on_gain: float | None = Field(
        None,
        gt=0.0,
        description="Retrain when waiting is expected to have lost this share of a window's loss, added up "
        "over windows: what a training is worth.",
        exclude_if=lambda worth: worth is None,
    )
    cooldown: Duration = Field(timedelta(days=7), description="Least time between two retrainings.")


class Batch(Part):
    """A file or table that is scored again and again by the version that serves."""

    input: Annotated[CsvSource | ParquetSource | SqlSource, Field(discriminator="type")] = Field(
        description="Rows to score, with the columns that a request has; a query has no :start and :end."
    )
    output: Path = Field(description="File to write, .parquet or .csv; relative to the spec's folder.")
    keep: tuple[str, ...] = Field((), description="Columns of the input to carry over to the output.")
    log: bool = Field(False, description="Whether every row is also written to the prediction log.")
    schedule: Cron | None = Field(None, description="When, as a cron in UTC; by hand if not given.")

    @model_validator(mode="after")
    def _output_is_a_file_of_a_known_type(self) -> "Batch":
        if self.output.suffix.lower() not in (".parquet", ".csv"):
            raise ContradictionError((("output",), f"{str(self.output)!r} is neither .parquet nor .csv"))
        return self


class Card(Part):
    """What a person has to be told of a model, besides its purpose and owner; shown in its model card."""

    limits: str | None = Field(None, min_length=10, description="What it must not be used for, and why.")
    groups: str | None = Field(None, min_length=10, description="Whom its decisions concern.")
    residual_risks: str | None = Field(None, min_length=10, description="What can still go wrong.")


class ModelSpec(Part):
    """The whole of what a team writes about one model."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    owner: str = Field(pattern=r"^(team:[\w-]+|[^@\s]+@[^@\s]+\.[^@\s]+)$", description="Who is paged.")
    risk: Risk
    purpose: str = Field(min_length=10)
    task: Task
    data: Data
    training: Training
    evaluation: Evaluation
    monitoring: Monitoring = Monitoring()
    retraining: Retraining = Retraining()
    card: Card = Card()
    batch: Batch | None = Field(None, description="A file or table to score with the version that serves.")
    gates: PartialGates | None = Field(None, description="Stricter than the policy's.")
    approvals: PartialApprovalRules | None = Field(None, description="Stricter than the policy's.")
    rollout: PartialRolloutRules | None = Field(None, description="Stricter than the policy's.")
    evidence: PartialEvidenceRules | None = Field(None, description="Stricter than the policy's.")
    retention: PartialRetentionRules | None = Field(None, description="Stricter than the policy's.")

    @property
    def digest(self) -> str:
        """The digest of all of it."""
        return digests.of_json(self.model_dump(mode="json"))

    @model_validator(mode="after")
    def _parts_go_together(self) -> "ModelSpec":
        problems: list[tuple[tuple[str | int, ...], str]] = []
        rules, data, known = self.evaluation, self.data, METRICS[self.task]
        for path, metric in (
            (("primary_metric",), rules.primary_metric),
            *((("thresholds", name), name) for name in rules.thresholds),
        ):
            if metric not in known:
                said = f"{metric!r} is no metric for {self.task}; known: {', '.join(known)}"
                problems.append((("evaluation", *path), said))
        for part in ("slices", "groups"):
            for index, name in enumerate(getattr(rules, part)):
                if name not in data.columns:
                    said = f"{name!r} is no declared column{did_you_mean(name, data.columns)}"
                    problems.append((("evaluation", part, index), said))
        if data.target in rules.groups:
            said = f"the target {data.target!r} is no column of groups"
            problems.append((("evaluation", "groups", rules.groups.index(data.target)), said))
        # By its value: a spec that was written down whole, as in evidence, sets every field.
        if rules.decision_threshold != 0.5 and self.task != "binary_classification":
            said = f"decision_threshold is for a binary classification, and the task is {self.task}"
            problems.append((("evaluation", "decision_threshold"), said))
        if data.window <= data.label_delay + rules.holdout:
            said = (
                f"a window of {format_duration(data.window)} leaves nothing to train on after a label delay "
                f"of {format_duration(data.label_delay)} and a hold-out of {format_duration(rules.holdout)}"
            )
            problems.append((("data", "window"), said))
        if problems:
            raise ContradictionError(*problems)
        return self
