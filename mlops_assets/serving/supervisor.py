"""Several worker processes that share one port and change versions at one moment.

The supervisor alone follows the registry. It has a version loaded by every worker before it lets it into the
routes, has every worker prepare new routes, and then sets one number in memory that all of them share and
that each request reads once. From that moment all answer by the new routes, and nobody did before.
"""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

import msgspec

from mlops_assets.home import Home
from mlops_assets.registry.port import RegistryReader
from mlops_assets.serving.counts import Counts, Extent
from mlops_assets.serving.kept import Kept
from mlops_assets.serving.loading import load
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.problems import NotLoaded, Problem
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.settings import Settings
from mlops_assets.serving.shared_generation import SharedGeneration
from mlops_assets.serving.table import Resident, Table
from mlops_assets.serving.uvicorn_settings import DRAIN_SECONDS
from mlops_assets.serving.worker_messages import (
    AT_SUPERVISOR,
    AskAll,
    Begin,
    Channel,
    FromWorker,
    Hello,
    Load,
    Loaded,
    Prepare,
    Report,
    Reported,
    SaidTable,
    Serve,
    ToldAll,
    Version,
)

# A worker that serves has all it needs to prepare routes. One that takes longer hangs.
_PREPARING_SECONDS = 5.0
# So does one whose event loop does nothing for that long.
_HANGING_SECONDS = 10.0
_REPORTING_SECONDS = 1.0
_STARTING_SECONDS = 30.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 30.0
# Who served that long ended for a new reason.
_STEADY_SECONDS = 60.0

log = logging.getLogger("mlops_assets.gateway")


@dataclass(eq=False)
class _Worker:
    """A worker process, as far as it has said."""

    number: int
    process: "subprocess.Popen[bytes]"
    channel: Channel[FromWorker]
    hears: bool = False
    serves: bool = False
    lives: bool = True
    prepared: int = -1
    loaded: dict[Version, Problem | None] = field(default_factory=dict)
    reported: dict[Extent, Reported] = field(default_factory=dict)

    def has_reported(self, number: int, extent: Extent) -> bool:
        return extent in self.reported and self.reported[extent].number >= number

    @property
    def counted(self) -> Counts | None:
        """What it has told of its figures, the newest of each kind; None if nothing."""
        told = [each for extent, each in self.reported.items() if extent != "problems"]
        if not told:
            return None
        newest = max(told, key=lambda each: each.number).counts
        every = self.reported.get("all")
        return msgspec.structs.replace(newest, families=every.counts.families if every else [], problems=[])


