"""The model that every server serves, and the rows that it is asked about; runs in each server's environment.

python model.py FOLDER     writes model.joblib, and where MLflow is installed model_mlflow/
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 30
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


def _write(folder: Path) -> None:
    import joblib

    features, labels = training_rows()
    if not find_spec("mlflow"):
        joblib.dump(estimator().fit(features, labels), folder / "model.joblib")
        return
    import mlflow
    import pandas as pd

    frame = pd.DataFrame(features, columns=COLUMNS)
    fitted = estimator().fit(frame, labels)
    signature = mlflow.models.infer_signature(frame, labels)
    mlflow.sklearn.save_model(
        fitted,
        folder / "model_mlflow",
        signature=signature,
        serialization_format="cloudpickle",
        pip_requirements=["scikit-learn"],
    )


if __name__ == "__main__":
    _write(Path(sys.argv[1]))
