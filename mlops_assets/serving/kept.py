"""What was proven here before, kept so that a gateway that starts need not wait for the registry.

=================================  ==============================================================
``models.json``                    the models and their aliases, as the registry last named them
``versions/<digest of name>.json`` a version: its tags, its release among them, and its evidence by name
``packages/<candidate>/``          its package
``evidence/<digest>.json``         what speaks for it, signed
=================================  ==============================================================

It is read as a registry is, and believed as little: signatures, evidence, its age and the release are
verified as for a version that was never seen, and the marks hold. Whoever edits the folder gets refused. So
it makes a start quick and possible; what may serve it does not decide.
"""

import json
import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlops_assets import digests
from mlops_assets.errors import MlopsError, PackageError, RegistryError, StorageError
from mlops_assets.home import write_atomically
from mlops_assets.registry.artifacts import read_file
from mlops_assets.registry.port import ModelVersion, RegisteredModel, RegistryReader
from mlops_assets.registry.proof import Refused

log = logging.getLogger("mlops_assets.gateway")

# A version no alias names any more may be rolled back to; after that long it is fetched anew.
KEPT_SECONDS = 7 * 24 * 3600.0
SWEEP_SECONDS = 3600.0
# A version's record bears the time when it was last needed, to about a day.
_FRESH_SECONDS = 24 * 3600.0

_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
_NUMBER = re.compile("[0-9]{1,18}")
_DIGEST = re.compile("[0-9a-f]{64}")
_EVIDENCE = re.compile(r"evidence/([0-9a-f]{64})\.json")

Key = tuple[str, str]


