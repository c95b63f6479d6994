"""What each stage hands on: names and digests of things, never the things themselves."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict

from mlops_assets.evaluation.comparison import ChampionComparison
from mlops_assets.evaluation.expectation import Expectation, ShownGain
from mlops_assets.evaluation.intervals import PairedDifference


class Record(BaseModel):
    """Base of all records: written once, as JSON."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="strings")


class RawData(Record):
    """An immutable snapshot of the source."""

    as_of: datetime
    start: datetime
    end: datetime
    digest: str
    rows: int


class ValidatedFeatures(Record):
    """A feature table, row by row that of the snapshot."""

    raw: RawData
    digest: str
    code: str
    rows: int
    names: tuple[str, ...]


class TrainedModel(Record):
    """A candidate: a packaged model in an MLflow run, and who had it trained."""

    features: ValidatedFeatures
    recipe: str
    candidate: str
    run_id: str
    experiment: str
    holdout_start: datetime
    runtime: str
    by: tuple[str, ...]


class Figure(Record):
    """A metric with its confidence interval."""

    value: float
    low: float
    high: float


class Comparison(Record):
    """A candidate held against the champion on rows that neither was trained on."""

    champion: str | None
    same: bool = False
    rows: int = 0
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    champion_value: float | None = None
    problem: str | None = None
    shown: ShownGain | None = None
    expected: Expectation | None = None

    def weighed(self) -> tuple[ShownGain, Expectation] | None:
        """Return what the rows show beside what was expected; None where either is not known."""
        return (self.shown, self.expected) if self.shown and self.expected else None

    def found(self) -> ChampionComparison:
        """Return what the comparison found, as the core knows it."""
        gain, low, high, p_value = self.gain, self.low, self.high, self.p_value
        difference = None
        if gain is not None and low is not None and high is not None and p_value is not None:
            difference = PairedDifference(gain, low, high, p_value)
        return ChampionComparison(self.rows, difference, self.champion_value, self.problem)


class Evaluated(Record):
    """A candidate's figures on the hold-out."""

    trained: TrainedModel
    rows: int
    metrics: dict[str, Figure]
    comparison: Comparison


class Registered(Record):
    """A candidate's version in the registry."""

    evaluated: Evaluated
    version: str


class Deployed(Record):
    """The version that serves."""

    registered: Registered
    champion: str
    previous: str | None


class BatchScores(Record):
    """A file that was scored whole."""

    version: str
    input_digest: str
    output: str
    output_digest: str
    rows: int
