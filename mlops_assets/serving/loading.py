"""Prove a registered version, load it, and let it predict before anybody asks it."""

import tempfile
from pathlib import Path

from mlops_assets.errors import PackageError
from mlops_assets.registry.port import ModelVersion, Registry
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.table import Resident
from mlops_assets.training.package import PackagedModel, prediction_columns

_REHEARSED_ROWS = 16
_REHEARSAL_TOLERANCE = 1e-5


def load(registry: Registry, prover: Prover, model: str, version: str) -> Resident:
    """Return a version that has valid evidence, warm.

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
    with tempfile.TemporaryDirectory(prefix="mlops-gateway-") as private:
        folder = registry.fetch_package(registered, into=Path(private))
        try:
            package = PackagedModel.open(folder, prover.verifier)
            _require_registered(package, registered)
            evidence = prover.evidence(registry, registered, package.digest)
            package.warm()
            _rehearse(package)
        except PackageError as error:
            raise PackageError(str(error).replace(str(folder), f"{model} version {version}")) from error
    return Resident(model, version, package, evidence)


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

    rows = package.reference().head(_REHEARSED_ROWS)
    for name, now in prediction_columns(package.predict(rows), package.manifest).items():
        signed = rows[name].to_numpy()
        if signed.dtype == object:
            continue  # labels follow from the probabilities, which are compared too
        distance = np.abs(np.asarray(now, dtype="float64") - signed.astype("float64"))
        if not (distance <= _REHEARSAL_TOLERANCE * np.maximum(1.0, np.abs(signed))).all():
            raise PackageError(
                f"{package.folder} predicts here otherwise than where it was trained ({name} differs by "
                f"up to {distance.max():.1e}); compare the installed libraries"
            )
