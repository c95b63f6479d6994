"""Known vulnerabilities of components, as files in the form of the Open Source Vulnerability schema.

Source: OSV schema 1.7, section "Evaluation": a version is affected if it is listed, or if of the events of
a range that are not after it the last one says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from mlops_assets import digests
from mlops_assets.errors import SpecError

if TYPE_CHECKING:
    from packaging.version import Version

_COMPARABLE = ("ECOSYSTEM", "SEMVER")  # the third type of range, GIT, is about commits


class _Osv(BaseModel):
    """A part of a record; what we have no use for is left out."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Event(_Osv):
    """Where a range of affected versions begins or ends; exactly one is set."""

    introduced: str | None = None
    fixed: str | None = None
    last_affected: str | None = None
    limit: str | None = None


class Range(_Osv):
    """Affected versions, told by events."""

    type: str
    events: tuple[Event, ...]


class Package(_Osv):
    """What is affected."""

    ecosystem: str
    name: str


class Affected(_Osv):
    """The affected versions of one package."""

    package: Package | None = None
    ranges: tuple[Range, ...] = ()
    versions: tuple[str, ...] = ()


class Record(_Osv):
    """One advisory as it is written."""

    id: str
    modified: str = ""
    withdrawn: str | None = None
    aliases: tuple[str, ...] = ()
    summary: str = ""
    details: str = ""
    affected: tuple[Affected, ...] = ()
    database_specific: dict[str, Any] = {}

    @cached_property
    def python(self) -> list[tuple[str, Affected]]:
        """What it says about Python packages, by normalized name; nothing if it was withdrawn."""
        from packaging.utils import canonicalize_name

        return [
            (canonicalize_name(entry.package.name), entry)
            for entry in self.affected
            if entry.package and entry.package.ecosystem.partition(":")[0] == "PyPI" and not self.withdrawn
        ]


@dataclass(frozen=True)
class Advisory:
    """One known vulnerability of one version of a component.

    Attributes:
        id: Its identifier, such as ``PYSEC-2024-1``.
        aliases: Its names in other databases, such as ``CVE-2024-1``.
        severity: Severity in the words of the database, or empty.
        summary: What it is about.
        fixed_in: First version after the affected one that has no such flaw; None if there is none.
    """

    id: str
    aliases: tuple[str, ...]
    severity: str
    summary: str
    fixed_in: str | None


@dataclass(frozen=True, eq=False)
class Advisories:
    """The advisories of a file that are about Python packages.

    Attributes:
        file: The file.
        digest: SHA-256 of its bytes.
        records: The records.
    """

    file: Path
    digest: str
    records: Sequence[Record]

    def facts(self) -> dict[str, Any]:
        """Return what a verdict has to keep of them; ``newest`` is the day of the newest change."""
        newest = max((record.modified for record in self.records), default="")[:10]
        return {
            "file": self.file.name,
            "digest": self.digest,
            "count": len(self.records),
            "newest": newest or "unknown",
        }

    @cached_property
    def _by_package(self) -> dict[str, list[tuple[Record, Affected]]]:
        found: dict[str, list[tuple[Record, Affected]]] = {}
        for record in self.records:
            for name, affected in record.python:
                found.setdefault(name, []).append((record, affected))
        return found

    def of(self, name: str, version: str) -> tuple[Advisory, ...]:
        """Return what is known against a version; of one flaw told by two databases only the first.

        Args:
            name: Normalized name of a package.
            version: Its version.
        """
        found: list[Advisory] = []
        told: set[str] = set()
        for record, affected in self._by_package.get(name, ()):
            names = {record.id, *record.aliases}
            if told.isdisjoint(names) and is_affected(version, affected):
                found.append(_advisory(record, affected, version))
                told |= names
        return tuple(found)


def read_advisories(file: Path) -> Advisories:
    """Return the advisories of a file: one record, a list of them, or an answer of OSV (``vulns``).

    Raises:
        SpecError: The file is missing or is not of that form, or none of its records is about a Python
            package, so that nothing could ever be found with it.
    """
    try:
        stamp = file.stat()
    except OSError as error:
        raise _unusable(file, error.strerror or str(error)) from error
    return _read(file, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=1)
def _read(file: Path, changed_at: int, size: int) -> Advisories:
    """Read a file once, however many models are judged by it: the whole of PyPI's takes seconds."""
    from pydantic_core import from_json

    try:
        content = file.read_bytes()
        value = from_json(content)
        if isinstance(value, dict) and "id" not in value:
            value = value.get("vulns", value)
        records = TypeAdapter(list[Record]).validate_python(value if isinstance(value, list) else [value])
    except OSError as error:
        raise _unusable(file, error.strerror or str(error)) from error
    except ValidationError as error:
        first, *where = error.errors()[0]["loc"]
        says = f"{'.'.join(map(str, where))}: {error.errors()[0]['msg']}".lstrip(": ")
        raise _unusable(file, f"record {int(first) + 1} is no advisory: {says}") from error
    except ValueError as error:
        raise _unusable(file, f"it is not JSON: {error}") from error
    about_python = [record for record in records if record.python]
    if not about_python:
        raise _unusable(file, "it holds no advisory on a package of the ecosystem PyPI")
    return Advisories(file, digests.of_bytes(content), about_python)


def _unusable(file: Path, reason: str) -> SpecError:
    return SpecError(
        f"{file}: cannot be used as the policy's gates.components.advisories: {reason}; "
        "put OSV's records for PyPI there, as a JSON list"
    )


def is_affected(version: str, affected: Affected) -> bool:
    """Return whether a version is among those that a record's entry names.

    What cannot be compared, be it the version or an event, is taken to be affected.

    Args:
        version: A version; its local part (``+cpu``) does not count.
        affected: The entry.
    """
    at = _parsed(version)
    if version in affected.versions or (at and at in map(_parsed, affected.versions)):
        return True
    return any(_inside(at, one.events) for one in affected.ranges if one.type in _COMPARABLE)


def _inside(at: "Version | None", events: Sequence[Event]) -> bool:
    limits = [_parsed(event.limit) for event in events if event.limit and event.limit != "*"]
    turns = [
        (_parsed("0.dev0" if where == "0" else where), kind)
        for event in events
        for kind in ("introduced", "fixed", "last_affected")
        if (where := getattr(event, kind))
    ]
    if at is None or None in limits or any(where is None for where, _ in turns):
        return True
    if limits and not any(at < limit for limit in limits if limit):
        return False
    inside = False
    for where, kind in sorted((where, kind) for where, kind in turns if where):
        if at > where or (at == where and kind != "last_affected"):
            inside = kind == "introduced"
    return inside


def _fixed_in(affected: Affected, version: str) -> str | None:
    """Return the first fixed version after one."""
    now = _parsed(version)
    fixes = [e.fixed for one in affected.ranges if one.type in _COMPARABLE for e in one.events if e.fixed]
    later = [(at, fix) for fix in fixes if (at := _parsed(fix)) and (now is None or at > now)]
    return min(later)[1] if later else None


def _advisory(record: Record, affected: Affected, version: str) -> Advisory:
    return Advisory(
        id=record.id,
        aliases=record.aliases,
        severity=str(record.database_specific.get("severity") or ""),
        summary=" ".join((record.summary or record.details).split())[:200],
        fixed_in=_fixed_in(affected, version),
    )


@lru_cache(maxsize=1 << 16)
def _parsed(version: str) -> "Version | None":
    """Return a version without its local part, or None if it is not of PEP 440's form."""
    from packaging.version import InvalidVersion, Version

    try:
        found = Version(version)
    except InvalidVersion:
        return None
    return Version(found.public) if found.local else found
