"""The ONNX form of an estimator: what the gateway runs where it agrees with the native form.

ONNX Runtime executes no Python and is many times faster on single rows, so it is preferred; but only
where both forms give the same outputs on the hold-out.
"""

import os
from typing import TYPE_CHECKING, Any

from mlops_assets.home import settle_libraries
from mlops_assets.specs.tasks import Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

TOLERANCE = 1e-5  # absolute up to 1, relative beyond: what single precision can hold


def convert(estimator: Any, width: int) -> bytes:
    """Return ``estimator`` as a serialised ONNX graph over one float matrix.

    Args:
        estimator: A fitted scikit-learn estimator that takes numeric columns only.
        width: Number of feature columns.

    Raises:
        Exception: Whatever the converter raises for an estimator it does not know.
    """
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
    inputs = [("features", FloatTensorType([None, width]))]
    graph = to_onnx(estimator, initial_types=inputs, options=options)
    return bytes(graph.SerializeToString())


def agreed_form(estimator: Any, task: Task, features: "pd.DataFrame") -> tuple[bytes | None, str]:
    """Return the ONNX form if it agrees with the native one, and a sentence on why or why not.

    Args:
        estimator: The fitted estimator.
        task: What it predicts.
        features: Hold-out features on which the two forms are compared.
    """
    import numpy as np
    from pandas.api.types import is_numeric_dtype

    if not all(is_numeric_dtype(dtype) for dtype in features.dtypes):
        return None, "native: text features are encoded inside the estimator"
    try:
        form = convert(estimator, features.shape[1])
        opened = OnnxForm(form, task)
        expected = native(estimator, task, features)
        found = opened.run(features.to_numpy(dtype="float32"))
        difference = float(np.max(np.abs(found - expected) / np.maximum(1.0, np.abs(expected))))
    except Exception as error:
        return None, f"native: {type(estimator).__name__} does not convert ({_short(error)})"
    if not difference <= TOLERANCE:
        return None, f"native: ONNX differs by up to {difference:.1e}, more than {TOLERANCE:.0e}"
    return form, f"onnx: differs from native by at most {difference:.1e} on {len(features):,} rows"


def native(estimator: Any, task: Task, features: "pd.DataFrame") -> "np.ndarray[Any, Any]":
    """Return the estimator's raw output: class probabilities, or values for a regression."""
    import numpy as np

    if task == "regression":
        return np.asarray(estimator.predict(features), dtype="float64").reshape(-1)
    return np.asarray(estimator.predict_proba(features), dtype="float64")


def open_session(form: bytes) -> Any:
    """Return an ONNX Runtime session with one thread: a gateway scales by workers."""
    settle_libraries()
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A graph may keep its weights in other files, by default of the working folder: they could be exchanged
    # after the graph was judged, or be no weights but a key. Nothing lies in this folder.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", os.devnull)
    return onnxruntime.InferenceSession(form, options, providers=["CPUExecutionProvider"])


class OnnxForm:
    """An ONNX form, ready to predict.

    Args:
        form: The serialised graph.
        task: What it predicts.
    """

    def __init__(self, form: bytes, task: Task) -> None:
        self._session, self._is_regression = open_session(form), task == "regression"
        # A classification's first output are labels, which take time for nothing.
        self._wanted = [self._session.get_outputs()[0 if self._is_regression else 1].name]

    def run(self, matrix: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Return the raw output for a float32 matrix; see :func:`native`."""
        import numpy as np

        (output,) = self._session.run(self._wanted, {"features": matrix})
        found = np.asarray(output, dtype="float64")
        return found.reshape(-1) if self._is_regression else found


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:120]}"
