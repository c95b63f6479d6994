"""Which source a model's columns come from: the same file, table, query or function is the same source."""

import os
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mlops_assets import digests
from mlops_assets.monitoring.incidents.alarm import Upstream
from mlops_assets.specs.data_spec import CsvSource, ParquetSource, PythonSource, Source, SqlSource
from mlops_assets.specs.durations import UtcTime
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Risk

_QUERY_DIGITS = 10


def source_identity(source: Source, folder: Path, root: Path) -> str:
    """Return a source's name in words, which is also how one knows it again in another spec.

    Args:
        source: As a spec declares it.
        folder: The spec's folder, to which relative paths refer.
        root: The project's; a file below it has the same name on every machine.
    """
    match source:
        case PythonSource():
            return f"function {source.function}"
        case CsvSource() | ParquetSource():
            path = Path(os.path.normpath(folder.absolute() / source.path))
            return f"file {path.relative_to(root) if path.is_relative_to(root) else path}"
        case SqlSource():
            where = f"${source.url_env}" if source.url_env else str(source.url)
            if source.table is not None:
                return f"table {source.table} in {where}"
            words = " ".join(str(source.query).split())
            return f"query {digests.of_bytes(words.encode())[:_QUERY_DIGITS]} on {where}"


class WatchedModel(BaseModel):
    """A model of the fleet and what it hangs on: who could have raised an alarm, and did or did not.

    Attributes:
        model: Model name.
        owner: Who answers for it.
        risk: Its risk.
        version: Version that serves; None if none does.
        deployed_at: Since when.
        reads: The columns it reads, wherever they come from.
        labels: Where its labels come from.
        judged_until: End of the newest window that was judged, in this pass or before; None if none was.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    owner: str
    risk: Risk
    version: str | None = None
    deployed_at: UtcTime | None = None
    reads: frozenset[Upstream] = frozenset()
    labels: Upstream | None = None
    judged_until: UtcTime | None = None

    @classmethod
    def of(
        cls,
        spec: ModelSpec,
        folder: Path,
        root: Path,
        *,
        version: str | None = None,
        deployed_at: UtcTime | None = None,
        judged_until: UtcTime | None = None,
    ) -> "WatchedModel":
        """Return a model by its spec.

        Args:
            spec: The spec.
            folder: The spec's folder.
            root: The project's.
            version: Version that serves.
            deployed_at: Since when.
            judged_until: End of the newest window that was judged.
        """
        names = [column.name for column in spec.data.features]
        reads = [
            Upstream(source=source, column=name) for source in _sources(spec, folder, root) for name in names
        ]
        labels = Upstream(source=source_identity(spec.data.source, folder, root), column=spec.data.target)
        return cls(
            model=spec.name,
            owner=spec.owner,
            risk=spec.risk,
            version=version,
            deployed_at=deployed_at,
            reads=frozenset(reads),
            labels=labels,
            judged_until=judged_until,
        )

    def upstream_of(self, column: str) -> tuple[Upstream, ...]:
        """Return where a column of its input comes from."""
        return tuple(sorted((each for each in self.reads if each.column == column), key=lambda x: x.source))

    @property
    def sources(self) -> tuple[str, ...]:
        """What it reads, in order of name."""
        return tuple(sorted({each.source for each in self.reads}))


class Lineage:
    """All models of the fleet, and which of them hang on what.

    Args:
        models: Every model, also those that are not judged in a pass.
    """

    def __init__(self, models: Iterable[WatchedModel]) -> None:
        self.models = {each.model: each for each in models}

    def readers(self, source: str, column: str = "") -> frozenset[str]:
        """Return the models that read a column; any of the source if it is empty."""
        return self._readers.get((source, column), frozenset())

    def labelled_by(self, source: str, column: str = "") -> frozenset[str]:
        """Return the models whose labels are a column; any of the source if it is empty."""
        return self._labelled.get((source, column), frozenset())

    def labels_of(self, model: str) -> Upstream | None:
        """Return where a model's labels come from, if anybody knows."""
        found = self.models.get(model)
        return found.labels if found else None

    def columns_read(self, model: str, source: str) -> int:
        """Return how many columns of a source a model reads."""
        return self._counts.get((model, source), 0)

    def judged_since(self, model: str, time: datetime) -> bool:
        """Return whether a window of a model that ends after a time was judged."""
        found = self.models.get(model)
        return found is not None and found.judged_until is not None and found.judged_until > time

    @cached_property
    def _readers(self) -> dict[tuple[str, str], frozenset[str]]:
        return _models_by(
            (key, each.model)
            for each in self.models.values()
            for read in each.reads
            for key in {(read.source, ""), (read.source, read.column or "")}
        )

    @cached_property
    def _labelled(self) -> dict[tuple[str, str], frozenset[str]]:
        return _models_by(
            (key, each.model)
            for each in self.models.values()
            if each.labels is not None
            for key in {(each.labels.source, ""), (each.labels.source, each.labels.column or "")}
        )

    @cached_property
    def _counts(self) -> Counter[tuple[str, str]]:
        return Counter((each.model, read.source) for each in self.models.values() for read in each.reads)


def _models_by(pairs: Iterable[tuple[tuple[str, str], str]]) -> dict[tuple[str, str], frozenset[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for key, model in pairs:
        found.setdefault(key, set()).add(model)
    return {key: frozenset(models) for key, models in found.items()}


def _sources(spec: ModelSpec, folder: Path, root: Path) -> list[str]:
    """Return what a model reads: where it learns from and, if it scores a file or table, that one."""
    found = [spec.data.source] if spec.batch is None else [spec.data.source, spec.batch.input]
    return list(dict.fromkeys(source_identity(source, folder, root) for source in found))
