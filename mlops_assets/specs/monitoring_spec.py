"""What a team writes of how its endpoint is watched: windows, business figures and costs."""

from typing import Literal

from pydantic import Field, model_validator

from mlops_assets.specs.data_spec import SqlSource
from mlops_assets.specs.part import ContradictionError, Part
from mlops_assets.specs.references import FunctionReference


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
