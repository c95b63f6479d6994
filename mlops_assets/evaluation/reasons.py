"""Why a model said what it said of one row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.attributions import NotAttributableError, Scale, attribute
from mlops_assets.training.onnx_form import native
from mlops_assets.training.package import PackagedModel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

_BACKGROUND = 100
_EVALUATIONS = 20_000
_SEED = 0
_DIFFERENCE = 1e-4


@dataclass(frozen=True)
class Reason:
    """One feature's part in a prediction.

    Attributes:
        feature: Name of the feature, as the estimator sees it.
        value: Its value in the row; None if it is missing.
        contribution: What it adds to the base value.
    """

    feature: str
    value: float | str | None
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """A prediction as a base value and what each feature adds to it.

    Attributes:
        explained: What is explained: the target, or the class whose probability it is.
        scale: What the figures are: a probability, log-odds (of boosting and logistic regressions, which
            add up their reasons before they make a probability of the sum), or the predicted value.
        base_value: Where the reasons start from: what the model says on average.
        prediction: Where they lead: base value and all contributions add up to it.
        served: The prediction as served: a probability, or a value.
        reasons: All features, strongest first.
        method: How the contributions were found.
        note: What else the reader has to know; empty if nothing.
    """

    explained: str
    scale: Scale
    base_value: float
    prediction: float
    served: float
    reasons: tuple[Reason, ...]
    method: str
    note: str


def explain_row(package: PackagedModel, row: "pd.DataFrame", background: "pd.DataFrame") -> Explanation:
    """Return the reasons of one prediction.

    They are exact Shapley values for trees and linear models, whose base value is the average over the
    training rows for trees and over the background for linear models. For any other model they are
    estimated, and the base value is the average over 100 rows of the background; see :func:`_estimated`.
    The native estimator is explained, whatever form serves.

    Args:
        package: The model.
        row: One raw row, in declared types.
        background: Raw rows of ordinary cases, such as the package's reference.

    Raises:
        DataError: The feature function refuses the row.
    """
    import numpy as np

    manifest, estimator = package.manifest, package.estimator
    names = list(manifest.feature_names)
    features = package.view.compute(row, manifest.feature_types)[names]
    ordinary = background.iloc[:: -(-len(background) // _BACKGROUND)]
    known = package.view.compute(ordinary, manifest.feature_types)[names]
    served = package.predict_features(features)
    output = {"binary_classification": 1, "regression": 0}.get(manifest.task, int(np.argmax(served)))

    def says(rows: "pd.DataFrame") -> "Array":
        return native(estimator, manifest.task, rows).reshape(len(rows), -1)[:, output]

    scale: Scale
    try:
        found = attribute(estimator, manifest.task, features, known)
        place = output if found.values.shape[2] > 1 else 0
        contributions, base = found.values[0, :, place], float(found.base[place])
        scale, method = found.scale, found.method
    except NotAttributableError as error:
        contributions, base, evaluations = _estimated(says, features, known)
        scale = "value" if manifest.task == "regression" else "probability"
        method = f"Shapley values estimated with {evaluations:,} evaluations of the model: {error}"
    as_served = float(served.reshape(1, -1)[0, -1 if served.ndim == 1 else output])
    return Explanation(
        explained=manifest.target
        if not manifest.classes
        else f"{manifest.target} is {manifest.classes[output]}",
        scale=scale,
        base_value=base,
        prediction=base + float(contributions.sum()),
        served=as_served,
        reasons=tuple(
            Reason(names[i], _plain(features[names[i]].iloc[0]), float(contributions[i]))
            for i in np.argsort(-np.abs(contributions), kind="stable")
        ),
        method=method,
        note=_difference(as_served, float(says(features)[0])),
    )


def _estimated(
    says: "Callable[[pd.DataFrame], Array]", features: "pd.DataFrame", background: "pd.DataFrame"
) -> "tuple[Array, float, int]":
    """Return estimated Shapley values, the average they start from, and how often the model was asked.

    Background rows become the row to explain, one feature after the other in a random order, and each feature
    is credited with what its turn changed on average. Every order is also taken backwards, which
    cancels much of the chance. Contributions add up exactly, however few orders there are.

    Source: Strumbelj and Kononenko (2014), algorithm 1; Mitchell, Cooper, Frank and Holmes, "Sampling
    Permutations for Shapley Value Estimation", Journal of Machine Learning Research 23 (2022), section 4.

    Args:
        says: The model.
        features: The row to explain, as features.
        background: Ordinary rows, as features.
    """
    import numpy as np
    import pandas as pd

    generator = np.random.default_rng(_SEED)
    width, cases = features.shape[1], len(background)
    asked = (width + 1) * cases
    pairs = max(1, _EVALUATIONS // (2 * asked))
    contributions, base = np.zeros(width), 0.0
    for _ in range(pairs):
        order = generator.permutation(width)
        for turns in (order, order[::-1]):
            mixed = [background]
            for place in turns:
                name = features.columns[place]
                mixed.append(mixed[-1].assign(**{name: features[name].iloc[0]}))
            answers = says(pd.concat(mixed, ignore_index=True)).reshape(width + 1, cases).mean(axis=1)
            contributions[turns] += np.diff(answers) / (2 * pairs)
            base = float(answers[0])
    return contributions, base, 2 * pairs * asked


def _difference(served: float, explained: float) -> str:
    if abs(served - explained) <= _DIFFERENCE * max(1.0, abs(explained)):
        return ""
    return f"the gateway serves {served:.6g}; explained is the native form, which says {explained:.6g}"


def _plain(value: Any) -> float | str | None:
    import pandas as pd

    if pd.isna(value):
        return None
    return value if isinstance(value, str) else float(str(value))  # the shortest that is this float32
