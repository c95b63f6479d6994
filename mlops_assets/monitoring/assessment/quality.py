"""What is wrong with served inputs by the columns' own declarations, told from their profiles."""

from collections.abc import Iterable, Iterator
from typing import Any

from mlops_assets.monitoring.profiles.column import CategoricalProfile, ColumnProfile, NumericProfile
from mlops_assets.monitoring.profiles.profile import Profile
from mlops_assets.specs.data_spec import Column
from mlops_assets.verdict import Finding

# A column that may have gaps is worth a word when it has many more of them than it used to.
MORE_MISSING = 0.1
_EXAMPLES = 5


def quality_of(window: Profile, columns: Iterable[Column], holdout: Profile | None) -> list[Finding]:
    """Return one finding per column and kind of trouble: wrong type, missing, out of range, not allowed.

    Args:
        window: The window's profile.
        columns: The declarations.
        holdout: The hold-out's, which tells how many gaps a nullable column used to have.
    """
    found: list[Finding] = []
    for column in columns:
        profile = window.columns.get(column.name)
        if profile is not None:
            before = holdout.columns.get(column.name) if holdout else None
            found += _troubles(column, profile, before)
    return found


def _troubles(column: Column, profile: ColumnProfile, before: ColumnProfile | None) -> Iterator[Finding]:
    rows = profile.rows
    if rows.refused:
        yield finding(column.name, f"not of type {column.type}", rows.refused, rows.all, rows.examples)
    if rows.missing and not column.nullable:
        yield finding(column.name, "missing", rows.missing, rows.all)
    elif before is not None and rows.missing_share > before.rows.missing_share + MORE_MISSING:
        yield finding(column.name, "missing more often than in the hold-out", rows.missing, rows.all)
    if column.range is not None and isinstance(profile, NumericProfile):
        low, high = column.range
        outside, examples = _outside(profile, low, high)
        if outside:
            yield finding(column.name, f"outside {low} … {high}", outside, rows.all, examples)
    if column.allowed is not None:
        strange = _strange(profile, column.allowed)
        if strange:
            yield finding(column.name, "not an allowed value", sum(strange.values()), rows.all, [*strange])


def finding(column: str, problem: str, count: int, of: int, examples: Iterable[Any] = ()) -> Finding:
    """Return a finding on some of the rows."""
    shown = ", ".join(str(each) for each, _ in zip(examples, range(_EXAMPLES), strict=False))
    return {"column": column, "problem": problem, "rows": count, "share": count / of, "values": shown}


def _outside(profile: NumericProfile, low: float | None, high: float | None) -> tuple[int, list[str]]:
    import numpy as np

    count, examples = 0, []
    if low is not None and profile.low < low:
        count += int(profile.cells.below(np.array([low]))[0])
        examples.append(f"{profile.low:.10g}")
    if high is not None and profile.high > high:
        count += profile.cells.total - int(profile.cells.below(np.array([high]), side="right")[0])
        examples.append(f"{profile.high:.10g}")
    # Of many values a profile knows the last digits no more; of the least and the greatest it does.
    return max(count, len(examples)), examples


def _strange(profile: ColumnProfile, allowed: Iterable[Any]) -> dict[str, int]:
    """Return how often values that are not allowed occur; nothing where they are too many to be kept."""
    if isinstance(profile, CategoricalProfile):
        if profile.categories.folded:
            return {}
        known = {str(each) for each in allowed}
        return {text: count for text, count in profile.categories.counts.items() if text not in known}
    if profile.cells.level:
        return {}
    numbers = {float(each) for each in allowed}
    pairs = zip(profile.cells.floors.tolist(), profile.cells.counts.tolist(), strict=True)
    return {f"{value:.10g}": int(count) for value, count in pairs if value not in numbers}
