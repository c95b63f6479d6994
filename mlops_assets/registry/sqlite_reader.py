"""MLflow's SQLite database, read as it is.

MLflow takes seconds to import and more memory than all that a gateway serves. Read here are six tables, which
MLflow's migrations have left alone since models belong to workspaces. Each revision of the database that was
looked at is named; any other is left to MLflow.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlops_assets.errors import RegistryError
from mlops_assets.registry.artifacts import NeedsMlflow, copy_folder, folder_of, read_file
from mlops_assets.registry.failures import registry_errors
from mlops_assets.registry.mlflow_registry import PACKAGE_PATH
from mlops_assets.registry.port import CANDIDATE_TAG, ModelVersion, RegisteredModel

# MLflow's migrations since a model belongs to a workspace, oldest first.
KNOWN_REVISIONS = frozenset(
    (
        *("1b5f0d9ad7c1", "e1f2a3b4c5d6", "76601a5f987d", "c3d6457b6d8a", "a5b4c3d2e1f0", "ae8bbe7743c9"),
        *("7d34483879f0", "da6fb0208061", "89d3d66ed43f", "b7e4c1a90f23", "a8b9c0d1e2f3", "c1d2e3f4a5b6"),
        *("c3d9e7f1a2b4", "6f8d9c3b2a1e", "1971f2d9a75b", "17e22815139b", "b7e2c1a4d9f3", "75868b020152"),
        "dc11669786a5",
    )
)
_PATIENCE_SECONDS = 10.0
_LATEST = "latest"

# Prompts are models to MLflow too, and left out by it as well.
_MODELS = """
SELECT m.name, m.creation_time, a.alias, a.version
FROM registered_models m
LEFT JOIN registered_model_aliases a ON a.workspace = m.workspace AND a.name = m.name
WHERE m.workspace = 'default' AND NOT EXISTS (
    SELECT 1 FROM registered_model_tags t
    WHERE t.workspace = m.workspace AND t.name = m.name
    AND t.key = 'mlflow.prompt.is_prompt' AND t.value = 'true'
)
"""
_VERSION = """
SELECT run_id FROM model_versions
WHERE workspace = 'default' AND name = ? AND version = ? AND current_stage != 'Deleted_Internal'
"""
_TAGS = "SELECT key, value FROM model_version_tags WHERE workspace = 'default' AND name = ? AND version = ?"
_ALIAS = "SELECT version FROM registered_model_aliases WHERE workspace = 'default' AND name = ? AND alias = ?"
_NEWEST = """
SELECT max(version) FROM model_versions
WHERE workspace = 'default' AND name = ? AND current_stage != 'Deleted_Internal'
"""
_PLACE = "SELECT artifact_uri FROM runs WHERE run_uuid = ?"


class SqliteReader:
    """Reads a registry that is a SQLite database.

    Args:
        uri: MLflow's URI of the database.
        is_new: Whether there may be none yet, which is then an empty one.
    """

    def __init__(self, uri: str, is_new: bool = True) -> None:
        self.uri = uri
        self._path = Path(uri.removeprefix("sqlite:///")).absolute()
        self._seen = not is_new

    def models(self) -> dict[str, RegisteredModel]:
        """Return every registered model by name; none where nobody has registered anything yet."""
        aliases: dict[str, dict[str, str]] = {}
        made: dict[str, int] = {}
        if self._is_none_yet:
            return {}
        with self._database() as database:
            for name, created, alias, version in database.execute(_MODELS):
                made[name] = int(created or 0)
                named = aliases.setdefault(name, {})
                if alias is not None:
                    named[alias] = str(version)
        return {name: RegisteredModel(named, made[name]) for name, named in aliases.items()}

    def version(self, model: str, version: str) -> ModelVersion | None:
        """Return one version, or None."""
        try:
            number = int(version)
        except ValueError:
            return None
        if self._is_none_yet:
            return None
        with self._database() as database:
            return _version(database, model, number)

    def by_alias(self, model: str, alias: str) -> ModelVersion | None:
        """Return the version an alias points to, or None."""
        if self._is_none_yet:
            return None
        with self._database() as database:
            latest = alias.lower() == _LATEST  # which MLflow keeps for itself
            found = database.execute(*(_NEWEST, (model,)) if latest else (_ALIAS, (model, alias))).fetchone()
            return None if found is None or found[0] is None else _version(database, model, found[0])

    def fetch_package(self, version: ModelVersion, into: Path) -> Path:
        """Return a copy of the version's packaged model below ``into``."""
        with registry_errors(self.uri, NeedsMlflow):
            return copy_folder(self._place(version.run_id), PACKAGE_PATH, into)

    def read_statement(self, run_id: str, path: str) -> bytes | None:
        """Return a statement that was kept beside what a run made, or None."""
        with registry_errors(self.uri, NeedsMlflow):
            return read_file(self._place(run_id), path)

    @property
    def _is_none_yet(self) -> bool:
        """Whether nobody has made the database; one that was there and is gone is another matter."""
        return not self._seen and not self._path.exists()

    def _place(self, run_id: str) -> Path:
        with self._database() as database:
            found = database.execute(_PLACE, (run_id,)).fetchone()
        if found is None or not found[0]:
            raise RegistryError(f"model registry {self.uri}: it knows no run {run_id!r}")
        return folder_of(found[0])

    @contextmanager
    def _database(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection that sees one state of the database."""
        with registry_errors(self.uri, NeedsMlflow), closing(self._opened()) as database:
            database.execute("BEGIN")
            self._require_known(database)
            yield database

    def _opened(self) -> sqlite3.Connection:
        # For writing too, though nothing is: what a killed writer left halfway can only be undone by one.
        uri = f"file:{quote(str(self._path))}?mode=rw"
        database = sqlite3.connect(uri, uri=True, timeout=_PATIENCE_SECONDS, isolation_level=None)
        database.execute("PRAGMA query_only = ON")
        self._seen = True
        return database

    def _require_known(self, database: sqlite3.Connection) -> None:
        revisions = {revision for (revision,) in database.execute("SELECT version_num FROM alembic_version")}
        if not revisions or not revisions <= KNOWN_REVISIONS:
            named = ", ".join(sorted(map(str, revisions))) or "none"
            raise NeedsMlflow(f"the database's revision ({named}) is read by MLflow")


def _version(database: sqlite3.Connection, model: str, number: int) -> ModelVersion | None:
    try:
        found = database.execute(_VERSION, (model, number)).fetchone()
    except OverflowError:  # no version has such a number
        return None
    if found is None:
        return None
    tags: dict[str, Any] = dict(database.execute(_TAGS, (model, number)))
    return ModelVersion(model, str(number), tags.get(CANDIDATE_TAG, ""), found[0] or "", tags)
