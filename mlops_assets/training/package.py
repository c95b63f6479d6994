"""The packaged model: all that serving needs, in one signed folder.

======================  ====================================================================
``manifest.json``       inputs, task, classes, runtime, and the digest of every other file
``manifest.sig``        Ed25519 signature of the manifest
``estimator.pkl``       the native form
``estimator.onnx``      the ONNX form, where it agrees with the native one
``features.py``         the feature function's source, where there is one
``reference.parquet``   hold-out rows with target and prediction: what monitoring compares with
``reference.msgpack``   what monitoring compares with: their profile, and how columns varied before
``rehearsal.json``      the first of them, if they are numbers: what a gateway tries before it serves
``environment.json``    every installed distribution: version, licence and supplier, as at the training
``code/…``              the project's own training code, where there is any
======================  ====================================================================

Nothing is read from a folder whose manifest is not signed by the platform key or whose files are
not those the manifest names; in particular nothing is unpickled before that. Files are checked when
the package is opened, and again as they are read, so that a file exchanged in between is not loaded.
"""

import io
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mlops_assets import digests
from mlops_assets.data.features import FeatureView, in_order
from mlops_assets.errors import PackageError
from mlops_assets.governance.environment import Environment
from mlops_assets.governance.signatures import Signer, Verifier
from mlops_assets.home import storage_errors
from mlops_assets.specs.model_spec import Column, Entity
from mlops_assets.specs.references import is_installed
from mlops_assets.specs.tasks import Task
from mlops_assets.training import onnx_form
from mlops_assets.training.envelope import NUMBERS
from mlops_assets.training.rehearsal import REHEARSAL, Rehearsal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FORMAT = 1
MANIFEST, SIGNATURE, ENVIRONMENT = "manifest.json", "manifest.sig", "environment.json"
_CODE = "code/"


@dataclass(frozen=True)
class Manifest:
    """What a packaged model says of itself.

    Attributes:
        model: Model name.
        task: What it predicts.
        inputs: Raw columns a request must carry.
        feature_names: Columns of the feature matrix, in order.
        feature_types: Their types, which the few rows of a request may not tell.
        feature_function: Name of the function in ``features.py``, or None.
        classes: Class labels in the order of the probabilities; empty for a regression.
        runtime: ``onnx`` or ``native``, and why.
        time_column: Raw or extra column that holds the event's time.
        target: Name of the predicted column.
        lineage: Digests and times that tell where the model comes from.
        files: Digest of every other file, by name.
        entity: What tells whom or what a row is about; None if nothing does.
        envelope: Lowest and highest value of each number column in the rows trained on; empty if not known.
    """

    model: str
    task: Task
    inputs: tuple[Column, ...]
    feature_names: tuple[str, ...]
    feature_types: dict[str, str]
    feature_function: str | None
    classes: tuple[Any, ...]
    runtime: str
    time_column: str
    target: str
    lineage: dict[str, str]
    files: dict[str, str] = field(default_factory=dict)
    entity: Entity | None = None
    envelope: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def takes_numbers(self) -> bool:
        """Whether the model takes its inputs as they are, and each is a number."""
        as_they_are = self.feature_names == tuple(column.name for column in self.inputs)
        numeric = all(column.type in NUMBERS for column in self.inputs)
        return numeric and as_they_are and self.feature_function is None

    def to_bytes(self) -> bytes:
        """Return the canonical JSON form, which is what gets signed."""
        value = {
            **vars(self),
            "format": FORMAT,
            "inputs": [c.model_dump(mode="json") for c in self.inputs],
            "entity": self.entity and self.entity.model_dump(mode="json"),
        }
        if self.entity is None:  # as in packages of before there was one, whose digest names them
            del value["entity"]
        if not self.envelope:
            del value["envelope"]
        return digests.canonical_json(value)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Manifest":
        """Return the manifest that :meth:`to_bytes` wrote.

        Raises:
            PackageError: The format is unknown.
        """
        value = json.loads(content)
        if value.pop("format", None) != FORMAT:
            raise PackageError("the packaged model has another format; retrain it with this version")
        value["inputs"] = tuple(Column.model_validate(c) for c in value["inputs"])
        if "entity" in value:
            value["entity"] = Entity.model_validate(value["entity"])
        value["envelope"] = {name: (low, high) for name, (low, high) in value.get("envelope", {}).items()}
        for name in ("feature_names", "classes"):
            value[name] = tuple(value[name])
        return cls(**value)


