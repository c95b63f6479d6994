"""Follow the registry: load aside what its aliases name, swap it in whole, keep what was proven.

One thread looks at the aliases and owns all state; two others load. So a slow or broken model holds up
nobody else's promotion, and a rollback to a loaded version is one swap. What fails to load, or a
registry that is down, changes nothing but the problems that are shown.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

from mlops_assets.registry.port import (
    CHALLENGER,
    CHAMPION,
    DRILL,
    PREVIOUS_CHAMPION,
    ModelVersion,
    RegisteredModel,
    RegistryReader,
)
from mlops_assets.serving.kept import Kept
from mlops_assets.serving.loads import Load, Loads
from mlops_assets.serving.marks import Marks
from mlops_assets.serving.problems import Problem, missing_champions, told
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.releases import ReleaseFollower
from mlops_assets.serving.rollouts import RolloutFollower
from mlops_assets.serving.table import Route, Table

log = logging.getLogger("mlops_assets.gateway")

POLL_SECONDS = 0.25
# Where it can be told for next to nothing whether the registry was written to, that is asked more often.
GLANCE_SECONDS = 0.03
# However still a registry seems to be, it is read that often.
LONGEST_UNREAD_SECONDS = 60.0
# What was kept has that long to be loaded before the registry is asked.
LONGEST_BEGINNING_SECONDS = 5.0
_ALIASES = (CHAMPION, PREVIOUS_CHAMPION, CHALLENGER, DRILL)  # in this order they are loaded


class Router:
    """Keeps :attr:`table` as the registry says.

    Args:
        registry: Where aliases and packages are.
        prover: Holds versions against their evidence and release.
        marks: Up to which release each model has come.
        on_incident: Told each new problem.
        may_have_changed: Whether the registry may say something else than when this was last asked; None
            if only reading it tells.
        kept: What was proven before, which serves until the registry has been read.
        load_with: Proves and loads a version instead of :func:`~mlops_assets.serving.loading.load`.
        publish: Told each table before it serves.

    Attributes:
        table: What serves now; replaced, never changed.
        looked: Set once the table is settled, or the registry turned out to be down.
    """

    def __init__(
        self,
        registry: RegistryReader,
        prover: Prover,
        marks: Marks | None = None,
        on_incident: Callable[[Problem], None] = lambda problem: None,
        may_have_changed: Callable[[], bool] | None = None,
        kept: Kept | None = None,
        *,
        load_with: Load | None = None,
        publish: Callable[[Table], None] = lambda table: None,
    ) -> None:
        self.table = Table()
        self.looked = threading.Event()
        self._registry, self._on_incident, self._tell = registry, on_incident, publish
        self._marks = marks or Marks()
        self._rollouts = RolloutFollower(registry, prover, self._marks)
        self._releases = ReleaseFollower(prover, self._marks, self._proven)
        self._may_have_changed, self._changed = may_have_changed, False
        self._kept, self._beginning, self._unconfirmed = kept, kept is not None, False
        self._begun_at: float | None = None
        self._to_keep: list[tuple[ModelVersion, set[str]]] = []
        self._unread_until = -math.inf
        self._made: dict[str, int] = {}
        self._wanted: dict[str, dict[str, str]] = {}
        self._kept_wanted: dict[str, dict[str, str]] | None = None
        self._wake, self._stopping = threading.Event(), threading.Event()
        self._loads = Loads(prover, load_with, self._wake.set)
        self._thread = threading.Thread(target=self._follow_always, name="router", daemon=True)

    def start(self) -> None:
        """Begin to follow the registry in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Stop following; what is loaded stays in the table."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout=1)
        self._loads.stop()

    def follow(self) -> None:
        """Look at the registry once, and publish what follows from it."""
        self._loads.collect(self._kept if self._beginning else None)
        self._releases.catch_up()
        beginning = self._begin()
        unreachable = None if beginning else self._look()
        routes = dict(self._routes())
        disputes = self._releases.problems
        if disputes:  # then what served before has to be loaded, which nobody knew until now
            self._load_what_is_due()
        if self._releases.could_not_ask:
            self._unread_until = -math.inf
        problems = [unreachable] if unreachable else []
        problems += [*self._loads.problems, *disputes, *self._rollouts.problems]
        problems += missing_champions(routes, self._wanted)
        self._loads.let_go(lambda model, version: self._is_needed(model, version, routes))
        tried = unreachable is None and self._loads.is_through(self._all_due())
        settled = self.table.settled or tried
        # What could not be loaded from what was kept is no problem yet: the registry has it.
        reported = () if beginning else self._reported(problems)
        self._publish(Table(MappingProxyType(routes), reported, settled))
        if (tried and not beginning) or unreachable:
            self.looked.set()
        if beginning:
            self._end_beginning()
        else:
            self._keep()

    def _begin(self) -> bool:
        """Have loaded what was kept; return whether that is under way, and the registry not asked yet."""
        if not self._beginning or self._kept is None:
            return False
        if self._begun_at is None:
            self._begun_at, self._unconfirmed = time.monotonic(), True
            self._heed(self._kept.models())
            self._beginning = bool(self._wanted)
        self._load_what_is_due()
        return self._beginning

    def _end_beginning(self) -> None:
        """Ask the registry from now on, if what was kept is loaded or takes too long."""
        late = self._begun_at is None or time.monotonic() >= self._begun_at + LONGEST_BEGINNING_SECONDS
        if late or self._loads.is_through(self._all_due()):
            self._beginning = False
            self._to_keep.clear()
            self._wake.set()  # at once

    @property
    def _reader(self) -> RegistryReader:
        """What is asked for versions: what was kept, at the beginning."""
        return self._kept if self._beginning and self._kept is not None else self._registry

    def _confirm(self, models: Mapping[str, RegisteredModel]) -> None:
        """Go on from what the registry says, now that it is read; what it does not know is let go."""
        if not self._unconfirmed:
            return
        self._unconfirmed = False
        self._loads.forgive()
        self._releases.ask_again()
        same = {name for name, made in self._made.items() if name in models and models[name].made == made}
        routes = {model: route for model, route in self.table.routes.items() if model in same}
        self.table = replace(self.table, routes=MappingProxyType(routes))

    def _proven(self, version: ModelVersion, digests: set[str]) -> None:
        if self._kept is not None:
            self._to_keep.append((version, digests))

    def _keep(self) -> None:
        """Keep what has changed for the next start, now that it serves."""
        if self._kept is None or self._unconfirmed:
            return
        while self._to_keep:
            self._kept.keep(self._registry, *self._to_keep.pop())
        if self._wanted is self._kept_wanted:
            return
        self._kept_wanted = self._wanted
        self._kept.follow(
            {name: RegisteredModel(aliases, self._made[name]) for name, aliases in self._wanted.items()},
            {(model, version) for model, versions in self._loads.resident.items() for version in versions},
        )

    def _follow_always(self) -> None:
        while not self._stopping.is_set():
            self._wake.clear()
            started = time.monotonic()
            try:
                self.follow()
            except Exception:  # the thread must live as long as the gateway
                log.exception("the router stumbled; it goes on")
            self._wait(took=time.monotonic() - started)

    def _wait(self, took: float) -> None:
        """Wait until it is time to look, a version has loaded, or the registry was written to."""
        # A registry that takes long to answer is asked less often, however much is written to it.
        rest = min(2 * POLL_SECONDS, 2 * took)
        until = time.monotonic() + max(rest, POLL_SECONDS)
        glances = self._may_have_changed is not None and self._unread_until > -math.inf
        pause = max(rest, GLANCE_SECONDS) if glances else max(rest, POLL_SECONDS)
        while not self._wake.wait(pause):
            if time.monotonic() >= until or self._is_changed():
                return
            pause = GLANCE_SECONDS

    def _is_changed(self) -> bool:
        self._changed = self._changed or self._may_have_changed is None or self._may_have_changed()
        return self._changed

    def _look(self) -> Problem | None:
        """Read the aliases and have loaded what they name; return why they cannot be read."""
        # Asked before the registry is read: what is committed meanwhile is a change to the next look.
        if self._is_changed() or time.monotonic() >= self._unread_until:
            self._changed, self._unread_until = False, -math.inf
            try:
                models = self._registry.models()
                self._rollouts.read(models)
            except Exception as error:  # whatever is wrong with it, what is loaded goes on serving
                return Problem("registry_unreachable", None, None, told(error))
            self._confirm(models)
            self._heed(models)
            self._unread_until = time.monotonic() + LONGEST_UNREAD_SECONDS
        self._load_what_is_due()
        return None

    def _heed(self, models: Mapping[str, RegisteredModel]) -> None:
        self._wanted = {
            name: {alias: model.aliases[alias] for alias in _ALIASES if alias in model.aliases}
            for name, model in models.items()
        }
        made = {name: model.made for name, model in models.items()}
        gone = {name for name, then in self._made.items() if made.get(name) != then}
        self._made = made
        self._loads.forget(gone)
        self._loads.forgive(lambda model, version: model in gone or version not in self._due(model))
        # Not at each look: while an alias is disputed, the version that is due in its place keeps its
        # failure, and is not tried again.
        self._releases.ask_again(gone)

    def _load_what_is_due(self) -> None:
        self._loads.begin(self._all_due(), self._reader, None if self._beginning else self._kept)

    def _all_due(self) -> dict[str, list[str]]:
        return {model: self._due(model) for model in self._wanted}

    def _due(self, model: str) -> list[str]:
        """Return the versions of a model that have to be loaded, the most urgent first.

        That is what the aliases name and, where the one named as champion may not serve or none is named,
        the version that served last by right.
        """
        wanted = self._wanted.get(model, {})
        due = [wanted[alias] for alias in _ALIASES if alias in wanted]
        mark, champion = self._marks.of(model), wanted.get(CHAMPION)
        dismissed = champion is None or (
            self._loads.has_failed(model, champion) or self._releases.is_disputed(model, champion)
        )
        if mark is not None and champion != mark.version and dismissed:
            due.insert(0, mark.version)
        return list(dict.fromkeys(due))

    def _is_needed(self, model: str, version: str, routes: Mapping[str, Route]) -> bool:
        route = routes.get(model)
        return route is not None and version in (route.champion, *self._due(model))

    def _routes(self) -> Iterator[tuple[str, Route]]:
        for model in {**self.table.routes, **self._wanted}:
            before, wanted = self.table.routes.get(model), self._wanted.get(model, {})
            loaded = dict(self._loads.resident.get(model, {}))
            mark = self._marks.of(model)
            by_right = [wanted.get(CHAMPION), mark.version if mark else None]
            champion = next(
                (v for v in by_right if v in loaded and self._releases.may_serve(loaded[v], self._reader)),
                None,
            )
            if champion is None and before is not None and before.champion is not None:
                # Not loaded yet, refused, or gone: what was proven goes on serving.
                champion = before.champion
                loaded[champion] = before.loaded[champion]
            if wanted or champion is not None:
                rollout = self._rollouts.of(model, champion, loaded)
                yield model, Route(champion, MappingProxyType(wanted), MappingProxyType(loaded), rollout)

    def _reported(self, problems: list[Problem]) -> tuple[Problem, ...]:
        """Return the problems, each since it was first seen, and tell of the new ones."""
        known = {problem: problem for problem in self.table.problems}
        for problem in problems:
            if problem not in known:
                self._on_incident(problem)
        for problem in known.keys() - set(problems):
            log.info("no longer: %s: %s", problem.kind, problem.message)
        return tuple(replace(p, since=known.get(p, p).since) for p in problems)

    def _publish(self, table: Table) -> None:
        for model, route in table.routes.items():
            before = self.table.routes.get(model)
            served = before.champion if before else None
            if route.champion != served:
                log.info("%s is served by version %s (before: %s)", model, route.champion, served)
        self._tell(table)
        self.table = table
