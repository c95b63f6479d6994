"""What a team writes of its data: the columns, where rows come from, and what they must keep."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from mlops_assets.specs.durations import Duration
from mlops_assets.specs.part import ContradictionError, Part, as_json
from mlops_assets.specs.references import FunctionReference
from mlops_assets.specs.secrets import holds_secret

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

# A spec is kept as JSON: what that cannot tell apart would be the same spec, and what it cannot say none.
Values = Annotated[
    tuple[Any, ...],
    AfterValidator(as_json),
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
