"""A smaller form of a model: weights in 8 bits, if that changes next to nothing.

Dynamic quantisation rounds the weights of matrix products, and their inputs as they come. Trees and
scikit-learn's linear models have no such products in their graphs, so there is nothing to gain from it.

Source: ONNX Runtime, "Quantize ONNX models", dynamic quantisation.
"""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import AccuracyLost, ExportError
from mlops_assets.evaluation.metrics import encode_target, measure
from mlops_assets.specs.tasks import Limit
from mlops_assets.training import onnx_form
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

_PRODUCTS = {"MatMul", "Gemm", "Conv", "Attention", "LSTM"}


@dataclass(frozen=True)
class Loss:
    """What the smaller form changes, measured on hold-out rows.

    Attributes:
        rows: How many rows.
        difference: Largest difference of a prediction: of a probability, or for a regression as a share of
            the predictions' standard deviation.
        limit: The largest that is allowed.
        metrics: Each metric that the spec sets a threshold for, before and after.
        bytes: Size of the graph before and after.
    """

    rows: int
    difference: float
    limit: float
    metrics: dict[str, tuple[float, float]]
    bytes: tuple[int, int]


def quantised(graph: bytes) -> bytes:
    """Return a graph with its weights in 8 bits.

    Raises:
        ExportError: It has no operator that quantisation applies to, or the library cannot do it.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    before = onnx.load_from_string(graph)
    operators = {node.op_type for node in before.graph.node}
    if not operators & _PRODUCTS:
        raise ExportError(_nothing_to_gain(operators))
    with tempfile.TemporaryDirectory(prefix="mlops-int8-") as folder, _quiet():
        file = f"{folder}/int8.onnx"
        try:
            # In 7 bits of 8, as processors without VNNI let sums of full ones overflow.
            quantize_dynamic(before, file, weight_type=QuantType.QInt8, reduce_range=True)
            after = onnx.load(file)
        except Exception as error:
            said = " ".join(str(error).split())[:200]
            raise ExportError(
                f"int8: the graph cannot be quantised ({type(error).__name__}: {said})"
            ) from error
    if not any(node.op_type.endswith("Integer") for node in after.graph.node):
        raise ExportError(_nothing_to_gain(operators))
    return bytes(after.SerializeToString())


def measure_loss(
    graph: bytes,
    smaller: bytes,
    manifest: Manifest,
    reference: "pd.DataFrame",
    thresholds: "dict[Any, Limit]",
    limit: float,
) -> Loss:
    """Return what the smaller form changes, if it keeps its limits.

    It has to keep each threshold of the spec that the served form keeps on these rows, and to be near it.

    Args:
        graph: The served form.
        smaller: The other one.
        manifest: Of the model.
        reference: Hold-out rows with their target.
        thresholds: The spec's, by metric.
        limit: See :attr:`Loss.limit`.

    Raises:
        AccuracyLost: It changes too much.
    """
    import numpy as np

    matrix = reference[list(manifest.feature_names)].to_numpy("float32")
    served, found = (_answers(form, manifest, matrix) for form in (graph, smaller))
    spread = float(served.std()) if manifest.task == "regression" else 1.0
    difference = float(np.abs(found - served).max()) / (spread or 1.0)
    target = encode_target(reference[manifest.target], manifest.task, manifest.classes)
    metrics = {
        name: (measure(name, target, served), measure(name, target, found)) for name in sorted(thresholds)
    }
    wrong = [f"{name} {after:.4g}, served {before:.4g}" for name, (before, after) in metrics.items()
             if _keeps(thresholds[name], before) and not _keeps(thresholds[name], after)]  # fmt: skip
    if not difference <= limit:
        of = " standard deviations" if manifest.task == "regression" else ""
        wrong.append(f"a prediction differs by {difference:.3g}{of}, more than {limit:.3g}")
    if wrong:
        said = f"int8 loses too much on {len(reference):,} hold-out rows: {'; '.join(wrong)}"
        raise AccuracyLost(f"{said}; export it without --int8")
    return Loss(len(reference), difference, limit, metrics, (len(graph), len(smaller)))


def _answers(form: bytes, manifest: Manifest, matrix: "Array") -> "Array":
    raw = onnx_form.OnnxForm(form, manifest.task).run(matrix)
    return raw[:, 1] if manifest.task == "binary_classification" else raw


def _keeps(limit: Limit, value: float) -> bool:
    low = limit.min is None or value >= limit.min
    return low and (limit.max is None or value <= limit.max)


def _nothing_to_gain(operators: set[str]) -> str:
    return (
        "int8: nothing in this model can be quantised; it has no matrix products, only "
        f"{', '.join(sorted(operators))}. Export it without --int8"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library's advice to developers, which it gives through the root logger, away from users."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
