"""Which version answers: the registry's aliases, followed within a second, loaded aside, swapped whole.

A request reads one immutable table once, so it is answered by one version from start to end however
often the aliases move. What fails to load, or a registry that is down, changes nothing: the last
proven champion goes on serving and an incident says so.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mlops_assets.errors import MlopsError, PackageError
from mlops_assets.governance.signatures import Verifier
from mlops_assets.registry.port import CHALLENGER, CHAMPION, PREVIOUS_CHAMPION, Registry
from mlops_assets.training.package import PackagedModel

log = logging.getLogger("mlops_assets.gateway")

POLL_SECONDS = 0.25
RETRY_SECONDS = 5.0
_ALIASES = (CHAMPION, PREVIOUS_CHAMPION, CHALLENGER)


@dataclass(frozen=True)
class Route:
    """One model's routes.

    Attributes:
        champion: The version that answers; None until a first one was loaded.
        wanted: The version the alias ``champion`` names; differs while it loads or if it is refused.
        previous: The loaded way back, if there is one.
        loaded: Every loaded version.
    """

    champion: str | None
    wanted: str | None
    previous: str | None
    loaded: Mapping[str, PackagedModel]


@dataclass(frozen=True)
class Table:
    """What serves, at one moment.

    Attributes:
        routes: Routes by model name.
        problems: What is wrong, by what it concerns; empty if all is well.
        complete: Whether the registry was read at least once.
    """

    routes: Mapping[str, Route] = field(default_factory=lambda: MappingProxyType({}))
    problems: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    complete: bool = False


class Router:
    """Follows the registry in a thread of its own.

    Args:
        registry: Where aliases and packages are.
        verifier: The platform's public key.
        on_incident: Told kind and text of each new problem.
    """

    def __init__(
        self,
        registry: Registry,
        verifier: Verifier,
        on_incident: Callable[[str, str], None] = lambda kind, text: None,
    ) -> None:
        self._registry, self._verifier, self._on_incident = registry, verifier, on_incident
        self._failed: dict[tuple[str, str], tuple[float, str]] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.table = Table()

    def start(self) -> None:
        """Read the registry once, then go on following it in the background."""
        self.follow()
        self._thread = threading.Thread(target=self._follow_always, name="router", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop following."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def follow(self) -> None:
        """Read the aliases and bring the table up to date."""
        try:
            aliases = self._registry.aliases()
        except MlopsError as error:
            problems = {**self.table.problems, "registry": str(error)}
            self._publish(self.table.routes, problems, self.table.complete)
            return
        routes, problems = dict(self.table.routes), {}
        for model, named in aliases.items():
            wanted = {alias: named[alias] for alias in _ALIASES if alias in named}
            if wanted or model in routes:
                routes[model] = self._route(model, wanted, routes.get(model), problems)
        for model in routes.keys() - aliases.keys():
            problems[model] = "gone from the registry; the last proven champion goes on serving"
        self._publish(routes, problems, True)

    def _route(
        self, model: str, wanted: Mapping[str, str], before: Route | None, problems: dict[str, str]
    ) -> Route:
        loaded = {} if before is None else dict(before.loaded)
        for version in dict.fromkeys(wanted.values()):
            if version not in loaded:
                package = self._load(model, version, problems)
                if package is not None:
                    loaded[version] = package
        champion = wanted.get(CHAMPION)
        serving = champion if champion in loaded else before.champion if before else None
        if champion is None and serving is not None:
            problems[model] = f"has no champion in the registry; version {serving} goes on serving"
        previous = wanted.get(PREVIOUS_CHAMPION)
        keep = {*wanted.values(), serving}
        return Route(
            champion=serving,
            wanted=champion,
            previous=previous if previous in loaded else None,
            loaded=MappingProxyType({v: p for v, p in loaded.items() if v in keep}),
        )

    def _load(self, model: str, version: str, problems: dict[str, str]) -> PackagedModel | None:
        """Return a verified, warmed package, or None and the problem; failures are retried in a while."""
        subject = f"{model}/{version}"
        failed_at, reason = self._failed.get((model, version), (0.0, ""))
        if reason and time.monotonic() - failed_at < RETRY_SECONDS:
            problems[subject] = reason
            return None
        try:
            package = self._open(model, version)
        except Exception as error:  # one model's trouble must never stop the others
            reason = str(error) if isinstance(error, MlopsError) else f"{type(error).__name__}: {error}"
            self._failed[model, version] = (time.monotonic(), reason)
            problems[subject] = reason
            return None
        self._failed.pop((model, version), None)
        log.info("%s version %s is loaded (%s)", model, version, package.manifest.runtime)
        return package

    def _open(self, model: str, version: str) -> PackagedModel:
        registered = self._registry.version(model, version)
        if registered is None:
            raise PackageError(f"{model} has no version {version}")
        package = PackagedModel.open(self._registry.fetch_package(registered), self._verifier)
        if package.manifest.model != model:
            raise PackageError(f"version {version} of {model} is a package of {package.manifest.model}")
        if package.digest != registered.candidate:
            raise PackageError(
                f"{model} version {version} is not the candidate it was registered for; it is not loaded"
            )
        package.warm()
        return package

    def _publish(self, routes: Mapping[str, Route], problems: Mapping[str, str], complete: bool) -> None:
        for subject, problem in problems.items():
            if self.table.problems.get(subject) != problem:
                log.error("incident: %s: %s", subject, problem)
                self._on_incident("registry" if subject == "registry" else "model", subject)
        self.table = Table(MappingProxyType(dict(routes)), MappingProxyType(dict(problems)), complete)

    def _follow_always(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            try:
                self.follow()
            except Exception:  # the thread must live as long as the gateway
                log.exception("the router stumbled")
