"""Fit once more, in a fresh process that sees the code that was recorded and nothing of the project.

What a project has become since must not take part: neither its files nor what a long-lived process still
holds of them in memory.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.data.snapshots import read_snapshot
from mlops_assets.errors import MlopsError, TrainingError
from mlops_assets.home import settle_libraries
from mlops_assets.specs.model_spec import Training
from mlops_assets.specs.references import is_installed, is_platform
from mlops_assets.specs.tasks import Task
from mlops_assets.training import onnx_form
from mlops_assets.training.trainer import fit
from mlops_assets.training.unrecorded_inputs import noted_inputs

if TYPE_CHECKING:
    import numpy as np

_ASKED, _CODE, _PREDICTED, _FAILED = "fit.json", "code", "predicted.npy", "failed.txt"
_UNRECORDED = "unrecorded.json"


@dataclass(frozen=True)
class Rows:
    """A table in a file that is known by its content."""

    file: Path
    digest: str


@dataclass(frozen=True)
class RecordedFit:
    """All that a training did with its rows.

    Attributes:
        training: The estimator or function, its parameters and its seed.
        task: What it predicts.
        target: The column to predict.
        time_column: The column that tells hold-out rows.
        holdout_start: Where the hold-out begins, which is not trained on.
        code: The project's own training code: source by its path below an import root; or the model file.
    """

    training: Training
    task: Task
    target: str
    time_column: str
    holdout_start: datetime
    code: Mapping[str, bytes]


@dataclass(frozen=True)
class NewFit:
    """What came of fitting once more.

    Attributes:
        predicted: What it predicts for the hold-out rows, as :func:`onnx_form.native` returns it.
        unrecorded: The inputs it took beside the record, as :func:`noted_inputs` names them, in their order.
    """

    predicted: "np.ndarray[Any, Any]"
    unrecorded: tuple[str, ...]


def fit_again(recorded: RecordedFit, raw: Rows, features: Rows) -> NewFit:
    """Fit once more, in a process of its own.

    Args:
        recorded: What to do.
        raw: The snapshot, for target and times.
        features: The feature table, row by row that of the snapshot.

    Raises:
        TrainingError: It cannot be fitted again; the message says why.
        DataError: The rows are not those of the digests.
    """
    import numpy as np

    with tempfile.TemporaryDirectory(prefix="mlops-refit-") as scratch:
        folder = Path(scratch)
        _lay_out(recorded.code, folder / _CODE)
        asked = {
            "training": recorded.training.model_dump(mode="json"),
            "task": recorded.task,
            "target": recorded.target,
            "time_column": recorded.time_column,
            "holdout_start": recorded.holdout_start.isoformat(),
            "folder": str(folder / _CODE),
            "raw": [str(raw.file), raw.digest],
            "features": [str(features.file), features.digest],
        }
        (folder / _ASKED).write_text(json.dumps(asked))
        # -P: the working folder, which may be the project's, is none to import from.
        command = [sys.executable, "-P", "-m", "mlops_assets.training.isolated_fit", scratch]
        # Nor has a team's code any business with the platform's settings, the signing key among them.
        known = {name: value for name, value in os.environ.items() if not name.startswith("MLOPS_")}
        # So that temporary files of whatever takes part are known as such.
        known["TMPDIR"] = scratch
        ended = subprocess.run(command, env=known, capture_output=True, text=True, check=False)
        if not (predicted := folder / _PREDICTED).exists():
            hint = "" if recorded.code else "; the package holds no code of the project"
            raise TrainingError(f"training it again failed: {_why(folder / _FAILED, ended)}{hint}")
        return NewFit(np.load(predicted), tuple(json.loads((folder / _UNRECORDED).read_text())))


def _why(said: Path, ended: "subprocess.CompletedProcess[str]") -> str:
    """Return why there are no predictions: what the process said of it, or how it ended."""
    if said.exists():
        return said.read_text()
    last = next((line for line in reversed(ended.stderr.splitlines()) if line.strip()), "without a word")
    return f"its process ended with exit code {ended.returncode}: {last}"


def _lay_out(code: Mapping[str, bytes], folder: Path) -> None:
    """Write code so that it can be imported, and hides what has its packages' names elsewhere."""
    for path, source in code.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(source)
        for package in Path(path).parents[:-1]:
            # A package without this file would be continued elsewhere. Ours goes on where it is installed.
            if package != Path("mlops_assets"):
                (folder / package / "__init__.py").touch()


def _see(code: Path) -> None:
    """Have recorded code found before any other."""
    sys.path.insert(0, str(code))
    # The models that lie beside our own code, of which everything else is as it is installed.
    sys.modules["mlops_assets"].__path__.insert(0, str(code / "mlops_assets"))


def main(folder: Path) -> None:
    """Do what the folder asks, and leave there the predictions, or why there are none."""
    settle_libraries()
    import numpy as np

    asked = json.loads((folder / _ASKED).read_text())
    _see(folder / _CODE)
    try:
        before = set(sys.modules)
        predicted, unrecorded = _fit_and_predict(asked, folder)
        _require_recorded(sys.modules.keys() - before, folder / _CODE)
        (folder / _UNRECORDED).write_text(json.dumps(unrecorded))
        np.save(folder / _PREDICTED, predicted)
    except MlopsError as error:
        (folder / _FAILED).write_text(str(error))


def _fit_and_predict(asked: dict[str, Any], scratch: Path) -> "tuple[np.ndarray[Any, Any], list[str]]":
    """Return the predictions for the hold-out rows, and the inputs that are not in the record."""
    raw, features = (read_snapshot(Path(file), digest) for file, digest in (asked["raw"], asked["features"]))
    older = raw[asked["time_column"]] < datetime.fromisoformat(asked["holdout_start"])
    training = Training.model_validate(asked["training"])
    target = raw.loc[older, asked["target"]]
    with noted_inputs(scratch) as unrecorded:
        estimator = fit(training, asked["task"], features[older], target, Path(asked["folder"]))
        predicted = onnx_form.native(estimator, asked["task"], features[~older])
    return predicted, sorted(unrecorded)


def _require_recorded(loaded: Iterable[str], code: Path) -> None:
    """Refuse a fit that took part of a project that is present and not recorded, as no other could do it."""
    specs = (getattr(sys.modules[name], "__spec__", None) for name in loaded)
    files = {spec.name: Path(spec.origin) for spec in specs if spec is not None and spec.has_location}
    foreign = sorted(
        name
        for name, file in files.items()
        if not (file.is_relative_to(code) or is_platform(name) or is_installed(name))
    )
    if foreign:
        raise TrainingError(f"it loads {', '.join(foreign)}, which the package does not hold")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
