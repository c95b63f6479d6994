"""A challenger and the champion, on the same rows that neither was trained on."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError
from mlops_assets.evaluation.intervals import PairedDifference, paired_difference
from mlops_assets.evaluation.judgement import FEWEST_COMMON_ROWS
from mlops_assets.evaluation.metrics import encode_target, measure
from mlops_assets.specs.model_spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mlops_assets.training.package import PackagedModel


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
    champion: "PackagedModel",
) -> ChampionComparison:
    """Return how much better the challenger is on the part of the hold-out unseen by the champion.

    Args:
        spec: The model's spec.
        holdout: Raw hold-out rows of the challenger, with time and target.
        challenger: The challenger's predictions for them.
        champion: The packaged champion, which computes its own features.
    """
    times = holdout[spec.data.time_column]
    unseen = (times >= datetime.fromisoformat(champion.manifest.lineage["trained_until"])).to_numpy()
    rows = int(unseen.sum())
    if rows < FEWEST_COMMON_ROWS:
        return ChampionComparison(rows, problem="too few rows that neither model was trained on")
    common = holdout[unseen]
    missing = [c.name for c in champion.manifest.inputs if c.name not in common]
    if missing:
        return ChampionComparison(
            rows, problem=f"the champion needs columns that are gone: {', '.join(missing)}"
        )
    try:
        served = champion.predict(common)
        target = encode_target(common[spec.data.target], spec.task, champion.manifest.classes)
    except (DataError, ValueError) as error:
        return ChampionComparison(rows, problem=f"the champion cannot score these rows: {error}")
    metric = spec.evaluation.primary_metric
    difference = paired_difference(
        metric,
        target,
        challenger[unseen],
        served,
        times[unseen].dt.floor("D").to_numpy(),
        margin=spec.evaluation.min_gain,
        confidence=spec.evaluation.confidence,
    )
    return ChampionComparison(rows, difference, measure(metric, target, served))