class Supervisor:
    """Keeps worker processes running, and has all of them answer by the same routes.

    Args:
        home: Where they serve from.
        settings: How, and how many.
        listener: The socket they share.
        meters: What is counted of the gateway as a whole.
    """

    def __init__(self, home: Home, settings: Settings, listener: socket.socket, meters: Meters) -> None:
        self._home, self._settings, self._listener, self._meters = home, settings, listener, meters
        self._generation = SharedGeneration.made()
        self._newest, self._said = 0, SaidTable.of(Table())
        self._changed = threading.Condition()
        self._workers: list[_Worker] = []
        self._ended: dict[int, Problem] = {}
        self._retired = Counts.of(meters, extent="problems")
        self._numbers = count()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Start the workers; from now on start those anew that end, and end those that hang."""
        threading.Thread(target=self._end_those_that_hang, name="watchdog", daemon=True).start()
        for number in range(1, self._settings.workers + 1):
            threading.Thread(
                target=self._keep_running, args=[number], name=f"worker {number}", daemon=True
            ).start()

    def stop(self) -> None:
        """Have the workers finish what they are answering, and end."""
        with self._changed:
            self._stopping.set()
            living = list(self._workers)
        for worker in living:
            worker.process.terminate()
        until = time.monotonic() + DRAIN_SECONDS + _PREPARING_SECONDS
        for worker in living:
            _ended_by(worker.process, until)

    @property
    def is_complete(self) -> bool:
        """Whether every worker serves."""
        return len(self._serving()) == self._settings.workers

    def load(
        self, registry: RegistryReader, prover: Prover, model: str, version: str, kept: Kept | None
    ) -> Resident:
        """Prove a version here, and have all workers load it; see :func:`~mlops_assets.serving.loading.load`.

        One tries it first: what ends a process must not end all of them.

        Raises:
            NotLoaded: A worker could not load it.
        """
        resident = load(registry, prover, model, version, kept, warm=False)
        meant = Load(Version.of(resident), known=kept is None)
        try:
            self._have_loaded(meant, first=True)
            self._have_loaded(meant)
        except NotLoaded:
            if kept is not None:
                kept.discard(model, version)  # only what was loaded once counts as known
            raise
        return resident

    def publish(self, table: Table) -> None:
        """Have all workers answer by a table, from one moment on.

        A worker that does not prepare it in time is ended first, so that it answers by no other.
        """
        with self._changed:
            said = SaidTable.of(replace(table, problems=(*table.problems, *self._ended.values())))
            if msgspec.msgpack.encode(said) == msgspec.msgpack.encode(self._said):
                return
            self._newest, self._said = self._newest + 1, said
            for worker in self._workers:
                if worker.hears:
                    worker.channel.send(Prepare(self._newest, said))
            self._changed.wait_for(lambda: not self._late(), _PREPARING_SECONDS)
            for worker in self._late():
                self._end(worker)
            self._generation.now = self._newest
            self._admit()

    def _serving(self) -> list[_Worker]:
        return [worker for worker in self._workers if worker.serves and worker.lives]

    def _late(self) -> list[_Worker]:
        return [worker for worker in self._serving() if worker.prepared < self._newest]

    def _admit(self) -> None:
        """Let those accept connections that can answer by the table that holds."""
        for worker in self._workers:
            if worker.lives and not worker.serves and worker.prepared == self._generation.now:
                worker.serves = worker.channel.send(Serve())
                self._ended.pop(worker.number, None)
        self._changed.notify_all()

    def _have_loaded(self, asked_for: Load, *, first: bool = False) -> None:
        meant = asked_for.version
        with self._changed:
            self._changed.wait_for(self._serving, _STARTING_SECONDS)
            asked = self._serving()[:1] if first else self._serving()
            if not asked:
                raise _not_loaded(meant, "no worker process serves", passing=True)
            for worker in asked:
                worker.loaded.pop(meant, None)
                worker.channel.send(asked_for)
            self._changed.wait_for(lambda: all(meant in w.loaded or not w.lives for w in asked))
            for worker in asked:
                problem = worker.loaded.pop(meant, None)
                if problem is not None:
                    raise NotLoaded(problem)
                if not worker.lives:
                    raise _not_loaded(meant, f"worker process {worker.number} ended while it loaded it")

    def _counts(self, extent: Extent) -> Counts:
        """Return what all have counted, those that have ended as far as they had told."""
        with self._changed:
            number, asked = next(self._numbers), self._serving()
            for worker in asked:
                worker.channel.send(Report(number, extent))
            self._changed.wait_for(
                lambda: all(w.has_reported(number, extent) or not w.lives for w in asked),
                _REPORTING_SECONDS,
            )
            told = [w.reported[extent].counts for w in asked if extent in w.reported]
            return Counts.together([Counts.of(self._meters, extent=extent), self._retired, *told])

    def _end_those_that_hang(self) -> None:
        asked, number = list[_Worker](), 0
        while not self._stopping.wait(_HANGING_SECONDS):
            with self._changed:
                for worker in asked:
                    if worker.lives and not worker.has_reported(number, "problems"):
                        self._end(worker)
                asked, number = self._serving(), next(self._numbers)
                for worker in asked:
                    worker.channel.send(Report(number, "problems"))

    def _end(self, worker: _Worker) -> None:
        """End a worker that does not answer; when this returns, it answers nobody."""
        log.error("worker %s does not answer; it is ended", worker.number)
        worker.serves = False
        worker.process.kill()
        worker.process.wait()

    def _keep_running(self, number: int) -> None:
        pause = _FIRST_PAUSE_SECONDS
        while (worker := self._start(number)) is not None:
            began = time.monotonic()
            worker.channel.listen(partial(self._heed, worker))
            code = worker.process.wait()
            if time.monotonic() - began >= _STEADY_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            self._leave(worker, code, pause)
            self._stopping.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _start(self, number: int) -> _Worker | None:
        ours, theirs = socket.socketpair()
        with self._changed, theirs:
            if self._stopping.is_set():
                ours.close()
                return None
            files = (self._listener.fileno(), theirs.fileno(), self._generation.file)
            begin = Begin(number, self._settings, *files)
            process = subprocess.Popen(
                [sys.executable, "-m", "mlops_assets.serving.worker", msgspec.json.encode(begin).decode()],
                env=os.environ | self._home.environment(),
                pass_fds=files,
                stdout=sys.stderr.fileno(),  # what models print
                start_new_session=True,  # who presses Ctrl-C stops the supervisor, which stops them in order
            )
            worker = _Worker(number, process, Channel(ours, AT_SUPERVISOR))
            self._workers.append(worker)
            return worker

    def _leave(self, worker: _Worker, code: int, pause: float) -> None:
        """Do without a worker that has ended."""
        worker.channel.close()
        with self._changed:
            worker.lives = False
            self._workers.remove(worker)
            if (counted := worker.counted) is not None:
                self._retired = Counts.together([self._retired, counted])
            if not self._stopping.is_set():
                why = f"by signal {-code}" if code < 0 else f"with code {code}"
                message = f"worker process {worker.number} ended {why}; it is started anew in {pause:g} s"
                problem = self._ended[worker.number] = Problem("worker_ended", None, None, message)
                self._meters.note(problem)
            self._changed.notify_all()

    def _heed(self, worker: _Worker, message: FromWorker) -> None:
        if isinstance(message, AskAll):
            # Apart, since it waits for what this thread has to hear.
            threading.Thread(target=self._tell_all, args=[worker, message], daemon=True).start()
            return
        with self._changed:
            if isinstance(message, Hello):
                worker.hears = True
                worker.channel.send(Prepare(self._newest, self._said))
            elif isinstance(message, Loaded):
                worker.loaded[message.version] = message.problem
            elif isinstance(message, Reported):
                worker.reported[message.extent] = message
            elif message.problem is not None:
                log.error("worker %s cannot go on: %s", worker.number, message.problem)
                worker.process.kill()
            else:
                worker.prepared = message.generation
                self._admit()
            self._changed.notify_all()

    def _tell_all(self, worker: _Worker, message: AskAll) -> None:
        worker.channel.send(ToldAll(message.number, self._counts(message.extent)))


def _not_loaded(meant: Version, said: str, *, passing: bool = False) -> NotLoaded:
    return NotLoaded(Problem("load_failed", meant.model, meant.version, said, passing=passing))


def _ended_by(process: "subprocess.Popen[bytes]", until: float) -> None:
    """Wait for a process to end, and end it if it takes too long."""
    try:
        process.wait(max(0.0, until - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
