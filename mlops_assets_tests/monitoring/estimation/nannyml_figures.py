"""What NannyML estimates for three small worlds, and the code that asked it.

    pip install nannyml==0.13.1 statsmodels   # in an environment of its own
    NML_DISABLE_USAGE_LOGGING=1 python -m mlops_assets_tests.monitoring.estimation.nannyml_figures

The figures below are what it printed with nannyml 0.13.1, numpy 2.4.6, pandas 3.1.1, scikit-learn 1.9.1 and
lightgbm 4.5.0. This file needs nothing of the project.
"""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# By world and metric, the estimate in each window.
FIGURES = {
    "binary": {"roc_auc": [0.73466, 0.73677, 0.74904], "accuracy": [0.67409, 0.69367, 0.74453]},
    "multiclass": {"accuracy": [0.62916, 0.61564, 0.621]},
    "regression": {"mae": [0.64391, 0.70385, 0.74231], "rmse": [0.8471, 0.91829, 0.95478]},
}

WINDOWS, ROWS = 3, 2000


def binary(seed: int = 1) -> tuple[Array, Array, Array]:
    """Return outputs that are too sure, labels and windows; the reference is window -1."""
    generator = np.random.default_rng(seed)
    window = np.repeat(np.arange(-2, WINDOWS), ROWS).clip(-1)
    score = generator.normal(-0.5 + 0.5 * (window + 1), 1.0)
    labels = (generator.random(len(score)) < 1 / (1 + np.exp(-score))).astype(int)
    return 1 / (1 + np.exp(-1.8 * score)), labels, window


def multiclass(seed: int = 2) -> tuple[Array, Array, Array]:
    """Return outputs for three classes, labels and windows."""
    generator = np.random.default_rng(seed)
    window = np.repeat(np.arange(-2, WINDOWS), ROWS).clip(-1)
    scores = generator.normal([0.5, 0.0, -1.0], 1.0, (len(window), 3))
    scores[:, 2] += 0.5 * (window + 1)

    def shares(sharpness: float) -> Array:
        raw = np.exp(sharpness * scores)
        return np.asarray(raw / raw.sum(axis=1, keepdims=True))

    labels = (shares(1.0).cumsum(axis=1) > generator.random((len(window), 1))).argmax(axis=1)
    return shares(1.6), labels, window


def regression(seed: int = 3) -> tuple[Array, Array, Array, Array]:
    """Return predictions, targets, windows and inputs; the error grows with the first input."""
    generator = np.random.default_rng(seed)
    window = np.repeat(np.arange(-2, WINDOWS), ROWS).clip(-1)
    inputs = generator.uniform(0, 1, (len(window), 3))
    inputs[:, 0] = inputs[:, 0] ** (1 / (1 + 0.5 * (window + 1)))
    predicted = inputs @ [1.0, 2.0, -1.0]
    return predicted, predicted + generator.normal(0, 0.2 + inputs[:, 0]), window, inputs


def main() -> None:
    import nannyml as nml
    import pandas as pd

    def told(estimator: Any, frame: Any, window: Array, metrics: list[str]) -> dict[str, list[float]]:
        estimator.fit(frame[window < 0])
        found = estimator.estimate(frame[window >= 0]).filter(period="analysis").to_df()
        return {metric: [round(float(v), 5) for v in found[(metric, "value")]] for metric in metrics}

    outputs, labels, window = binary()
    frame = pd.DataFrame({"p": outputs, "decided": (outputs > 0.5).astype(int), "y": labels})
    metrics = ["roc_auc", "accuracy"]
    estimator = nml.CBPE(
        y_pred_proba="p", y_pred="decided", y_true="y", metrics=metrics, chunk_size=ROWS,
        problem_type="classification_binary",
    )  # fmt: skip
    print("binary", told(estimator, frame, window, metrics))

    outputs, labels, window = multiclass()
    frame = pd.DataFrame(outputs, columns=["p0", "p1", "p2"])
    frame = frame.assign(decided=outputs.argmax(axis=1), y=labels)
    estimator = nml.CBPE(
        y_pred_proba={0: "p0", 1: "p1", 2: "p2"}, y_pred="decided", y_true="y", metrics=["accuracy"],
        chunk_size=ROWS, problem_type="classification_multiclass",
    )  # fmt: skip
    print("multiclass", told(estimator, frame, window, ["accuracy"]))

    predicted, targets, window, inputs = regression()
    frame = pd.DataFrame(inputs, columns=["a", "b", "c"]).assign(predicted=predicted, y=targets)
    metrics = ["mae", "rmse"]
    estimator = nml.DLE(
        feature_column_names=["a", "b", "c"], y_pred="predicted", y_true="y", metrics=metrics, chunk_size=ROWS
    )
    print("regression", told(estimator, frame, window, metrics))


if __name__ == "__main__":
    main()
