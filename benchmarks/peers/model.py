"""The models that servers serve, and the rows that they are asked about; runs in each server's environment.

python model.py FOLDER     writes model.joblib, or where MLflow is installed model_mlflow/ and text_mlflow/
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 30
TEXTS = 3
COLUMNS = [f"feature_{place}" for place in range(WIDTH)]
_TRAINING_ROWS = 3_000


def rows(count: int, seed: int = 1) -> list[list[float]]:
    """Return rows of the features."""
    drawn = np.random.default_rng(seed).normal(size=(count, WIDTH))
    return [[round(value, 4) for value in row] for row in drawn.tolist()]


def training_rows() -> tuple[Any, Any]:
    """Return features and labels."""
    features = np.array(rows(_TRAINING_ROWS, seed=0))
    noise = np.random.default_rng(2).normal(size=_TRAINING_ROWS)
    return features, (features[:, :3].sum(axis=1) + noise > 0).astype(int)


def estimator() -> Any:
    """Return what is trained: a hundred trees, as scikit-learn boosts by default."""
    from sklearn.ensemble import GradientBoostingClassifier

    return GradientBoostingClassifier(random_state=0)


def text_rows(count: int, seed: int = 1) -> list[list[Any]]:
    """Return rows of which the first features are text."""
    return [[*(_word(value) for value in row[:TEXTS]), *row[TEXTS:]] for row in rows(count, seed)]


def _word(value: float) -> str:
    return ("low", "medium", "high")[int(value > -0.5) + int(value > 0.5)]


def text_frame() -> Any:
    """Return features to train on, of which the first are text."""
    import pandas as pd

    return pd.DataFrame(text_rows(_TRAINING_ROWS, seed=0), columns=COLUMNS)


def text_estimator() -> Any:
    """Return what is trained on these: it encodes text itself, so it has no ONNX form."""
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    texts = COLUMNS[:TEXTS]
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encoded = make_column_transformer((encoder, texts), remainder="passthrough")
    return make_pipeline(encoded, HistGradientBoostingClassifier(random_state=0))


def _write(folder: Path) -> None:
    import joblib

    features, labels = training_rows()
    if not find_spec("mlflow"):
        joblib.dump(estimator().fit(features, labels), folder / "model.joblib")
        return
    import pandas as pd

    frame = pd.DataFrame(features, columns=COLUMNS)
    _write_mlflow(folder / "model_mlflow", estimator().fit(frame, labels), frame, labels)
    frame = text_frame()
    _write_mlflow(folder / "text_mlflow", text_estimator().fit(frame, labels), frame, labels)


def _write_mlflow(folder: Path, fitted: Any, frame: Any, labels: Any) -> None:
    import shutil

    import mlflow

    shutil.rmtree(folder, ignore_errors=True)
    mlflow.sklearn.save_model(
        fitted,
        folder,
        signature=mlflow.models.infer_signature(frame, labels),
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
