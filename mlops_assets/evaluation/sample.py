"""A sample of the hold-out, to be disturbed: what the gate ``robustness`` works on."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.decisions import Decisions
from mlops_assets.evaluation.holdout import Holdout
from mlops_assets.evaluation.perturbation import Answer, ask, categorical, numeric
from mlops_assets.evaluation.skill import Skill
from mlops_assets.specs.data_spec import Column

if TYPE_CHECKING:
    import pandas as pd

SEED = 0
_ROWS, _FEWEST_ROWS = 2_000, 300
_PREDICTIONS = 400_000
_EACH = 8  # predictions of the whole sample for each column


@dataclass(frozen=True, eq=False)
class Sample:
    """Some rows of the hold-out, and what the model makes of them undisturbed.

    Attributes:
        drawn: The candidate beside the rows that were drawn.
        whole: All rows of the hold-out.
        confidence: Coverage of bounds.
    """

    drawn: Holdout
    whole: "pd.DataFrame"
    confidence: float

    @classmethod
    def of(cls, holdout: Holdout, confidence: float) -> "Sample":
        """Return at most 2,000 rows; fewer of a table so wide that all its columns would take too long."""
        import numpy as np

        rows, columns = holdout.rows, len(holdout.package.manifest.inputs)
        wanted = min(_ROWS, max(_FEWEST_ROWS, _PREDICTIONS // (_EACH * columns)))
        chosen = np.random.default_rng(SEED).choice(len(rows), min(len(rows), wanted), replace=False)
        drawn = rows.iloc[np.sort(chosen)].reset_index(drop=True)
        return cls(Holdout(holdout.spec, holdout.package, drawn), rows, confidence)

    @property
    def rows(self) -> "pd.DataFrame":
        """The raw rows."""
        return self.drawn.rows

    @cached_property
    def numbers(self) -> list[Column]:
        """The inputs that hold a quantity."""
        return numeric(self.drawn.package.manifest.inputs, self.drawn.spec.data.time_column)

    @cached_property
    def categories(self) -> list[Column]:
        """The inputs that hold one of several values."""
        return categorical(self.drawn.package.manifest.inputs, self.drawn.spec.data.time_column)

    @cached_property
    def skill(self) -> Skill:
        """What there is to lose."""
        return Skill(
            self.drawn.spec.evaluation.primary_metric,
            self.drawn.target,
            self.drawn.predicted,
            self.drawn.blocks,
            self.confidence,
        )

    @cached_property
    def decisions(self) -> Decisions:
        """What there is to turn."""
        return Decisions.of(self.drawn.spec.task, self.drawn.predicted, self.drawn.target)

    def with_column(self, name: str, values: Any) -> Answer:
        """Return the model's answer if a column has other values, or one value in all rows."""
        return ask(self.drawn.package, self.rows.assign(**{name: values}))
