"""The routes of a worker process: its supervisor says them, and all workers change to them at one moment."""

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count

from mlops_assets.serving.counts import Counts, Extent
from mlops_assets.serving.problems import failed_load
from mlops_assets.serving.shared_generation import SharedGeneration
from mlops_assets.serving.table import Resident, Table
from mlops_assets.serving.worker_messages import (
    AskAll,
    Channel,
    Hello,
    Load,
    Loaded,
    Prepare,
    Prepared,
    Report,
    Reported,
    Serve,
    ToldAll,
    ToWorker,
    Version,
)

_LOADERS = 2
_PATIENCE_SECONDS = 2.0

log = logging.getLogger("mlops_assets.gateway")


class FollowedRoutes:
    """Follows what the supervisor says.

    Args:
        channel: To the supervisor.
        generation: Which table holds.
        load: Proves and loads a version; told whether that was done on this machine before.
        prepared: Told each table that may hold soon.

    Attributes:
        may_serve: Set once the supervisor has this worker accept connections, or is gone.
        counting: Tells what was counted here; is asked from the event loop.
    """

    def __init__(
        self,
        channel: Channel[ToWorker],
        generation: SharedGeneration,
        load: Callable[[Version, bool], Resident],
        prepared: Callable[[Table], None],
    ) -> None:
        self._channel, self._generation, self._load = channel, generation, load
        self._when_prepared = prepared
        self.may_serve = threading.Event()
        self.counting: Callable[[Extent], Counts] | None = None
        self._tables: dict[int, Table] = {}
        self._newest = -1
        self._said: frozenset[Version] = frozenset()
        self._loads: dict[Version, Future[Resident]] = {}
        self._lock = threading.Lock()
        self._loaders = ThreadPoolExecutor(_LOADERS, thread_name_prefix="loader")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked: dict[int, asyncio.Future[Counts]] = {}
        self._numbers = count()

    @property
    def table(self) -> Table:
        """The table that holds now, in all workers."""
        # What holds was prepared before it did; if it is gone, another one holds by now.
        while (table := self._tables.get(self._generation.now)) is None:
            pass
        return table

    def start(self) -> None:
        """Note the event loop, which is this one."""
        self._loop = asyncio.get_running_loop()

    def stop(self) -> None:
        """Answer the supervisor no more; the table stays."""
        self._loop = None

    def follow(self) -> None:
        """Do what the supervisor says, until it is gone."""
        self._channel.send(Hello())
        self._channel.listen(self._heed)
        self.may_serve.set()

    async def everyone(self, extent: Extent) -> Counts:
        """Return what all workers have counted; what this one has, if the supervisor does not answer."""
        assert self.counting is not None
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._channel.send(AskAll(number, extent))
            return await asyncio.wait_for(answer, _PATIENCE_SECONDS)
        except TimeoutError:
            return self.counting(extent)
        finally:
            del self._asked[number]

    def _heed(self, message: ToWorker) -> None:
        if isinstance(message, Load):
            version = message.version
            self._loaded(version, message.known).add_done_callback(
                lambda done: self._tell_loaded(version, done)
            )
        elif isinstance(message, Prepare):
            # Apart, since it may have to load what a worker that was started anew does not have yet.
            threading.Thread(target=self._prepare, args=[message], name="prepare", daemon=True).start()
        elif isinstance(message, Serve):
            self.may_serve.set()
        elif self._loop is not None:
            with suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._heed_in_loop, message)

    def _loaded(self, version: Version, known: bool) -> Future[Resident]:
        """Return the loading of a version, begun or done; one that failed is begun again."""
        with self._lock:
            loading = self._loads.get(version)
            if loading is None or (loading.done() and loading.exception() is not None):
                loading = self._loads[version] = self._loaders.submit(self._load, version, known)
            return loading

    def _tell_loaded(self, version: Version, done: Future[Resident]) -> None:
        error = done.exception()
        problem = failed_load(version.model, version.version, error) if error else None
        self._channel.send(Loaded(version, problem))

    def _prepare(self, message: Prepare) -> None:
        said, generation = message.said, message.generation
        loading = {version: self._loaded(version, known=True) for version in said.versions}
        try:
            residents = {version: future.result() for version, future in loading.items()}
        except Exception as error:
            log.exception("generation %s of the routes cannot be prepared", generation)
            self._channel.send(Prepared(generation, f"{type(error).__name__}: {error}"))
            return
        with self._lock:
            if generation < self._newest:
                return
            # What was loaded for a table to come stays.
            for version in self._said - said.versions:
                self._loads.pop(version, None)
            self._newest, self._said = generation, said.versions
            holds = self._generation.now
            kept = {number: table for number, table in self._tables.items() if number >= holds}
            self._tables = {**kept, generation: (table := said.table(residents))}
        self._channel.send(Prepared(generation))
        self._when_prepared(table)

    def _heed_in_loop(self, message: Report | ToldAll) -> None:
        if isinstance(message, ToldAll):
            answer = self._asked.get(message.number)
            if answer is not None and not answer.done():
                answer.set_result(message.counts)
        elif self.counting is not None:
            counts = self.counting(message.extent)
            self._channel.send(Reported(message.number, message.extent, counts))
