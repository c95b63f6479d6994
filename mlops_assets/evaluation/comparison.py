"""A challenger and the champion, on the same rows that neither was trained on."""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError
from mlops_assets.evaluation.intervals import PairedDifference, paired_difference, time_blocks
from mlops_assets.evaluation.metrics import encode_target, measure
from mlops_assets.specs.gate_rules import ChampionComparisonRules
from mlops_assets.specs.model_spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.training.package import PackagedModel


_FEWEST_ROWS = 2


@dataclass(frozen=True)
class ChampionComparison:
    """What a comparison found.

    Attributes:
        rows: Number of common unseen rows.
        difference: The challenger's gain; None if there was nothing to compare.
        champion_value: The champion's primary metric on those rows.
        problem: Why there was nothing to compare.
    """

    rows: int
    difference: PairedDifference | None = None
    champion_value: float | None = None
    problem: str | None = None


def compare_with_champion(
    spec: ModelSpec,
    holdout: "pd.DataFrame",
    challenger: "np.ndarray[Any, Any]",
    classes: tuple[Any, ...],
    champion: "PackagedModel",
    rules: ChampionComparisonRules,
) -> ChampionComparison:
    """Return how much better the challenger is on the part of the hold-out unseen by the champion.

    Args:
        spec: The model's spec.
        holdout: Raw hold-out rows of the challenger, with time and target.
        challenger: The challenger's predictions for them.
        classes: The classes it predicts.
        champion: The packaged champion, which computes its own features.
        rules: What the policy demands of the comparison.
    """
    times = holdout[spec.data.time_column]
    unseen = (times >= datetime.fromisoformat(champion.manifest.lineage["trained_until"])).to_numpy()
    rows = int(unseen.sum())
    if rows < max(_FEWEST_ROWS, rules.min_rows or 0):
        return ChampionComparison(rows, problem="too few rows that neither model was trained on")
    common = holdout[unseen]
    missing = [c.name for c in champion.manifest.inputs if c.name not in common]
    if missing:
        return ChampionComparison(
            rows, problem=f"the champion needs columns that are gone: {', '.join(missing)}"
        )
    known = champion.manifest.classes
    if spec.task == "binary_classification" and known != classes:
        return ChampionComparison(rows, problem=f"the champion tells {known} apart, not {classes}")
    either = tuple(dict.fromkeys((*known, *classes)))
    try:
        served = _over(either, known, champion.predict(common))
        target = encode_target(common[spec.data.target], spec.task, either)
    except DataError as error:
        return ChampionComparison(rows, problem=f"the champion cannot score these rows: {error}")
    metric = spec.evaluation.primary_metric
    value = measure(metric, target, served)
    if math.isnan(value):
        return ChampionComparison(rows, problem=f"{metric} is not defined on the {rows:,} common rows")
    difference = paired_difference(
        metric,
        target,
        _over(either, classes, challenger[unseen]),
        served,
        time_blocks(times[unseen]),
        margin=rules.min_gain,
        confidence=spec.evaluation.confidence,
    )
    return ChampionComparison(rows, difference, value)


def _over(
    either: tuple[Any, ...], classes: tuple[Any, ...], predicted: "np.ndarray[Any, Any]"
) -> "np.ndarray[Any, Any]":
    """Return probabilities over both models' classes: a class a model does not know it never expects."""
    import numpy as np

    if predicted.ndim == 1:
        return predicted
    return np.stack(
        [predicted[:, classes.index(c)] if c in classes else np.zeros(len(predicted)) for c in either],
        axis=1,
    )
