"""Fit what the spec names: any scikit-learn compatible estimator, or the team's own function."""

import importlib.metadata
import random
import sys
from typing import TYPE_CHECKING, Any

from mlops_assets import digests
from mlops_assets.errors import MlopsError, TrainingError
from mlops_assets.specs.model_spec import Training
from mlops_assets.specs.references import load_class, load_function

if TYPE_CHECKING:
    import pandas as pd


def fit(training: Training, features: "pd.DataFrame", target: "pd.Series[Any]") -> Any:
    """Return a fitted estimator, the same one each time for the same rows and spec.

    Args:
        training: The spec's training part.
        features: Feature columns of the training rows, float32 or text.
        target: The column to predict, same index.

    Raises:
        TrainingError: The estimator or function refuses its parameters or the data.
        SpecError: It cannot be imported.
    """
    import numpy as np

    random.seed(training.seed)
    np.random.seed(training.seed)
    try:
        if training.function is not None:
            function = load_function(training.function)
            estimator = function(features, target, dict(training.params), training.seed)
            if not hasattr(estimator, "predict"):
                raise TrainingError(
                    f"{training.function} must return a fitted estimator with predict, "
                    f"not {type(estimator).__name__}"
                )
            return estimator
        return _pipeline(_estimator(training), features).fit(features, target)
    except MlopsError:
        raise
    except Exception as error:
        name = training.function or training.estimator
        raise TrainingError(f"{name} failed: {type(error).__name__}: {error}") from error


def _estimator(training: Training) -> Any:
    kind = load_class(str(training.estimator))
    params = dict(training.params)
    try:
        estimator = kind(**params)
    except TypeError as error:
        raise TrainingError(f"{training.estimator} does not take these params: {error}") from error
    if "random_state" in estimator.get_params() and "random_state" not in params:
        estimator.set_params(random_state=training.seed)
    return estimator


def _pipeline(estimator: Any, features: "pd.DataFrame") -> Any:
    """Put a one-hot encoding of text columns before the estimator, if there are any."""
    text = [c for c in features if features[c].dtype == object]
    if not text:
        return estimator
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=32, sparse_output=False)
    columns = make_column_transformer((encoder, text), remainder="passthrough")
    return make_pipeline(columns, estimator)


def environment() -> dict[str, str]:
    """Return the Python version and every installed distribution's, by name."""
    installed = {
        d.metadata["Name"].lower(): d.version
        for d in importlib.metadata.distributions()
        if d.metadata["Name"]
    }
    return {"python": sys.version.split()[0], **dict(sorted(installed.items()))}


def environment_digest() -> str:
    """Return the digest of :func:`environment`."""
    return digests.of_json(environment())
