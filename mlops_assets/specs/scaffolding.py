"""Draft a spec that passes ``check`` and runs as it is, for a team to make its own."""

import keyword
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import DataError, SpecError, did_you_mean
from mlops_assets.home import write_atomically

if TYPE_CHECKING:
    import pandas as pd

_ESTIMATORS = {
    "binary_classification": "sklearn.ensemble.HistGradientBoostingClassifier",
    "multiclass_classification": "sklearn.ensemble.HistGradientBoostingClassifier",
    "regression": "sklearn.ensemble.HistGradientBoostingRegressor",
}
_METRICS = {
    "binary_classification": ("roc_auc", 0.5),
    "multiclass_classification": ("accuracy", 0.3),
    "regression": ("r2", 0.0),
}
# Among so many rows a count, a category or a remark comes twice.
_ENOUGH_TO_REPEAT = 100
# Real data that scikit-learn ships, so that a new spec runs before the team's own data is there.
_EXAMPLES = {
    "binary_classification": ("load_breast_cancer", "benign"),
    "multiclass_classification": ("load_wine", "cultivar"),
    "regression": ("load_diabetes", "progression"),
}

_SPEC = """\
type: mlops_assets.ModelLifecycle
attributes:
  name: {name}
  owner: team:your-team            # who is paged: team:name or an e-mail address
  risk: minimal                    # minimal | limited | high
  purpose: Say in one sentence what {name} is used for.
  task: {task}
  data:
    source: {source}
    time_column: {time_column}
    target: {target}
{key}    label_delay: 0d                # how long after the event its label is known
    window: {window}
    features:
{features}
    contract: {{min_rows: {min_rows}}}
  training:
    estimator: {estimator}
    params: {{max_iter: 100}}
    seed: 0
  evaluation:
    primary_metric: {metric}
    thresholds: {{{metric}: {{min: {threshold}}}}}   # raise it to what your users need
    holdout: {holdout}                   # the newest part of the window, never trained on
"""

_SOURCE = '''\
"""Where {name} gets its rows. Replace this by your own data; keep the signature."""

from datetime import datetime

import pandas as pd


def load(start: datetime, end: datetime) -> pd.DataFrame:
    """Return rows with event times in [start, end).

    As a start: a data set that scikit-learn ships, with event times spread over the window.
    """
    from sklearn.datasets import {loader}

    rows = {loader}(as_frame=True).frame.rename(columns={{"target": "{target}"}})
    rows.columns = [str(c).replace(" ", "_").replace("/", "_per_") for c in rows.columns]
    rows = rows.sample(frac=1.0, random_state=0, ignore_index=True)
    rows["{time_column}"] = pd.date_range(start, end, periods=len(rows) + 1)[:-1]
    return rows
'''


@dataclass(frozen=True)
class _Draft:
    source: str
    time_column: str
    target: str
    task: str
    features: list[str]
    rows: int
    key: str | None = None
    window: str = "365d"
    holdout: str = "73d"