class PackagedModel:
    """A verified packaged model, ready to predict.

    Args:
        folder: The package's folder.
        manifest: Its manifest, already verified.

    Attributes:
        used_at: When it predicted last, by whatever clock whoever needs this goes by.
        memory: Bytes that loading it took, where that was measured.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest
        self.used_at = 0.0
        self.memory: int | None = None

    @property
    def digest(self) -> str:
        """The candidate's identity: the digest of its manifest, thus of every byte in it."""
        return digests.of_bytes(self.manifest.to_bytes())

    @classmethod
    def open(cls, folder: Path, verifier: Verifier) -> "PackagedModel":
        """Return the package in ``folder`` after proving that it is what the platform signed.

        Raises:
            PackageError: It is missing, unsigned, signed by another key, or altered.
        """
        try:
            content = (folder / MANIFEST).read_bytes()
            signature = (folder / SIGNATURE).read_bytes()
        except OSError as error:
            raise PackageError(f"{folder} holds no packaged model: {error.strerror}") from error
        if not verifier.verify(content, signature):
            raise PackageError(f"{folder}: the manifest is not signed with the platform key; not loaded")
        manifest = Manifest.from_bytes(content)
        package = cls(folder, manifest)
        for name in manifest.files:
            package.content(name)
        return package

    def content(self, name: str) -> bytes:
        """Return the bytes of a file, which are those that were signed.

        Raises:
            PackageError: They are not, or there is no such file.
        """
        file = self.folder / name
        signed = self.manifest.files.get(name)
        if signed is None:
            raise PackageError(f"{file} is not among the signed files; it is not loaded")
        try:
            content = file.read_bytes()
        except OSError as error:
            raise PackageError(f"{file} is missing; the package is not loaded") from error
        if digests.of_bytes(content) != signed:
            raise PackageError(f"{file} was altered after signing; the package is not loaded")
        return content

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    @property
    def environment(self) -> Environment | None:
        """What was installed at the training; None in a package of before that was kept."""
        if ENVIRONMENT not in self.manifest.files:
            return None
        return Environment.from_bytes(self.content(ENVIRONMENT))

    @property
    def code(self) -> dict[str, bytes]:
        """The project's own training code: source by its path below an import root."""
        names = (name for name in self.manifest.files if name.startswith(_CODE))
        return {name.removeprefix(_CODE): self.content(name) for name in names}

    @cached_property
    def view(self) -> FeatureView:
        """The feature view that travelled with the model."""
        manifest = self.manifest
        if manifest.feature_function is None:
            return FeatureView(manifest.inputs)
        source = self.content("features.py").decode()
        return FeatureView(manifest.inputs, source, manifest.feature_function)

    @cached_property
    def _onnx_form(self) -> onnx_form.OnnxForm:
        return onnx_form.OnnxForm(self.onnx, self.manifest.task)

    @cached_property
    def estimator(self) -> Any:
        """The native estimator, from the very bytes that were signed; what explains predictions."""
        import pickle

        return pickle.loads(self.content("estimator.pkl"))  # noqa: S301  (signed, and unaltered)

    @property
    def onnx(self) -> bytes:
        """The ONNX form, in the very bytes that were signed.

        Raises:
            PackageError: It has none.
        """
        return self.content("estimator.onnx")

    @cached_property
    def uses_onnx(self) -> bool:
        """Whether predictions come from the ONNX form."""
        return "estimator.onnx" in self.manifest.files

    def warm(self) -> None:
        """Load what the first prediction would load."""
        _ = self.view
        _ = self._onnx_form if self.uses_onnx else self.estimator

    @property
    def is_warm(self) -> bool:
        """Whether it is loaded, so that a prediction does not have to wait for that."""
        return ("_onnx_form" if self.uses_onnx else "estimator") in self.__dict__

    def cool(self) -> None:
        """Let go of what :meth:`warm` loads; a prediction loads it again, from the bytes that were signed."""
        for loaded in ("_onnx_form", "estimator"):
            vars(self).pop(loaded, None)

    def predict(self, rows: "pd.DataFrame") -> "np.ndarray[Any, Any]":
        """Return predictions for raw rows, as served.

        Args:
            rows: Raw input columns in their declared types.

        Returns:
            For a binary classification the probability of the second class, shape (n,); for more
            classes all probabilities, shape (n, classes); for a regression values, shape (n,).

        Raises:
            DataError: The feature function refuses the rows.
        """
        return self.predict_features(self.view.compute(rows, self.manifest.feature_types))

    def predict_natively(self, features: "pd.DataFrame") -> "np.ndarray[Any, Any]":
        """Return the native form's raw output for feature rows; see :func:`onnx_form.native`."""
        ordered = in_order(features, [*self.manifest.feature_names])
        return onnx_form.native(self.estimator, self.manifest.task, ordered)

    def predict_features(self, features: "pd.DataFrame") -> "np.ndarray[Any, Any]":
        """Return predictions for feature rows; see :meth:`predict`."""
        if self.uses_onnx:
            ordered = in_order(features, [*self.manifest.feature_names])
            raw = self._onnx_form.run(ordered.to_numpy(dtype="float32"))
        else:
            raw = self.predict_natively(features)
        return raw[:, 1] if self.manifest.task == "binary_classification" else raw

    def predict_values(self, values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Return predictions of a model that computes no features; see :meth:`predict`.

        Args:
            values: The inputs as numbers, in the manifest's order, float64; shape (n, inputs).
        """
        served = values.astype("float32", order="C")
        if not self.uses_onnx:
            import pandas as pd

            return self.predict_features(pd.DataFrame(served, columns=[c.name for c in self.manifest.inputs]))
        raw = self._onnx_form.run(served)
        return raw[:, 1] if self.manifest.task == "binary_classification" else raw

    def reference(self) -> "pd.DataFrame":
        """Return hold-out rows: raw inputs, the target, and the served prediction."""
        import pandas as pd

        return pd.read_parquet(io.BytesIO(self.content("reference.parquet")))

    @property
    def rehearsal(self) -> Rehearsal | None:
        """A few of these rows; None where they are not numbers, or in a package of before they were kept."""
        return Rehearsal.from_bytes(self.content(REHEARSAL)) if REHEARSAL in self.manifest.files else None


def write_package(
    folder: Path,
    estimator: Any,
    view: FeatureView,
    manifest: Manifest,
    onnx: bytes | None,
    reference: "pd.DataFrame",
    signer: Signer,
    *,
    environment: Environment | None = None,
    code: Mapping[str, bytes] = MappingProxyType({}),
    further: Callable[[PackagedModel], Mapping[str, bytes]] = lambda draft: {},
) -> PackagedModel:
    """Write and sign a package.

    Args:
        folder: Empty or missing folder to write to.
        estimator: The fitted estimator.
        view: How its features are computed.
        manifest: All but the files' digests, which are filled in here.
        onnx: The ONNX form, if it agreed.
        reference: Hold-out raw inputs and target; predictions are added here.
        signer: The platform key.
        environment: What is installed, for whoever trains it again.
        code: The project's own training code, likewise: source by its path below an import root.
        further: Returns files to add, by name, that need the version's predictions to be made.

    Raises:
        StorageError: The disk is full or the folder is not writable.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "estimator.pkl").write_bytes(_pickled(estimator))
        if onnx is not None:
            (folder / "estimator.onnx").write_bytes(onnx)
        if view.source is not None:
            (folder / "features.py").write_bytes(view.source.encode())
        if environment is not None:
            (folder / ENVIRONMENT).write_bytes(environment.to_bytes())
        for path, source in code.items():
            file = folder / _CODE / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(source)
        written = sorted(file for file in folder.rglob("*") if file.is_file())
        files = {file.relative_to(folder).as_posix(): digests.of_file(file) for file in written}
        draft = PackagedModel(folder, Manifest(**{**vars(manifest), "files": files}))
        predicted = prediction_columns(draft.predict(reference), manifest)
        with_prediction = reference.assign(**predicted)
        with_prediction.to_parquet(folder / "reference.parquet", index=False)
        files["reference.parquet"] = digests.of_file(folder / "reference.parquet")
        if draft.uses_onnx and (rows := Rehearsal.of(with_prediction, list(predicted), manifest)):
            (folder / REHEARSAL).write_bytes(rows.to_bytes())
            files[REHEARSAL] = digests.of_file(folder / REHEARSAL)
        for name, content in further(draft).items():
            (folder / name).write_bytes(content)
            files[name] = digests.of_bytes(content)
        final = Manifest(**{**vars(manifest), "files": files})
        content = final.to_bytes()
        (folder / MANIFEST).write_bytes(content)
        (folder / SIGNATURE).write_bytes(signer.sign(content))
    return PackagedModel(folder, final)


def prediction_columns(predicted: "np.ndarray[Any, Any]", manifest: Manifest) -> "dict[str, Any]":
    """Return predictions as flat columns: ``prediction``, plus the probability of each class."""
    import numpy as np

    if predicted.ndim == 1:
        return {"prediction": predicted}
    labels = np.asarray(manifest.classes, dtype=object)[predicted.argmax(axis=1)]
    probabilities = {f"probability_{c}": predicted[:, i] for i, c in enumerate(manifest.classes)}
    return {"prediction": labels, **probabilities}


def _pickled(estimator: Any) -> bytes:
    """Return the pickled estimator, with all project code it uses inside it.

    A class from the team's own project would not import in a gateway that lacks the project.
    """
    import cloudpickle

    packages = {name.partition(".")[0] for name in sys.modules}
    found = [sys.modules[name] for name in packages if name in sys.modules and not is_installed(name)]
    # Once each: the main module goes by two names where processes are spawned.
    own = {module.__name__: module for module in found}.values()
    for module in own:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(estimator))
    finally:
        for module in own:
            cloudpickle.unregister_pickle_by_value(module)
