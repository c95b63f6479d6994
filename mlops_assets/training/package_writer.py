"""A packaged model is written: each file, then their digests, then the signature of these."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mlops_assets import digests
from mlops_assets.data.features import FeatureView
from mlops_assets.governance.environment import Environment
from mlops_assets.governance.signatures import Signer
from mlops_assets.home import storage_errors
from mlops_assets.specs.references import is_installed
from mlops_assets.training.manifest import MANIFEST, SIGNATURE, Manifest
from mlops_assets.training.package import CODE, ENVIRONMENT, PackagedModel, prediction_columns
from mlops_assets.training.rehearsal import REHEARSAL, Rehearsal

if TYPE_CHECKING:
    import pandas as pd


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
            file = folder / CODE / path
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
