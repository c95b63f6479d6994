"""Groups of people in a window, from a column as the prediction log holds it."""

from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.groups import MISSING, OTHER, Grouping

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_VALUES = 10
# Each two are compared. A column with more groups holds names, or the like, and its smallest become others.
_MOST_GROUPS = 30


def group_window(
    column: str,
    values: "pa.Array | pa.ChunkedArray",
    least: int,
    cuts: tuple[float, float] | None = None,
) -> Grouping:
    """Return the groups of a column that have at least ``least`` rows, as gate ``fairness`` makes them.

    Values with fewer rows are put together as "(other)", missing ones are "(missing)". Numbers of more than
    ten values are cut in three.

    Args:
        column: Its name.
        values: Its values; of any type.
        least: Rows that a group needs.
        cuts: Where numbers are cut: as in the hold-out, so that a group is the same in all windows. At the
            thirds of this window if not given.
    """
    import numpy as np
    import pyarrow as pa

    given = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    coded = given if pa.types.is_dictionary(given.type) else given.dictionary_encode()
    # Null is the last.
    distinct = [*coded.dictionary.to_pylist(), None]
    codes = coded.indices.fill_null(len(distinct) - 1).to_numpy(zero_copy_only=False)
    names = _names(distinct, codes, cuts)
    merged, place = np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)
    counts = np.bincount(place[codes], minlength=len(merged))
    largest = set(np.argsort(-counts, kind="stable")[:_MOST_GROUPS].tolist())
    shown = [
        str(name) if count >= least and number in largest else OTHER
        for number, (name, count) in enumerate(zip(merged, counts, strict=True))
    ]
    few = int(counts[[name == OTHER for name in shown]].sum())
    groups = sorted({name for name in shown if name != OTHER or few >= least})
    of_name = {name: number for number, name in enumerate(groups)}
    numbers = np.array([of_name.get(name, -1) for name in shown])
    return Grouping(column, tuple(groups), numbers[place[codes]])


def _names(distinct: list[Any], codes: Any, cuts: tuple[float, float] | None) -> list[str]:
    import numpy as np

    known = [value for value in distinct if value is not None and value == value]
    amounts = known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    if not amounts or (cuts is None and len(known) <= _MOST_VALUES):
        return [MISSING if value is None or value != value else _name(value) for value in distinct]
    numbers = np.array([np.nan if value is None else float(value) for value in distinct])
    if cuts is None:
        rows = numbers[codes]
        low, high = np.nanquantile(rows, [1 / 3, 2 / 3], method="lower").tolist()
    else:
        low, high = cuts
    between = (f"≤ {low:.4g}", f"{low:.4g} … {high:.4g}", f"> {high:.4g}")
    return [
        MISSING if number != number else between[int(number > low) + int(number > high)]
        for number in numbers.tolist()
    ]


def _name(value: Any) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)
