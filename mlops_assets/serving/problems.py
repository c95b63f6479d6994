"""What is wrong now, for those who look and for those who are woken."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from mlops_assets.errors import MlopsError, PackageError, RegistryError
from mlops_assets.registry.port import CHAMPION, PREVIOUS_CHAMPION
from mlops_assets.registry.proof import Refused
from mlops_assets.specs.durations import utc_now

if TYPE_CHECKING:
    from mlops_assets.serving.table import Route


@dataclass(frozen=True)
class Problem:
    """What is wrong now.

    Attributes:
        kind: ``registry_unreachable``, ``package_refused``, ``evidence_refused``, ``out_of_band``,
            ``load_failed``, ``champion_missing``, ``traffic_refused``, ``log_unwritable``,
            ``access_unreadable`` or ``worker_ended``.
        model: The model concerned, if it is one.
        version: The version concerned, if it is one.
        message: What happened, in words.
        since: When it was first seen, naive UTC.
        passing: Whether it may pass by itself.
    """

    kind: str
    model: str | None
    version: str | None
    message: str = field(compare=False)
    since: datetime = field(compare=False, default_factory=utc_now)
    passing: bool = field(compare=False, default=False)

    @property
    def refuses(self) -> bool:
        """Whether a version will not be loaded unless somebody mends it, or where it is to run."""
        return self.kind in ("package_refused", "evidence_refused", "load_failed") and not self.passing

    @property
    def subject(self) -> str:
        """What is concerned, in a word or two."""
        if self.model is None:
            return "gateway"
        return self.model if self.version is None else f"{self.model} version {self.version}"


def missing_champions(
    routes: "Mapping[str, Route]", known: Mapping[str, Mapping[str, str]]
) -> Iterator[Problem]:
    """Yield the models that were served and have lost their champion's alias."""
    for model, route in routes.items():
        if CHAMPION in route.wanted:
            continue
        if route.champion is not None:
            lacks = "has no champion in" if model in known else "is gone from"
            message = f"{model} {lacks} the registry; version {route.champion} goes on serving"
            yield Problem("champion_missing", model, None, message)
        elif PREVIOUS_CHAMPION in route.wanted:
            message = f"{model} has a previous champion but no champion in the registry; promote a version"
            yield Problem("champion_missing", model, None, message)


class NotLoaded(MlopsError):
    """A worker process could not load a version.

    Args:
        problem: What is wrong with it.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


def failed_load(model: str, version: str, error: BaseException) -> Problem:
    """Return what is wrong with a version that did not load; what could not be fetched may be, later."""
    if isinstance(error, NotLoaded):
        return error.problem
    kind = "package_refused" if isinstance(error, PackageError) else "load_failed"
    if isinstance(error, Refused):
        kind = "evidence_refused"
    return Problem(kind, model, version, told(error), passing=isinstance(error, RegistryError))


def told(error: BaseException) -> str:
    """Return an error in one line."""
    text = str(error) if isinstance(error, MlopsError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:500]
