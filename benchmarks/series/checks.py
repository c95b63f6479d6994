"""What must hold of each series before anything is measured on it."""

from series.shape import Series

_GIVES_AWAY = 0.999


def check(one: Series) -> None:
    """Refuse a series that is not what `Series` promises.

    Raises:
        ValueError: What is wrong, and in which series.
    """
    import numpy as np

    target, frame = one.frame[one.target], one.frame
    labels = set(target.unique())
    told = {
        "columns are not time, features, target": list(frame) == [one.time_column, *one.features, one.target],
        "a column is there twice": len(set(frame)) == len(list(frame)),
        "rows are not in time order": frame[one.time_column].is_monotonic_increasing,
        "a target is missing": not target.isna().any(),
        "a target is not 0 or 1": one.task != "binary_classification" or labels == {0, 1},
        "there are not several classes": one.task != "multiclass_classification" or 2 < len(labels) < 20,
        "a target is not finite": one.task != "regression" or bool(np.isfinite(target).all()),
        "a category is missing": not frame[list(one.categorical)].isna().any(axis=None),
        "a number is infinite": not np.isinf(one.inputs.to_numpy()).any(),
        "fewer than two windows to watch": len(one.windows()) >= one.train_windows + 2,
    }
    wrong = [what for what, holds in told.items() if not holds] or _given_away(one)
    if wrong:
        raise ValueError(f"{one.name}: {'; '.join(wrong)}")


def _given_away(one: Series) -> list[str]:
    """Return what says that one feature alone orders the rows as the target does."""
    import numpy as np
    from scipy.stats import rankdata

    target = one.frame[one.target]
    if one.task == "multiclass_classification":
        target = target == target.value_counts().index[0]
    wrong = []
    for name in one.features:
        known = one.inputs[name].notna()
        values, reached = one.inputs.loc[known, name].to_numpy(), target[known].to_numpy(dtype=float)
        if np.ptp(values) == 0 or np.ptp(reached) == 0:
            continue
        if one.task == "regression":
            told = abs(np.corrcoef(rankdata(values), rankdata(reached))[0, 1])
        else:
            ones = reached.sum()
            area = rankdata(values)[reached == 1].sum() - ones * (ones + 1) / 2
            told = abs(2 * area / (ones * (len(reached) - ones)) - 1)
        if told > _GIVES_AWAY:
            wrong.append(f"feature {name} gives the target away ({told:.4f})")
    return wrong
