"""What a team writes: the spec of one model, complete and checked."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from mlops_assets import digests
from mlops_assets.errors import did_you_mean
from mlops_assets.specs.cron import Cron
from mlops_assets.specs.durations import Duration, format_duration
from mlops_assets.specs.part import ContradictionError, Part
from mlops_assets.specs.policy import (
    PartialApprovalRules,
    PartialEvidenceRules,
    PartialGates,
    PartialRetentionRules,
    PartialRolloutRules,
    Risk,
)
from mlops_assets.specs.references import FunctionReference
from mlops_assets.specs.secrets import holds_secret
from mlops_assets.specs.tasks import METRICS, Limit, Metric, Task

ColumnType = Literal["number", "integer", "string", "boolean", "datetime"]
# What becomes of a value before the prediction log is written.
Logging = Literal["keep", "hash", "drop"]

Bounds = Annotated[
    tuple[float | None, float | None],
    # Written out because Dagster's sample generator does not know the schema of a tuple.
    WithJsonSchema(
        {
            "type": "array",
            "items": {"anyOf": [{"type": "number"}, {"type": "null"}]},
            "minItems": 2,
            "maxItems": 2,
        }
    ),
]


def _as_json(value: Any) -> Any:
    try:
        digests.canonical_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"holds what JSON has no word for ({error}); NaN, infinities, dates and bytes belong into code"
        ) from None
    return value


# A spec is kept as JSON: what that cannot tell apart would be the same spec, and what it cannot say none.
Values = Annotated[
    tuple[Any, ...],
    AfterValidator(_as_json),
    WithJsonSchema(
        {
            "type": "array",
            "items": {"anyOf": [{"type": "string"}, {"type": "number"}, {"type": "boolean"}]},
        }
    ),
]


class Column(Part):
    """A declared input column and what its values may be."""

    name: str
    type: ColumnType = "number"
    range: Bounds | None = Field(
        None, description="[lowest, highest] allowed value; null leaves a side open."
    )
    allowed: Values | None = Field(None, description="The only values allowed.")
    nullable: bool = Field(False, description="Whether values may be missing.")
    sensitive: bool = Field(False, description="Whether the column holds personal or protected data.")
    outside: Literal["warn", "refuse"] = Field(
        "warn",
        description="What the gateway does with a value that is not allowed: count it, or refuse.",
        exclude_if=lambda outside: outside == "warn",
    )
    log: Logging = Field(
        "keep",
        description="What the prediction log keeps of it: the value, a pseudonym (hash) or nothing (drop). "
        "Only what is kept can be watched for drift, or explained.",
        # A spec or package that does not say it is the same as before it could be said.
        exclude_if=lambda log: log == "keep",
    )

    @model_validator(mode="after")
    def _allowed_values_are_of_the_type(self) -> "Column":
        kinds = {"number": int | float, "integer": int, "string": str, "boolean": bool}
        if self.allowed is not None and self.type not in kinds:
            raise ValueError(f"allowed values cannot be given for a {self.type} column")
        for value in self.allowed or ():
            fits = isinstance(value, kinds[self.type])
            if not fits or (isinstance(value, bool) and self.type != "boolean"):
                hint = " (YAML reads no, off and the like as truth values: quote it)"
                raise ValueError(
                    f"allowed holds {value!r}, which is not of type {self.type}"
                    + (hint if isinstance(value, bool) else "")
                )
        return self

    @model_validator(mode="after")
    def _range_needs_numbers(self) -> "Column":
        if self.range is not None:
            if self.type not in ("number", "integer"):
                raise ValueError(f"a range needs a number or integer column, not {self.type}")
            low, high = self.range
            if low is not None and high is not None and low > high:
                raise ValueError(f"the range {low}..{high} is empty")
        return self


def _column(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


class Entity(Part):
    """Whom or what a row is about: a person, a machine, an account."""

    column: str = Field(description="Column that requests may carry, be it a feature or not.")
    log: Literal["keep", "hash"] = Field(
        "keep", description="Whether the prediction log keeps it or a pseudonym; feedback finds it by either."
    )


def _entity(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


class PythonSource(Part):
    """Rows from a function ``load(start, end) -> pandas.DataFrame``."""

    type: Literal["python"]
    function: FunctionReference


class CsvSource(Part):
    """Rows of a CSV file, relative to the spec's folder unless absolute."""

    type: Literal["csv"]
    path: Path


class ParquetSource(Part):
    """Rows of a Parquet file or folder, relative to the spec's folder unless absolute."""

    type: Literal["parquet"]
    path: Path


class SqlSource(Part):
    """Rows of a table or query, from any database SQLAlchemy reaches."""

    type: Literal["sql"]
    url: str | None = Field(None, description="SQLAlchemy URL without secrets.")
    url_env: str | None = Field(None, description="Environment variable that holds the URL.")
    table: str | None = None
    query: str | None = Field(None, description="SELECT that may use :start and :end, the window's bounds.")

    @model_validator(mode="after")
    def _one_of_each(self) -> "SqlSource":
        if (self.url is None) == (self.url_env is None):
            raise ValueError("give exactly one of url and url_env")
        if (self.table is None) == (self.query is None):
            raise ValueError("give exactly one of table and query")
        if self.url is not None and holds_secret(self.url):
            raise ValueError(
                "the url holds a password, and specs are signed and kept: put the whole URL into an "
                "environment variable and name that in url_env"
            )
        return self


Source = Annotated[PythonSource | CsvSource | ParquetSource | SqlSource, Field(discriminator="type")]


class Contract(Part):
    """What the data must keep besides the columns' own types and limits."""

    min_rows: int = Field(100, ge=1, description="Fewest rows a training window may have.")
    max_age: Duration | None = Field(
        None, description="Greatest age of the newest row when the window closes."
    )
    suite: Path | None = Field(
        None, description="Great Expectations suite (JSON) to add, relative to the spec's folder."
    )