class Kept:
    """The versions that were proven here, as a registry that can only be read.

    Args:
        folder: Where they are; made when there is something to keep.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._models: dict[str, RegisteredModel] | None = None
        self._swept_at = time.time()

    def models(self) -> dict[str, RegisteredModel]:
        """Return the models as they were last followed; none where nothing is kept or it is unreadable."""
        try:
            found = json.loads((self._folder / "models.json").read_bytes())
            return {
                str(name): RegisteredModel(**{**model, "aliases": _texts(model["aliases"])})
                for name, model in found.items()
            }
        except FileNotFoundError:
            return {}
        except _UNREADABLE as error:
            log.warning("what was kept in %s cannot be read and is not used: %s", self._folder, error)
            return {}

    def version(self, model: str, version: str) -> ModelVersion | None:
        """Return a version as it was kept, or None."""
        if not _NUMBER.fullmatch(version):
            return None
        try:
            found = json.loads(self._record(model, version).read_bytes())
            named = {name: str(found[name]) for name in ("model", "version", "candidate", "run_id")}
            kept = ModelVersion(**named, tags=_texts(found["tags"]))
        except FileNotFoundError:
            return None
        except _UNREADABLE as error:
            raise RegistryError(
                f"what was kept of {model} version {version} cannot be read: {error}"
            ) from error
        # Under another name it would be another version, of which all this says nothing.
        return kept if (kept.model, kept.version) == (model, version) else None

    def by_alias(self, model: str, alias: str) -> ModelVersion | None:
        """Return the version an alias pointed to, or None."""
        known = self.models().get(model)
        version = known.aliases.get(alias) if known else None
        return self.version(model, version) if version else None

    def fetch_package(self, version: ModelVersion, into: Path) -> Path:
        """Return the folder of a version's package: as it is, for its bytes are verified as they are read."""
        if not _DIGEST.fullmatch(version.candidate):
            raise RegistryError(f"{version.candidate[:80]!r} is no digest of a package")
        return self._package(version.candidate)

    def folder_of(self, candidate: str) -> Path | None:
        """Return where the package of a candidate is kept, or None."""
        folder = self._package(candidate)
        return folder if folder.is_dir() else None

    def read_statement(self, run_id: str, path: str) -> bytes | None:
        """Return evidence that was kept, or None."""
        return read_file(self._folder, path) if _EVIDENCE.fullmatch(path) else None

    def keep(
        self,
        registry: RegistryReader,
        version: ModelVersion,
        evidence: Iterable[str],
        package: Path | None = None,
    ) -> None:
        """Keep a version that was proven; where that fails, it is merely not kept.

        Args:
            registry: Where it is from.
            version: The version with what it carries by now; its candidate is the digest of its package.
            evidence: Digests of the evidence that it was proven with.
            package: Its package, unless that was kept before.
        """
        try:
            if package is not None and not (kept := self._package(version.candidate)).exists():
                _copy(package, kept)
            self._keep_record(registry, version, evidence)
        except (OSError, MlopsError) as error:
            log.warning("%s version %s is not kept: %s", version.model, version.version, error)

    def _keep_record(self, registry: RegistryReader, version: ModelVersion, evidence: Iterable[str]) -> None:
        named = sorted(set(evidence))
        for digest in named:
            file = self._folder / "evidence" / f"{digest}.json"
            if not file.exists():
                content = registry.read_statement(version.run_id, f"evidence/{digest}.json")
                if content is None:
                    raise RegistryError(f"evidence {digest[:12]} is gone")
                write_atomically(file, content)
        record = self._record(version.model, version.version)
        content = json.dumps({**asdict(version), "evidence": named}, sort_keys=True).encode()
        if not record.exists() or record.read_bytes() != content:
            write_atomically(record, content)

    def discard(self, model: str, version: str) -> None:
        """Forget a version that was refused, so that it is fetched anew."""
        said = _said(record := self._record(model, version))
        try:
            record.unlink(missing_ok=True)
            for digest in filter(_DIGEST.fullmatch, map(str, said.get("evidence", ()))):
                (self._folder / "evidence" / f"{digest}.json").unlink(missing_ok=True)
        except OSError as error:
            log.warning("what was kept of %s version %s cannot be deleted: %s", model, version, error)
        if _DIGEST.fullmatch(str(said.get("candidate"))):
            shutil.rmtree(self._package(said["candidate"]), ignore_errors=True)

    def follow(self, models: Mapping[str, RegisteredModel], needed: Collection[Key]) -> None:
        """Take over what the registry names, and now and then let go what nobody has needed for long.

        Args:
            models: What it names.
            needed: Versions that are served or may have to be, by model and number.
        """
        try:
            if models != self._models:
                content = {name: asdict(model) for name, model in models.items()}
                write_atomically(self._folder / "models.json", json.dumps(content).encode())
                self._models = dict(models)
            if time.time() - self._swept_at >= SWEEP_SECONDS:
                self._swept_at = time.time()
                self.sweep(needed)
        except (OSError, StorageError) as error:
            log.warning("what is kept in %s is not up to date: %s", self._folder, error)

    def sweep(self, needed: Collection[Key]) -> None:
        """Delete versions that nobody has needed for long, and what belongs to none.

        Raises:
            OSError: Something cannot be deleted.
        """
        now = time.time()
        used = {self._record(*key).name for key in needed}
        candidates: set[str] = set()
        evidence: set[str] = set()
        for record in _listed(self._folder / "versions"):
            age = now - record.stat().st_mtime
            if record.name in used and age > _FRESH_SECONDS:
                os.utime(record)
            elif record.name not in used and age > KEPT_SECONDS:
                record.unlink(missing_ok=True)
                continue
            said = _said(record)
            candidates.add(str(said.get("candidate")))
            evidence.update(f"{digest}.json" for digest in said.get("evidence", ()))
        for folder, in_use in (("packages", candidates), ("evidence", evidence)):
            for place in _listed(self._folder / folder):
                # What is new may be about to be recorded by another gateway on this home.
                if place.name not in in_use and now - place.lstat().st_mtime > SWEEP_SECONDS:
                    _delete(place)

    def _record(self, model: str, version: str) -> Path:
        return self._folder / "versions" / f"{digests.of_json([model, version])}.json"

    def _package(self, candidate: str) -> Path:
        return self._folder / "packages" / candidate


def is_altered(error: BaseException) -> bool:
    """Return whether a version was refused for what its files hold, and not for what is demanded today."""
    if isinstance(error, Refused):
        return any(objection.kind in ("bad_signature", "missing_evidence") for objection in error.objections)
    return isinstance(error, PackageError)


def _copy(package: Path, kept: Path) -> None:
    """Copy a package so that it is there whole or not at all."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=".") as scratch:
        copy = shutil.copytree(package, Path(scratch) / "package")
        os.utime(copy)
        if not kept.exists():
            copy.rename(kept)


def _listed(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def _delete(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)


def _said(record: Path) -> dict[str, Any]:
    try:
        said = json.loads(record.read_bytes())
    except _UNREADABLE:
        return {}
    return said if isinstance(said, dict) else {}


def _texts(value: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(text) for name, text in value.items()}
