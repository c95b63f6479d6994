"""Inputs and predictions of a window: what moved beyond what moves by itself, and what is wrong with them."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.assessment.record import ColumnDrift
from mlops_assets.monitoring.assessment.shape import change_of
from mlops_assets.monitoring.assessment.subject import Subject
from mlops_assets.monitoring.distances import Distances
from mlops_assets.monitoring.profiles.column import ColumnProfile, NumericProfile
from mlops_assets.monitoring.reference import CONFIDENCE, PREDICTION
from mlops_assets.monitoring.watching import Watched

if TYPE_CHECKING:
    import pandas as pd

PREDICTIONS = (PREDICTION, CONFIDENCE)
NATURAL_VARIATION, HOLDOUT = "natural variation", "hold-out"
# Without a history nobody knows what moves by itself: only what nobody would overlook is an alarm.
_LARGE = {"wasserstein": 0.5, "jensen_shannon": 0.25}
_FEWEST_ROWS = 30


def drift_of(watched: Watched, subject: Subject) -> list[ColumnDrift]:
    """Return how each column moved, alarms first.

    Args:
        watched: What the window says of the columns.
        subject: The version.
    """
    standard = subject.standard
    shares: Mapping[str, float] = standard.importance.share if standard else {}
    told = (
        _by_variation(watched, subject)
        if watched.movements
        else _by_holdout(watched.distances, subject.budget.columns, watched.profile.columns)
    )
    found = [each.model_copy(update={"importance": shares.get(each.column)}) for each in told]
    return [_explained(each, watched, subject) if each.drifted else each for each in found]


def _by_variation(watched: Watched, subject: Subject) -> Iterable[ColumnDrift]:
    for movement in watched.movements:
        yield ColumnDrift(
            column=movement.column,
            method=NATURAL_VARIATION,
            score=movement.p_value,
            threshold=subject.budget.columns,
            drifted=movement.alarm,
            distances=_values(watched.distances.get(movement.column)),
            figure=movement.figure,
            effect=movement.effect,
            windows=movement.windows,
            since=movement.since,
        )


def _by_holdout(
    apart: Mapping[str, Distances], alpha: float, columns: Mapping[str, ColumnProfile]
) -> Iterable[ColumnDrift]:
    """Yield how columns differ from the hold-out: sure, by Bonferroni's correction, and far."""
    threshold = alpha / max(len(apart), 1)
    found = []
    for column, distances in apart.items():
        if columns[column].rows.known < _FEWEST_ROWS:
            continue
        name = "wasserstein" if distances.wasserstein is not None else "jensen_shannon"
        tested = distances.kolmogorov_smirnov or distances.chi_square
        far = float(getattr(distances, name).value)
        p_value = tested.p_value if tested else 1.0
        found.append(
            ColumnDrift(
                column=column,
                method=HOLDOUT,
                score=p_value,
                threshold=threshold,
                drifted=p_value <= threshold and far >= _LARGE[name],
                distances=_values(distances),
                figure=name.replace("_", " "),
                effect=far,
            )
        )
    return sorted(found, key=lambda each: (not each.drifted, each.score, each.column))


def _values(distances: Distances | None) -> dict[str, float]:
    if distances is None:
        return {}
    return {name: each.value for name, each in vars(distances).items() if each is not None}


def _explained(found: ColumnDrift, watched: Watched, subject: Subject) -> ColumnDrift:
    """Return an alarm with the way it moved, and what that alone does to the metric.

    That takes longer than finding out, so alarms alone have it.
    """
    reference = subject.reference.profile.columns.get(found.column) if subject.reference else None
    change = change_of(found.figure, reference, watched.profile.columns[found.column])
    found = found.model_copy(update={"change": change})
    if found.column not in {each.name for each in subject.manifest.inputs}:
        return found
    from mlops_assets.monitoring.performance.expected_effect import expected_effect

    holdout, profile = subject.holdout(), watched.profile.columns[found.column]
    effect = expected_effect(
        found.column,
        _comparable(holdout.rows[found.column], profile),
        profile,
        holdout.target,
        holdout.outputs,
        holdout.blocks,
        subject.spec.evaluation.primary_metric,
    )
    return found.model_copy(update={"expected": effect.told, "expected_change": effect.change})


def _comparable(values: "pd.Series[Any]", window: ColumnProfile) -> Any:
    if isinstance(window, NumericProfile):
        return values.astype("float64").to_numpy()
    return [None if each is None or each != each else str(each) for each in values]
