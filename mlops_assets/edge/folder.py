"""A model as a folder that needs nothing of the platform: it predicts with onnxruntime and numpy only.

Before the folder appears, it has proven in a process of its own that it answers what the platform answers.
"""

import csv
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.digests import of_bytes, of_json
from mlops_assets.edge.quantisation import Loss, measure_loss, quantised
from mlops_assets.errors import ExportError
from mlops_assets.governance.signatures import Signer
from mlops_assets.governance.version_facts import spec_of
from mlops_assets.home import storage_errors
from mlops_assets.serving.proven import Proven
from mlops_assets.specs.data_spec import Column
from mlops_assets.specs.tasks import Limit
from mlops_assets.training import onnx_form
from mlops_assets.training.manifest import Manifest
from mlops_assets.training.package import PackagedModel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FORMAT = "mlops-assets export/1"
# Of a probability, or for a regression of the standard deviation of its predictions.
LARGEST_DIFFERENCE = 0.02
_REFERENCE_ROWS = 500
_TOLERANCE = {"float32": onnx_form.TOLERANCE, "int8": 1e-3}
_PATIENCE_SECONDS = 120


@dataclass(frozen=True)
class Export:
    """A model in a folder.

    Attributes:
        folder: The folder.
        precision: ``float32``, or ``int8`` for the smaller form.
        manifest_digest: Digest of its manifest, thus of every byte in it.
        rows: How many reference rows it holds.
        loss: What the smaller form changes; None for the form that serves.
    """

    folder: Path
    precision: str
    manifest_digest: str
    rows: int
    loss: Loss | None


def export(
    proven: Proven,
    folder: Path,
    signer: Signer,
    *,
    actor: str,
    at: datetime,
    int8: bool = False,
    limit: float = LARGEST_DIFFERENCE,
    deliver: Callable[[Export], None] = lambda export: None,
) -> Export:
    """Write a proven version as a self-contained folder.

    Args:
        proven: The version.
        folder: Where to; must not be there yet.
        signer: The platform key.
        actor: Who asked for it.
        at: When, naive UTC.
        int8: Whether to write the smaller form.
        limit: How much that may differ; see :class:`~mlops_assets.edge.quantisation.Loss`.
        deliver: Told before the folder appears.

    Raises:
        AccuracyLost: The smaller form predicts too differently.
        ExportError: The model cannot be exported, or answers otherwise in the folder than on the platform.
        StorageError: The folder cannot be written.
    """
    package = proven.resident.package
    name = f"{proven.resident.model} version {proven.resident.version}"
    _require_exportable(package, name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} is there already; name a new folder")
    reference = package.reference()
    graph, loss = package.onnx, None
    if int8:
        served, graph = graph, quantised(graph)
        thresholds = _thresholds(proven)
        loss = measure_loss(served, graph, package.manifest, reference, thresholds, limit)
    precision = "int8" if int8 else "float32"
    rows, hidden = _shareable(reference, package.manifest)
    content = {
        "model.onnx": graph,
        "inputs.json": _pretty(_signature(package.manifest, _TOLERANCE[precision])),
        "reference.csv": _reference(graph, package.manifest, rows),
        **{file: _template(file).encode() for file in ("predict.py", "check.py")},
        "README.md": _readme(proven, precision, len(rows), hidden, loss, actor, at).encode(),
    }
    told = _told(proven, precision, loss, actor, at, content)
    content["manifest.json"] = manifest = _pretty(told)
    content["manifest.sig"] = signer.sign(manifest)
    made = Export(folder, precision, of_bytes(manifest), len(rows), loss)
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as aside:
            whole = Path(aside) / "export"
            whole.mkdir()
            for file, each in content.items():
                (whole / file).write_bytes(each)
            _check(whole, name)
            deliver(made)
            whole.replace(folder)
    return made


def _require_exportable(package: PackagedModel, name: str) -> None:
    if package.manifest.feature_function is not None:
        raise ExportError(
            f"{name} computes its features by the function {package.manifest.feature_function}, which needs "
            "more than onnxruntime and numpy; only a model that takes features as they are can be exported"
        )
    if not package.uses_onnx:
        raise ExportError(f"{name} has no ONNX form ({package.manifest.runtime}), so it cannot be exported")


def _thresholds(proven: Proven) -> dict[Any, Limit]:
    spec = proven.resident.evidence.spec
    return dict(spec_of(proven.resident.evidence).evaluation.thresholds) if spec else {}


