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
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets import digests
from mlops_assets.data.features import FeatureView, in_order
from mlops_assets.errors import PackageError
from mlops_assets.governance.environment import Environment
from mlops_assets.governance.signatures import Verifier
from mlops_assets.training import onnx_form
from mlops_assets.training.manifest import MANIFEST, SIGNATURE, Manifest
from mlops_assets.training.rehearsal import REHEARSAL, Rehearsal

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

ENVIRONMENT = "environment.json"
CODE = "code/"


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
        names = (name for name in self.manifest.files if name.startswith(CODE))
        return {name.removeprefix(CODE): self.content(name) for name in names}

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


def prediction_columns(predicted: "np.ndarray[Any, Any]", manifest: Manifest) -> "dict[str, Any]":
    """Return predictions as flat columns: ``prediction``, plus the probability of each class."""
    import numpy as np

    if predicted.ndim == 1:
        return {"prediction": predicted}
    labels = np.asarray(manifest.classes, dtype=object)[predicted.argmax(axis=1)]
    probabilities = {f"probability_{c}": predicted[:, i] for i, c in enumerate(manifest.classes)}
    return {"prediction": labels, **probabilities}
