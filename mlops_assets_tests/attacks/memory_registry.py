"""The registry's port in memory, with MLflow's semantics, and what anybody may do with rights in MLflow.

A test holds it against MLflow itself, operation by operation.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlops_assets.errors import RegistryError
from mlops_assets.registry.port import CANDIDATE_TAG, ModelVersion, RegisteredModel

Files = dict[str, bytes]


@dataclass
class _Version:
    run_id: str
    tags: dict[str, str]


@dataclass
class _Model:
    made: int
    versions: dict[str, _Version] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    ever: int = 0


class MemoryRegistry:
    """Models, versions, aliases, tags, and the files of each run: its package and its statements."""

    def __init__(self) -> None:
        self.packages: dict[str, Files] = {}
        self.statements: dict[str, Files] = {}
        self._models: dict[str, _Model] = {}
        self._clock = itertools.count(1)

    # What the platform asks for.

    def models(self) -> dict[str, RegisteredModel]:
        return {name: RegisteredModel(dict(m.aliases), m.made) for name, m in self._models.items()}

    def versions(self, model: str) -> list[ModelVersion]:
        known = self._models.get(model)
        return [self._shown(model, number) for number in known.versions] if known else []

    def version(self, model: str, version: str) -> ModelVersion | None:
        known = self._models.get(model)
        return self._shown(model, version) if known and version in known.versions else None

    def by_alias(self, model: str, alias: str) -> ModelVersion | None:
        known = self._models.get(model)
        return self.version(model, known.aliases.get(alias, "")) if known else None

    def register(
        self,
        model: str,
        run_id: str,
        candidate: str,
        tags: Mapping[str, str],
        *,
        purpose: str = "",
        summary: str = "",
    ) -> ModelVersion:
        for known in self.versions(model):
            if (known.candidate, known.run_id) == (candidate, run_id):
                return known
        if model not in self._models:
            self.create_model(model)
        return self._shown(model, self.create_version(model, run_id, {**tags, CANDIDATE_TAG: candidate}))

    def set_alias(self, model: str, alias: str, version: str) -> None:
        if version not in self._model(model).versions:
            raise RegistryError(f"{model} has no version {version}")
        self._models[model].aliases[alias] = version

    def delete_alias(self, model: str, alias: str) -> None:
        self._model(model).aliases.pop(alias, None)

    def set_tag(self, model: str, version: str, key: str, value: str) -> None:
        self._version(model, version).tags[key] = value

    def fetch_package(self, version: ModelVersion, into: Path | None = None) -> Path:
        assert into is not None
        files = self.packages.get(version.run_id)
        if files is None:
            raise RegistryError(f"run {version.run_id} holds no package")
        folder = into / "package"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return folder

    def write_statement(self, run_id: str, path: str, content: bytes) -> None:
        self.statements.setdefault(run_id, {})[path] = content

    def read_statement(self, run_id: str, path: str) -> bytes | None:
        return self.statements.get(run_id, {}).get(path)

    # What else MLflow lets anybody do.

    def create_model(self, model: str) -> None:
        if model in self._models:
            raise RegistryError(f"{model} already exists")
        self._models[model] = _Model(next(self._clock))

    def delete_model(self, model: str) -> None:
        self._model(model)
        del self._models[model]

    def rename_model(self, model: str, name: str) -> None:
        if name in self._models:
            raise RegistryError(f"{name} already exists")
        self._models[name] = self._model(model)
        del self._models[model]

    def create_version(self, model: str, run_id: str, tags: Mapping[str, str]) -> str:
        known = self._model(model)
        known.ever += 1
        known.versions[str(known.ever)] = _Version(run_id, dict(tags))
        return str(known.ever)

    def delete_version(self, model: str, version: str) -> None:
        self._version(model, version)
        known = self._models[model]
        del known.versions[version]
        known.aliases = {alias: named for alias, named in known.aliases.items() if named != version}

    def delete_tag(self, model: str, version: str, key: str) -> None:
        self._version(model, version).tags.pop(key, None)

    def _model(self, model: str) -> _Model:
        if model not in self._models:
            raise RegistryError(f"there is no model {model}")
        return self._models[model]

    def _version(self, model: str, version: str) -> _Version:
        found = self._model(model).versions.get(version)
        if found is None:
            raise RegistryError(f"{model} has no version {version}")
        return found

    def _shown(self, model: str, version: str) -> ModelVersion:
        found = self._models[model].versions[version]
        candidate = found.tags.get(CANDIDATE_TAG, "")
        return ModelVersion(model, version, candidate, found.run_id, dict(found.tags))
