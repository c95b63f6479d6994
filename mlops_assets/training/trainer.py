"""Fit what the spec names: any scikit-learn compatible estimator, or the team's own function."""

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets import digests
from mlops_assets.errors import MlopsError, TrainingError
from mlops_assets.specs.model_spec import Training
from mlops_assets.specs.references import code_digest, load_class, load_function, project_code
from mlops_assets.specs.tasks import Task
from mlops_assets.training import onnx_form
from mlops_assets.training.foreign_model import read_model

if TYPE_CHECKING:
    import pandas as pd


def code_behind(training: Training, folder: Path) -> dict[str, bytes]:
    """Return all that people wrote or brought for a training: its own code, or a model file.

    Args:
        training: The spec's training part.
        folder: Folder to which the spec's paths refer.

    Raises:
        TrainingError: The model file is not there.
    """
    if training.model_file is None:
        return project_code(training.trainer)
    return {training.model_file: _given(folder, training.model_file)}


def digest_behind(training: Training, folder: Path) -> str:
    """Return the digest of what :func:`code_behind` returns, and of our own version."""
    if training.model_file is None:
        return code_digest(training.trainer)
    return digests.of_bytes(_given(folder, training.model_file))


def _given(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise TrainingError(f"the model file {folder / name} cannot be read: {error.strerror}") from error


def fit(
    training: Training,
    task: Task,
    features: "pd.DataFrame",
    target: "pd.Series[Any]",
    folder: Path = Path(),
) -> Any:
    """Return a fitted estimator, the same one each time for the same rows and spec.

    Args:
        training: The spec's training part.
        task: What it is to predict.
        features: Feature columns of the training rows, float32 or pandas' ``str``.
        target: The column to predict, same index.
        folder: Folder to which the spec's paths refer.

    Raises:
        TrainingError: The estimator or function refuses its parameters or the data, or what comes out
            does not predict what the task asks for.
        SpecError: It cannot be imported.
    """
    import numpy as np

    name = training.trainer
    random.seed(training.seed)
    np.random.seed(training.seed)
    try:
        if training.model_file is not None:
            estimator = read_model(_given(folder, name), name, task)
        elif training.function is not None:
            function = load_function(training.function)
            estimator = function(features, target, dict(training.params), training.seed)
        else:
            estimator = _pipeline(_estimator(training), features).fit(features, target)
    except MlopsError:
        raise
    except Exception as error:
        raise TrainingError(f"{name} failed: {type(error).__name__}: {error}") from error
    _require_answers(estimator, task, name)
    return estimator


def require_answer_for(unseen: "pd.DataFrame", estimator: Any, training: Training, task: Task) -> None:
    """Refuse an estimator that fails on rows it was not trained on, as some do where a value is missing.

    Args:
        unseen: Feature columns of the hold-out.
        estimator: The fitted estimator.
        training: The spec's training part.
        task: What it is to predict.

    Raises:
        TrainingError: It fails.
    """
    try:
        onnx_form.native(estimator, task, unseen)
    except Exception as error:
        said = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        kind = f"{training.trainer} gives a {type(estimator).__name__}"
        raise TrainingError(f"{kind} that fails on rows it was not trained on: {said}") from error


def _require_answers(estimator: Any, task: Task, name: str) -> None:
    """Refuse an estimator that cannot answer what the task asks."""
    needed = ("predict",) if task == "regression" else ("predict", "predict_proba", "classes_")
    missing = [attribute for attribute in needed if not hasattr(estimator, attribute)]
    if missing:
        hint = (
            "; wrap it in sklearn.calibration.CalibratedClassifierCV or choose one that gives probabilities"
            if missing == ["predict_proba"]
            else ""
        )
        raise TrainingError(
            f"{name} gives a {type(estimator).__name__} without {', '.join(missing)}, "
            f"which a {task} needs{hint}"
        )
    if task == "regression" and hasattr(estimator, "classes_"):
        raise TrainingError(f"{name} gives a classifier, and the task is a regression")


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
    from pandas.api.types import is_numeric_dtype

    text = [c for c in features if not is_numeric_dtype(features[c].dtype)]
    if not text:
        return estimator
    from sklearn.compose import make_column_transformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=32, sparse_output=False)
    columns = make_column_transformer((encoder, text), remainder="passthrough")
    return make_pipeline(columns, estimator)
