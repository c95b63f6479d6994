"""Exact attributions where they are cheap: what each feature adds to what an estimator says.

Trees and linear models have Shapley values in closed form, which shap computes, also behind a pipeline's
steps as long as every column that comes out of a step stems from one feature. Nothing is believed unseen: the
attributions of each row have to add up to what the estimator says of it. Of histogram boosting with
categorical splits, for one, shap 0.51 returns values that do not (shap issue 3436).

Source: Lundberg et al., "From local explanations to global understanding with explainable AI for trees",
Nature Machine Intelligence 2 (2020); Strumbelj and Kononenko, "Explaining prediction models and individual
predictions with feature contributions", Knowledge and Information Systems 41 (2014), section 3.2, for
linear models.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.errors import MlopsError
from mlops_assets.home import settle_matplotlib
from mlops_assets.specs.tasks import Task
from mlops_assets.training.onnx_form import native

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

Scale = Literal["probability", "log-odds", "value"]
TOLERANCE = 1e-4  # absolute up to 1, relative beyond
_FEWEST_ROWS = 50


class NotAttributableError(MlopsError):
    """An estimator has no cheap exact attributions; the message says why."""


@dataclass(frozen=True, eq=False)
class Attributions:
    """What each feature adds to the estimator's outputs.

    Attributes:
        values: Shape (rows, features, outputs): one output for two classes or a regression, else one a class.
        base: What they are added to, shape (outputs,).
        scale: What they add up to: ``log-odds`` stands for any decision function, such as that of boosting
            or of a logistic regression.
        method: How they were computed.
    """

    values: "Array"
    base: "Array"
    scale: Scale
    method: str


def attribute(
    estimator: Any, task: Task, features: "pd.DataFrame", background: "pd.DataFrame", work: float = math.inf
) -> Attributions:
    """Return exact attributions of the estimator's outputs.

    Args:
        estimator: The native estimator.
        task: What it predicts.
        features: The rows to explain.
        background: Rows from which a linear model's average is taken. Trees remember their training rows.
        work: How many leaves may be visited, over all rows; of more rows than that allows evenly spaced
            ones are explained.

    Raises:
        NotAttributableError: There is no closed form, it is too much work, or it does not add up.
    """
    import numpy as np

    steps, final = _split(estimator)
    names = list(features.columns)
    try:
        sources = _sources_through(steps, names)
        matrix = _through(steps, features)
        explainer, method = _explainer(final, _through(steps, background))
        kept = _affordable(explainer, len(matrix), work)
        found = explainer(matrix[kept])
    except NotAttributableError:
        raise
    except Exception as error:  # shap, and steps of all kinds, raise many kinds of errors
        raise NotAttributableError(f"shap has no exact way for {type(final).__name__}") from error
    values = np.asarray(found.values, dtype="float64")
    values = values[:, :, None] if values.ndim == 2 else values
    base = np.asarray(found.base_values, dtype="float64").reshape(len(values), -1)[0]
    by_feature = np.zeros((len(values), len(names), values.shape[2]))
    for place, source in enumerate(sources):
        by_feature[:, names.index(source)] += values[:, place]
    return _verified(by_feature, base, estimator, task, features.iloc[kept], method)


def _split(estimator: Any) -> tuple[list[Any], Any]:
    """Return a pipeline's steps and its last estimator."""
    from sklearn.pipeline import Pipeline

    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps]
        inner, final = _split(steps[-1])
        return steps[:-1] + inner, final
    return [], estimator


def _sources_through(steps: Sequence[Any], names: list[str]) -> list[str]:
    """Return from which feature each column stems that comes out of some steps."""
    columns = sources = names
    for step in steps:
        stems = dict(zip(columns, sources, strict=True))
        sources = [stems[name] for name in _sources(step, columns)]
        # What comes out is numbered: only a first step may know its columns by name.
        columns = [f"x{place}" for place in range(len(sources))]
    return sources


