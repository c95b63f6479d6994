"""In which way a column moved: told from the hold-out's profile and the window's."""

from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.incidents.change import Change
from mlops_assets.monitoring.profiles.column import CategoricalProfile, ColumnProfile, NumericProfile

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

# A column that had so many values and has but one is stuck.
_FEWEST_VALUES, _FEWEST_ROWS = 5, 30
# Units differ by more than this, and what is multiplied keeps its shape: the logarithms of quantiles' ratios
# differ by little, and so does that of the spread's.
_LEAST_FACTOR, _SAME_SHAPE = 1.4, 0.1
_SHARES = (0.1, 0.25, 0.5, 0.75, 0.9)


def change_of(figure: str, before: ColumnProfile | None, now: ColumnProfile) -> Change:
    """Return how a column moved, for one that did.

    Args:
        figure: What of it moved most, as alarms call it; anything else if they could not tell.
        before: The hold-out's profile; None if it has no such column.
        now: The window's.
    """
    if isinstance(before, NumericProfile) and isinstance(now, NumericProfile):
        if is_stuck(before, now):
            return Change(move="stuck", now=now.low)
        factor = scaled_by(before, now)
        if factor is not None and figure != "missing":
            return Change(move="scaled", factor=factor)
    if figure == "missing" and before is not None:
        return Change(move="missing", before=before.rows.missing_share, now=now.rows.missing_share)
    if figure.startswith("= "):
        return Change(move="share", category=figure[2:], **_share_of(figure[2:], before, now))
    if isinstance(now, NumericProfile):
        moves = {"location": (_mean(before), _mean(now))} if isinstance(before, NumericProfile) else {}
        try:
            return Change.of_figure(figure, *moves.get(figure, (None, None)))
        except KeyError:  # held against the hold-out alone
            return Change.of_figure("location", *moves.get("location", (None, None)))
    try:
        return Change.of_figure(figure)
    except KeyError:
        return Change(move="share")


def is_stuck(before: NumericProfile, now: NumericProfile) -> bool:
    """Return whether a column that used to have many values has only one."""
    return (
        now.rows.known >= _FEWEST_ROWS and now.low == now.high and len(before.cells.floors) >= _FEWEST_VALUES
    )


def scaled_by(before: NumericProfile, now: NumericProfile) -> float | None:
    """Return by what all values were multiplied, as when a unit changes; None if they were not.

    A shift is no multiplication: quantiles may have one ratio by chance, but then the spread keeps another.
    """
    import numpy as np

    if min(before.rows.known, now.rows.known) < _FEWEST_ROWS:
        return None
    was, became = (_quantiles(each) for each in (before, now))
    spreads = [each[-1] - each[0] for each in (was, became)]
    if min(spreads) <= 0:
        return None
    telling = np.abs(was) > 0.05 * spreads[0]  # a ratio to nothing tells nothing
    if telling.sum() < 3 or (np.sign(was[telling]) != np.sign(became[telling])).any():
        return None
    ratios = np.log(became[telling] / was[telling])
    of_spread = float(np.log(spreads[1] / spreads[0]))
    middle = float(np.median(ratios))
    if abs(middle) < np.log(_LEAST_FACTOR):
        return None
    apart = max(float(np.abs(ratios - middle).max()), abs(of_spread - middle))
    return float(np.exp(middle)) if apart <= max(_SAME_SHAPE, 0.1 * abs(middle)) else None


def _quantiles(profile: NumericProfile) -> "Array":
    import numpy as np

    cells = profile.cells
    below = np.cumsum(cells.counts)
    places = np.searchsorted(below, np.array(_SHARES) * below[-1])
    return np.asarray(cells.floors[np.minimum(places, len(cells.floors) - 1)])


def _mean(profile: NumericProfile) -> float | None:
    cells = profile.cells
    return float(cells.floors @ cells.counts / cells.total) if cells.total else None


def _share_of(category: str, before: ColumnProfile | None, now: ColumnProfile) -> dict[str, float]:
    if not (isinstance(before, CategoricalProfile) and isinstance(now, CategoricalProfile)):
        return {}
    was, became = before.categories, now.categories
    if not was.total or not became.total or was.folded or became.folded:
        return {}
    return {"before": was[category] / was.total, "now": became[category] / became.total}