class Data(Part):
    """Where rows come from and what they must look like."""

    source: Source
    time_column: str = Field(description="When the row's event happened.")
    target: str = Field(description="Column to predict.")
    key: tuple[str, ...] = Field((), description="Columns that together name a row.")
    entity: Annotated[Entity | None, BeforeValidator(_entity, json_schema_input_type=str | Entity | None)] = (
        Field(
            None,
            description="Whom or what a row is about; feedback may name it instead of a prediction.",
            exclude_if=lambda entity: entity is None,
        )
    )
    label_delay: Duration = Field(timedelta(0), description="How long after the event its label is known.")
    window: Duration = Field(timedelta(days=365), description="How much history a training reads.")
    features: tuple[Annotated[Column, BeforeValidator(_column, json_schema_input_type=str | Column)], ...] = (
        Field(min_length=1)
    )
    feature_function: FunctionReference | None = Field(
        None, description="compute(rows) -> features; row by row, installed libraries only."
    )
    contract: Contract = Contract()

    @model_validator(mode="after")
    def _columns_are_distinct(self) -> "Data":
        names = [column.name for column in self.features]
        problems: list[tuple[tuple[str | int, ...], str]] = []
        for index, name in enumerate(names):
            if name in names[:index]:
                problems.append((("features", index), f"feature {name!r} is declared twice"))
            if name == self.target:
                problems.append((("features", index), f"the target {name!r} is also declared as a feature"))
            if name == "prediction" or name.startswith("probability_"):
                reason = "the platform keeps predictions under that name"
                problems.append((("features", index), f"a feature cannot be named {name!r}: {reason}"))
        if self.target == self.time_column:
            problems.append((("target",), f"{self.target!r} is both the target and the time column"))
        if self.target in self.key:
            problems.append((("key",), f"the target {self.target!r} cannot be part of the key"))
        if self.entity is not None and self.entity.column in (self.target, self.time_column):
            what = "target" if self.entity.column == self.target else "time column"
            problems.append((("entity",), f"the {what} {self.entity.column!r} cannot be the entity"))
        if problems:
            raise ContradictionError(*problems)
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns the source must deliver, each once."""
        names = [*self.key, self.time_column, *(c.name for c in self.features), self.target]
        return tuple(dict.fromkeys(names))


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
    params: Annotated[dict[str, Any], AfterValidator(_as_json)] = {}
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


class Kpi(Part):
    """A business figure that comes of a prediction; its values are sent as feedback."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    worst: float = Field(description="Value that counts as badly as any below it.")
    best: float = Field(description="Value that counts as well as any above it; less than worst for a cost.")

    @model_validator(mode="after")
    def _differ(self) -> "Kpi":
        if self.worst == self.best:
            raise ValueError("worst and best must differ")
        return self


class SqlFigures(SqlSource):
    """Figures from any database SQLAlchemy reaches, for the events of a window."""

    type: Literal["sql"] = "sql"

    @model_validator(mode="after")
    def _a_query(self) -> "SqlFigures":
        if self.query is None:
            raise ContradictionError(
                (("table",), "figures need a query: SELECT prediction_id and value, or value alone")
            )
        return self


class BusinessFigure(Part):
    """A business figure that is watched in every window."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    goal: Literal["higher", "lower"] = Field(description="Which way is better.")
    target: float = Field(description="What its mean is to reach, or not to exceed.")
    function: FunctionReference | None = Field(
        None,
        description="kpi(predictions: DataFrame) -> a number for the window, or values by prediction_id.",
    )
    sql: SqlFigures | None = Field(
        None,
        description="A query that returns prediction_id and value, or one value for the window; it may use "
        ":start and :end. Without function and sql, values are sent as feedback of kind kpi:NAME.",
    )

    @model_validator(mode="after")
    def _one_origin(self) -> "BusinessFigure":
        if self.function is not None and self.sql is not None:
            raise ValueError("give function or sql, or neither if values are sent as feedback")
        return self


class ExternalCost(Part):
    """What predictions cost besides the processor, such as a bought feature or a call to a service."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")
    per_1000: float = Field(
        ge=0.0, description="For 1,000 predictions, in the currency of the policy's price."
    )

    @model_validator(mode="after")
    def _is_not_ours(self) -> "ExternalCost":
        if self.name == "processor":
            raise ContradictionError((("name",), "the processor's cost is measured; give another name"))
        return self


class Monitoring(Part):
    """How the endpoint is watched."""

    window: Literal["hour", "day", "week", "month"] = "day"
    min_labels: int = Field(200, ge=1, description="Fewest labelled rows that allow a judgement.")
    tolerance: float = Field(
        0.02,
        ge=0.0,
        description="Loss of the primary metric against the hold-out that is no harm yet.",
    )
    kpi: Kpi | None = Field(None, description="The business figure that a rollout must not harm.")
    kpis: tuple[BusinessFigure, ...] = Field(
        (),
        description="Business figures that are watched in every window.",
        exclude_if=lambda kpis: not kpis,
    )
    costs: tuple[ExternalCost, ...] = Field(
        (),
        description="What predictions cost besides the processor.",
        exclude_if=lambda costs: not costs,
    )

    @model_validator(mode="after")
    def _names_are_distinct(self) -> "Monitoring":
        problems: list[tuple[tuple[str | int, ...], str]] = []
        for part in ("kpis", "costs"):
            names = [each.name for each in getattr(self, part)]
            problems += [
                ((part, index, "name"), f"{name!r} is there twice")
                for index, name in enumerate(names)
                if name in names[:index]
            ]
        if problems:
            raise ContradictionError(*problems)
        return self


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
