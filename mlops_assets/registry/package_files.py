"""Single files of packaged models, without the rest: what monitoring needs of hundreds of versions at once.

A package is named by the digest of its manifest, which names the digests of all its files. So whoever knows
the candidate from a signed release can check any file of it by itself, wherever a copy of it lies.
"""

from pathlib import Path

from mlops_assets import digests
from mlops_assets.errors import PackageError
from mlops_assets.home import write_atomically
from mlops_assets.registry.mlflow_registry import PACKAGE_PATH
from mlops_assets.registry.port import ModelVersion, RegistryReader
from mlops_assets.training.manifest import MANIFEST, Manifest


class PackageFiles:
    """Reads files of packages; asks the registry once for each and keeps a copy.

    Args:
        registry: Where packages are.
        folder: Where copies are kept. Nothing in it is believed: each copy is checked as it is read.
    """

    def __init__(self, registry: RegistryReader, folder: Path) -> None:
        self._registry, self._folder = registry, folder
        self._manifests: dict[str, Manifest] = {}

    def manifest(self, version: ModelVersion) -> Manifest:
        """Return a version's manifest.

        Raises:
            PackageError: It is missing or was altered.
            RegistryError: The registry cannot be reached.
        """
        if version.candidate not in self._manifests:
            content = self._read(version, MANIFEST, version.candidate)
            self._manifests[version.candidate] = Manifest.from_bytes(content)
        return self._manifests[version.candidate]

    def content(self, version: ModelVersion, name: str) -> bytes | None:
        """Return a file of a version's package; None if it has none of that name.

        Raises:
            PackageError: It is missing or was altered.
            RegistryError: The registry cannot be reached.
        """
        signed = self.manifest(version).files.get(name)
        return None if signed is None else self._read(version, name, signed)

    def _read(self, version: ModelVersion, name: str, digest: str) -> bytes:
        copy = self._folder / version.candidate / name
        try:
            content = copy.read_bytes()
        except OSError:
            content = b""
        if content and digests.of_bytes(content) == digest:
            return content
        found = self._registry.read_statement(version.run_id, f"{PACKAGE_PATH}/{name}")
        where = f"{version.model} version {version.version}: {name} of its package"
        if found is None:
            raise PackageError(f"{where} is missing in MLflow run {version.run_id}; run the lifecycle again")
        if digests.of_bytes(found) != digest:
            raise PackageError(f"{where} was altered after signing; it is not read")
        write_atomically(copy, found)
        return found
