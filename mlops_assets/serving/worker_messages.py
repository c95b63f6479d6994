"""What a supervisor and its worker processes say to each other.

The supervisor names versions and routes. It hands over no model: a worker opens those itself, and proves them
by their signatures.
"""

import socket
import struct
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from types import MappingProxyType
from typing import Generic, TypeVar

import msgspec

from mlops_assets.rollout.plan import Split
from mlops_assets.serving.counts import Counts, Extent
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.settings import Settings
from mlops_assets.serving.table import LiveRollout, Resident, Route, Table

_PATIENCE_SECONDS = 5
_Heard = TypeVar("_Heard")


class Version(msgspec.Struct, frozen=True):
    """A version of a model, and the digest of its package: a model that is registered anew counts from 1."""

    model: str
    version: str
    candidate: str

    @classmethod
    def of(cls, resident: Resident) -> "Version":
        """Return which version a loaded one is."""
        return cls(resident.model, resident.version, resident.evidence.subject.candidate)


class SplitTraffic(msgspec.Struct, frozen=True):
    """A rollout as it is said; see :class:`~mlops_assets.serving.table.LiveRollout`."""

    challenger: str
    serial: int
    percent: int
    paired: bool
    salt: str


class SaidRoute(msgspec.Struct, frozen=True):
    """A route as it is said; see :class:`~mlops_assets.serving.table.Route`."""

    champion: str | None
    wanted: dict[str, str]
    loaded: list[Version]
    rollout: SplitTraffic | None = None

    @classmethod
    def of(cls, route: Route) -> "SaidRoute":
        """Return how a route is said."""
        live, said = route.rollout, None
        if live is not None:
            said = SplitTraffic(
                live.challenger.version, live.serial, live.percent, live.paired, live.split.salt
            )
        loaded = [Version.of(resident) for _, resident in sorted(route.loaded.items())]
        return cls(route.champion, dict(route.wanted), loaded, said)

    def route(self, loaded: Mapping[str, Resident]) -> Route:
        """Return the route, over versions that are loaded here."""
        said, live = self.rollout, None
        if said is not None:
            live = LiveRollout(
                loaded[said.challenger], said.serial, said.percent, said.paired, Split(said.salt)
            )
        return Route(self.champion, MappingProxyType(self.wanted), MappingProxyType(loaded), live)


class SaidTable(msgspec.Struct, frozen=True):
    """All routes as they are said; see :class:`~mlops_assets.serving.table.Table`."""

    routes: dict[str, SaidRoute]
    problems: tuple[Problem, ...]
    settled: bool

    @classmethod
    def of(cls, table: Table) -> "SaidTable":
        """Return how a table is said."""
        routes = {model: SaidRoute.of(route) for model, route in table.routes.items()}
        return cls(routes, table.problems, table.settled)

    @property
    def versions(self) -> frozenset[Version]:
        """The versions that it is about."""
        return frozenset(version for said in self.routes.values() for version in said.loaded)

    def table(self, residents: Mapping[Version, Resident]) -> Table:
        """Return the table, over versions that are loaded here."""
        routes = {
            model: said.route({each.version: residents[each] for each in said.loaded})
            for model, said in self.routes.items()
        }
        return Table(MappingProxyType(routes), self.problems, self.settled)


class Begin(msgspec.Struct, frozen=True):
    """What a worker is started with, as JSON on its command line.

    Attributes:
        number: Which of the workers it is, from 1.
        settings: How all of them are to serve.
        listener: Descriptor of the socket they share.
        channel: Descriptor of the socket to the supervisor.
        generation: Descriptor of the generation of the routes.
    """

    number: int
    settings: Settings
    listener: int
    channel: int
    generation: int


class Hello(msgspec.Struct, tag=True, frozen=True):
    """From a worker: it hears from now on."""


class Load(msgspec.Struct, tag=True, frozen=True):
    """To a worker: load a version aside.

    Attributes:
        version: Which.
        known: Whether it was loaded on this machine before.
    """

    version: Version
    known: bool


class Loaded(msgspec.Struct, tag=True, frozen=True):
    """From a worker: it is loaded, or why not."""

    version: Version
    problem: Problem | None = None


class Prepare(msgspec.Struct, tag=True, frozen=True):
    """To a worker: have a table ready, to answer by it once its generation holds."""

    generation: int
    said: SaidTable


class Prepared(msgspec.Struct, tag=True, frozen=True):
    """From a worker: the table of a generation is ready, or why it cannot be."""

    generation: int
    problem: str | None = None


class Serve(msgspec.Struct, tag=True, frozen=True):
    """To a worker: accept connections."""


class Report(msgspec.Struct, tag=True, frozen=True):
    """To a worker: tell what you have counted; see :meth:`~mlops_assets.serving.counts.Counts.of`."""

    number: int
    extent: Extent


class Reported(msgspec.Struct, tag=True, frozen=True):
    """From a worker: what it has counted."""

    number: int
    extent: Extent
    counts: Counts


class AskAll(msgspec.Struct, tag=True, frozen=True):
    """From a worker: what have all of us counted?"""

    number: int
    extent: Extent


class ToldAll(msgspec.Struct, tag=True, frozen=True):
    """To a worker: what all have counted together."""

    number: int
    counts: Counts


ToWorker = Load | Prepare | Serve | Report | ToldAll
FromWorker = Hello | Loaded | Prepared | Reported | AskAll

AT_WORKER = msgspec.msgpack.Decoder(ToWorker)
AT_SUPERVISOR = msgspec.msgpack.Decoder(FromWorker)


class Channel(Generic[_Heard]):
    """One end of a connection between supervisor and worker; may be written to from any thread.

    Args:
        end: The socket.
        decoder: Understands what the other end says.
    """

    def __init__(self, end: socket.socket, decoder: msgspec.msgpack.Decoder[_Heard]) -> None:
        # Whoever does not read must not hold up whoever writes for ever.
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _PATIENCE_SECONDS, 0))
        self._connection = Connection(end.detach())
        self._decoder = decoder
        self._writing = threading.Lock()

    def send(self, message: ToWorker | FromWorker) -> bool:
        """Send a message; return whether the other end takes any."""
        content = msgspec.msgpack.encode(message)
        try:
            with self._writing:
                self._connection.send_bytes(content)
        except OSError:
            return False
        return True

    def listen(self, heed: Callable[[_Heard], None]) -> None:
        """Heed each message, until the other end is gone."""
        while True:
            try:
                content = self._connection.recv_bytes()
            except (EOFError, OSError):
                return
            heed(self._decoder.decode(content))

    def close(self) -> None:
        """Let go of it."""
        self._connection.close()
