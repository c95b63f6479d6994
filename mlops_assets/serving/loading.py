"""Prove a registered version, load it, and let it predict before anybody asks it."""

import tempfile
import threading
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import PackageError
from mlops_assets.registry.port import ModelVersion, RegistryReader
from mlops_assets.registry.proof import carried_release
from mlops_assets.serving.kept import Kept
from mlops_assets.serving.process_memory import resident_bytes
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.table import Resident
from mlops_assets.training.package import PackagedModel, prediction_columns
from mlops_assets.training.rehearsal import REHEARSED_ROWS

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_REHEARSAL_TOLERANCE = 1e-5
_MEASURING_SECONDS = 0.5
_measuring = threading.Lock()


def load(
    registry: RegistryReader,
    prover: Prover,
    model: str,
    version: str,
    kept: Kept | None = None,
    *,
    folder: Path | None = None,
    warm: bool = True,
) -> Resident:
    """Return a version that has valid evidence, warm.

    Args:
        registry: Where it is.
        prover: Holds it against its evidence.
        model: Model name.
        version: Version number.
        kept: Where it is kept for the next start.
        folder: A private folder in which the package stays, for whom also wants what a gateway does not load.
        warm: Whether it is to predict here; if not, it is proven and nothing more.

    Raises:
        PackageError: It is not what it should be; nothing of it was unpickled.
        Refused: Its evidence does not let it load; nothing of it was unpickled.
        RegistryError: It cannot be fetched.
        Exception: Whatever its estimator raises when it is loaded or predicts.
    """
    registered = registry.version(model, version)
    if registered is None:
        raise PackageError(f"{model} has no version {version}")
    # The artifact store is shared: only in a copy of our own do the bytes that were verified stay
    # the bytes that are unpickled.
    with nullcontext(folder) if folder else tempfile.TemporaryDirectory(prefix="mlops-gateway-") as private:
        copy = registry.fetch_package(registered, into=Path(private))
        try:
            package = PackagedModel.open(copy, prover.verifier)
            _require_registered(package, registered)
            evidence = prover.evidence(registry, registered, package.digest)
            if warm:
                awaken(package)
        except PackageError as error:
            raise PackageError(str(error).replace(str(copy), f"{model} version {version}")) from error
        if kept is not None:
            release = carried_release(registered, prover.verifier)
            proven_with = [evidence.digest, *([release.evidence] if release else [])]
            kept.keep(registry, registered, proven_with, copy)
            package.folder = kept.folder_of(package.digest) or copy
    return Resident(model, version, package, evidence)


def awaken(package: PackagedModel) -> None:
    """Load what predictions need, and compare a few with those the package was signed with.

    What it takes is measured as the growth of the process's resident memory. A load that has to wait for long
    for another one to be measured goes without.

    Raises:
        PackageError: It predicts otherwise than where it was trained, or its files were altered.
        Exception: Whatever its estimator raises when it is loaded or predicts.
    """
    alone = _measuring.acquire(timeout=_MEASURING_SECONDS)
    try:
        before = resident_bytes()
        package.warm()
        _rehearse(package)
        if alone:
            package.memory = max(0, resident_bytes() - before)
    finally:
        if alone:
            _measuring.release()


def _require_registered(package: PackagedModel, registered: ModelVersion) -> None:
    name = f"{registered.model} version {registered.version}"
    if package.manifest.model != registered.model:
        raise PackageError(f"{name} holds a package of {package.manifest.model}; not loaded")
    if package.digest != registered.candidate:
        raise PackageError(
            f"{name} holds another package ({package.digest[:12]}) than was registered "
            f"({registered.candidate[:12] or 'none'}); not loaded"
        )


def _rehearse(package: PackagedModel) -> None:
    """Compare a few predictions with those the package was signed with.

    This finds a machine whose libraries compute something else, and takes the slow first call.
    """
    import numpy as np

    predicted, signed = _predicted_and_signed(package)
    for name, then in signed.items():
        now = np.asarray(prediction_columns(predicted, package.manifest)[name], dtype="float64")
        distance = np.abs(now - then)
        if not (distance <= _REHEARSAL_TOLERANCE * np.maximum(1.0, np.abs(then))).all():
            raise PackageError(
                f"{package.folder} predicts here otherwise than where it was trained ({name} differs by "
                f"up to {distance.max():.1e}); compare the installed libraries"
            )


def _predicted_and_signed(package: PackagedModel) -> "tuple[Array, dict[str, Array]]":
    import numpy as np

    if (rehearsal := package.rehearsal) is not None:
        signed = {name: np.array(values) for name, values in rehearsal.predictions.items()}
        return package.predict_values(rehearsal.matrix), signed
    rows = package.reference().head(REHEARSED_ROWS)
    predicted = package.predict(rows)
    # Not the labels: they follow from the probabilities, which are compared too.
    columns = {name: rows[name].to_numpy() for name in prediction_columns(predicted, package.manifest)}
    return predicted, {name: then.astype("float64") for name, then in columns.items() if then.dtype != object}