def _shareable(reference: "pd.DataFrame", manifest: Manifest) -> "tuple[pd.DataFrame, list[str]]":
    """Return rows that may leave the platform, and the sensitive columns, of which all hold one value."""
    step = -(-len(reference) // _REFERENCE_ROWS)
    rows = reference.iloc[::step][list(manifest.feature_names)].reset_index(drop=True)
    sensitive = [column.name for column in manifest.inputs if column.sensitive]
    return rows.assign(**{name: rows[name].median() for name in sensitive}), sensitive


def _signature(manifest: Manifest, tolerance: float) -> dict[str, Any]:
    return {
        "inputs": [_declaration(column) for column in manifest.inputs],
        "outputs": _outputs(manifest),
        # Which of the graph's outputs holds them.
        "answer": 0 if manifest.task == "regression" else 1,
        "tolerance": tolerance,
    }


def _declaration(column: Column) -> dict[str, Any]:
    return column.model_dump(mode="json", exclude_none=True, exclude={"sensitive"})


def _outputs(manifest: Manifest) -> list[str]:
    if manifest.task == "multiclass_classification":
        return [f"probability_{label}" for label in manifest.classes]
    return ["prediction"]


def _reference(graph: bytes, manifest: Manifest, rows: "pd.DataFrame") -> bytes:
    """Return rows and what the graph answers to them, as CSV."""
    matrix = rows.to_numpy("float32")
    raw = onnx_form.OnnxForm(graph, manifest.task).run(matrix)
    names = _outputs(manifest)
    expected: np.ndarray[Any, Any] = raw.reshape(len(rows), -1)[:, -len(names) :]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*rows.columns, *(f"expected_{name}" for name in names)])
    for row, answer in zip(rows.to_numpy("float64").tolist(), expected.tolist(), strict=True):
        writer.writerow([*("" if value != value else value for value in row), *answer])
    return file.getvalue().encode()


def _told(
    proven: Proven,
    precision: str,
    loss: Loss | None,
    actor: str,
    at: datetime,
    content: Mapping[str, bytes],
) -> dict[str, Any]:
    resident, release = proven.resident, proven.release
    return {
        "format": FORMAT,
        "model": resident.model,
        "version": resident.version,
        "candidate": resident.package.digest,
        "evidence": resident.evidence.digest,
        "release": of_json(release.plain()),
        "task": resident.package.manifest.task,
        "precision": precision,
        "loss": asdict(loss) if loss else None,
        "exported_at": f"{at.isoformat(timespec='seconds')}Z",
        "exported_by": actor,
        "files": {name: of_bytes(each) for name, each in content.items()},
    }


def _readme(
    proven: Proven,
    precision: str,
    rows: int,
    hidden: list[str],
    loss: Loss | None,
    actor: str,
    at: datetime,
) -> str:
    evidence = proven.resident.evidence
    without = f"; {', '.join(hidden)}, which is sensitive, has the same value in all" if hidden else ""
    return _template("README.md").format(
        model=proven.resident.model,
        version=proven.resident.version,
        purpose=evidence.spec.get("purpose", ""),
        owner=evidence.owner,
        actor=actor,
        at=at.isoformat(timespec="seconds"),
        precision="its weights in 8 bits"
        if precision == "int8"
        else "the very bytes that the platform serves",
        rows=rows,
        without=without,
        loss=_loss_told(loss),
    )


def _loss_told(loss: Loss | None) -> str:
    if loss is None:
        return ""
    metrics = "".join(
        f"; {name} {after:.4g}, served {before:.4g}" for name, (before, after) in loss.metrics.items()
    )
    return (
        f"\nOn {loss.rows:,} hold-out rows, predictions differ by at most {loss.difference:.3g} from those "
        f"of the form that serves (allowed: {loss.limit:.3g}){metrics}.\n"
    )


def _template(name: str) -> str:
    return (files(__package__) / "templates" / f"{name}.txt").read_text()


def _pretty(value: Any) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False).encode() + b"\n"


def _check(folder: Path, name: str) -> None:
    """Have the folder check itself in a process that knows nothing of the platform.

    Raises:
        ExportError: It answers otherwise, or not at all.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    command = [sys.executable, "-s", "-B", "check.py"]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_PATIENCE_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise ExportError(f"{name}: the exported folder did not answer in {_PATIENCE_SECONDS} s") from None
    if done.returncode:
        said = (done.stdout or done.stderr).strip().splitlines()
        raise ExportError(f"{name} answers otherwise outside the platform: {said[-1] if said else 'no word'}")