def _sources(step: Any, columns: list[str]) -> list[str]:
    """Return from which column each column stems that comes out of a step."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder

    if step in (None, "passthrough"):
        return columns
    if isinstance(step, Pipeline):
        return _sources_through([inner for _, inner in step.steps], columns)
    if isinstance(step, ColumnTransformer):
        blocks = ((inner, _chosen(chosen, columns)) for _, inner, chosen in step.transformers_)
        return [s for inner, chosen in blocks if chosen and inner != "drop" for s in _sources(inner, chosen)]
    if isinstance(step, OneHotEncoder):
        return [name for place, name in enumerate(columns) for _ in range(_width(step, place))]
    if list(getattr(step, "get_feature_names_out", list)()) == _own_names(step, columns):
        return columns
    raise NotAttributableError(f"{type(step).__name__} may mix features")


def _chosen(chosen: Any, columns: list[str]) -> list[str]:
    """Return the names of the columns that a part of a column transformer takes."""
    import numpy as np

    if isinstance(chosen, slice):
        return columns[chosen]
    picked = np.atleast_1d(chosen)
    if picked.dtype == bool:
        return [name for name, taken in zip(columns, picked, strict=True) if taken]
    return [name if isinstance(name, str) else columns[name] for name in picked.tolist()]


def _own_names(step: Any, columns: list[str]) -> list[str]:
    """Return what a step calls its columns if it was not told their names."""
    return list(getattr(step, "feature_names_in_", [f"x{place}" for place in range(len(columns))]))


def _width(encoder: Any, place: int) -> int:
    """Return how many columns a one-hot encoder makes of one."""
    rare = getattr(encoder, "infrequent_categories_", None)
    merged = 0 if rare is None or rare[place] is None else len(rare[place]) - 1
    dropped = encoder.drop_idx_ is not None and encoder.drop_idx_[place] is not None
    return len(encoder.categories_[place]) - merged - int(dropped)


def _explainer(final: Any, background: "Array") -> tuple[Any, str]:
    """Return shap's explainer of a pipeline's last estimator, and the method's name."""
    settle_matplotlib()
    import shap

    if hasattr(final, "coef_"):
        masker = shap.maskers.Independent(background, max_samples=len(background))
        return shap.LinearExplainer(final, masker), "exact Shapley values of a linear model"
    return shap.TreeExplainer(final), "exact Shapley values of trees (TreeSHAP)"


def _through(steps: Sequence[Any], features: "pd.DataFrame") -> "Array":
    import numpy as np
    from scipy.sparse import issparse

    values: Any = features
    for step in steps:
        values = step.transform(values) if step not in (None, "passthrough") else values
    return np.asarray(values.toarray() if issparse(values) else values, dtype="float64")


def _affordable(explainer: Any, rows: int, work: float) -> slice:
    """Return which rows may be explained with so much work."""
    trees = getattr(getattr(explainer, "model", None), "trees", None) or []
    leaves = sum(int((tree.children_left < 0).sum()) for tree in trees)
    possible = min(rows, work / leaves) if leaves else rows
    if possible < min(rows, _FEWEST_ROWS):
        raise NotAttributableError(f"{leaves:,} leaves are too many to visit for each row")
    return slice(None, None, math.ceil(rows / possible))


def _verified(
    values: "Array", base: "Array", estimator: Any, task: Task, features: "pd.DataFrame", method: str
) -> Attributions:
    """Return attributions on the scale on which they add up to what the estimator says."""
    import numpy as np

    if task == "binary_classification" and values.shape[2] == 2:
        values, base = values[:, :, 1:], base[1:]
    total = values.sum(axis=1) + base
    says: list[tuple[Scale, Array]] = []
    plain = native(estimator, task, features)
    if task == "regression":
        says.append(("value", plain))
    else:
        says.append(("probability", plain[:, 1] if task == "binary_classification" else plain))
        if hasattr(estimator, "decision_function"):
            says.append(("log-odds", np.asarray(estimator.decision_function(features))))
    for scale, expected in says:
        said = expected.reshape(len(features), -1)
        if said.shape == total.shape and np.all(
            np.abs(said - total) <= TOLERANCE * np.maximum(1, np.abs(said))
        ):
            return Attributions(values, base, scale, method)
    raise NotAttributableError(f"shap's attributions of {type(estimator).__name__} do not add up")