def draft_spec(
    folder: Path,
    *,
    name: str,
    task: str | None = None,
    csv: Path | None = None,
    target: str | None = None,
    time_column: str | None = None,
    module: str | None = None,
) -> list[Path]:
    """Write the folder of a new model.

    Args:
        folder: Folder to write; made if missing.
        name: Model name.
        task: What it predicts; guessed from the target of a CSV file if None.
        csv: File to read the columns from; an example that scikit-learn ships if None.
        target: Column to predict; the CSV file's last one if None.
        time_column: Column with the event's time; the first that holds times if None.
        module: Dotted name under which the folder imports; its own name if None.

    Returns:
        The files written.

    Raises:
        SpecError: The name is not usable, the task is unknown, or a spec is already there.
        DataError: The CSV file lacks the columns, or has no time column.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) or keyword.iskeyword(name):
        raise SpecError(
            f"{name!r} is no model name; use small letters, digits and underscores, a letter first"
        )
    if task is not None and task not in _ESTIMATORS:
        raise SpecError(
            f"unknown task {task!r}{did_you_mean(task, _ESTIMATORS)}; known: {', '.join(_ESTIMATORS)}"
        )
    if (folder / "defs.yaml").exists():
        raise SpecError(f"{folder / 'defs.yaml'} is already there; choose another name")
    files: dict[Path, str] = {}
    if csv is None:
        task = task or "binary_classification"
        loader, example_target = _EXAMPLES[task]
        draft = _from_example(task, loader, example_target, module or folder.name)
        files[folder / "__init__.py"] = f'"""The model {name}."""\n'
        files[folder / "source.py"] = _SOURCE.format(
            name=name, loader=loader, target=example_target, time_column="happened_at"
        )
    else:
        draft = _from_csv(csv, folder, task, target, time_column)
    metric, threshold = _METRICS[draft.task]
    files[folder / "defs.yaml"] = _SPEC.format(
        name=name,
        task=draft.task,
        source=draft.source,
        time_column=draft.time_column,
        target=draft.target,
        key=f"    key: [{draft.key}]\n" if draft.key else "",
        window=draft.window,
        holdout=draft.holdout,
        features="\n".join(f"      - {f}" for f in draft.features),
        min_rows=max(1, min(100, draft.rows // 2)),
        estimator=_ESTIMATORS[draft.task],
        metric=metric,
        threshold=threshold,
    )
    for file, text in files.items():
        write_atomically(file, text.encode())
    return list(files)


def _from_example(task: str, loader: str, target: str, module: str) -> _Draft:
    import sklearn.datasets

    rows = getattr(sklearn.datasets, loader)(as_frame=True).frame
    names = [str(c).replace(" ", "_").replace("/", "_per_") for c in rows.columns if c != "target"]
    source = f'{{type: python, function: "{module}.source:load"}}'
    return _Draft(source, "happened_at", target, task, [_flow(n) for n in names], len(rows))


def _from_csv(
    csv: Path, folder: Path, task: str | None, target: str | None, time_column: str | None
) -> _Draft:
    import pandas as pd

    try:
        rows = pd.read_csv(csv)
    except (OSError, ValueError) as error:
        raise DataError(f"{csv} cannot be read as CSV: {error}") from error
    columns = [str(c) for c in rows.columns]
    for wanted in filter(None, (target, time_column)):
        if wanted not in columns:
            raise DataError(f"{csv} has no column {wanted!r}{did_you_mean(wanted, columns)}")
    time_column = time_column or next((c for c in columns if _holds_times(rows[c])), None)
    if time_column is None:
        raise DataError(f"{csv} has no column that holds times; name it with --time-column")
    target = target or next(c for c in reversed(columns) if c != time_column)
    times = pd.to_datetime(rows[time_column], errors="coerce", utc=True, format="ISO8601")
    if not times.notna().any():
        raise DataError(f"{csv}: no row has a time in {time_column!r}; write times as ISO 8601")
    key = next((c for c in columns if c not in (target, time_column) and _names_rows(rows[c])), None)
    features = [c for c in columns if c not in (target, time_column, key) and _may_be_feature(c, rows[c])]
    if not features:
        raise DataError(f"{csv} has no column to predict {target!r} from")
    span = max(2, (times.max() - times.min()).days + 1)
    age = max(0, (pd.Timestamp.now(tz="UTC") - times.min()).days)
    return _Draft(
        source=f"{{type: csv, path: {_flow(os.path.relpath(csv.absolute(), folder.absolute()))}}}",
        time_column=_flow(time_column),
        target=_flow(target),
        task=task or _guess_task(rows[target]),
        features=[_column(c, rows[c]) for c in features],
        rows=len(rows),
        key=_flow(key) if key else None,
        window=f"{age + 2}d",
        holdout=f"{max(1, span // 5)}d",
    )


def _holds_times(column: "pd.Series[Any]") -> bool:
    import pandas as pd

    if not pd.api.types.is_string_dtype(column.dtype):
        return False
    return bool(pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601").notna().all())


def _may_be_feature(name: str, column: "pd.Series[Any]") -> bool:
    """Return whether a column works as a feature as it is: not constant, and no time."""
    reserved = name == "prediction" or name.startswith("probability_")
    return column.nunique(dropna=False) > 1 and not reserved and not _holds_times(column)


def _names_rows(column: "pd.Series[Any]") -> bool:
    """Return whether a column is a row's name and not something measured: no value comes twice."""
    import pandas as pd

    if len(column) < _ENOUGH_TO_REPEAT:
        return False
    named = pd.api.types.is_integer_dtype(column.dtype) or pd.api.types.is_string_dtype(column.dtype)
    return named and bool(column.notna().all()) and column.is_unique and not _holds_times(column)


def _guess_task(target: "pd.Series[Any]") -> str:
    import pandas as pd

    classes = target.nunique()
    if classes == 2:
        return "binary_classification"
    if pd.api.types.is_numeric_dtype(target.dtype) and classes > 20:
        return "regression"
    return "multiclass_classification"


def _column(name: str, values: "pd.Series[Any]") -> str:
    import pandas as pd

    nullable = ", nullable: true" if values.isna().any() else ""
    if pd.api.types.is_bool_dtype(values.dtype):
        kind = "boolean"
    elif pd.api.types.is_integer_dtype(values.dtype):
        kind = "integer"
    elif pd.api.types.is_numeric_dtype(values.dtype):
        kind = "number"
    else:
        kind = "string"
    return f"{{name: {_flow(name)}, type: {kind}{nullable}}}"


def _flow(text: str) -> str:
    """Return ``text`` as a YAML scalar, quoted where it has to be."""
    import yaml

    dumped: str = yaml.safe_dump(text, default_flow_style=True, width=10_000).strip()
    return dumped.removesuffix("...").strip()
