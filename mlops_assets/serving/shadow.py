"""The shadow: the arm that does not answer is asked as well, unseen and at nobody's cost.

Requests wait in a short queue, and every few milliseconds those that wait are answered together; when the
queue is full they are dropped and counted. What the shadow answers is logged beside the answer that the
caller had.

Whoever answers requests in an event loop asks the shadow there, too. Beside a thread the loop would lose the
interpreter at each call that lets go of it, thousands of times a second: with one, a request cost 22 µs more
for its shadow, without 5. What takes its time has a thread.
"""

import asyncio
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from queue import Empty, SimpleQueue

from msgspec import Struct

from mlops_assets.serving.batches import Batch, ReadAgain
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.table import Resident

log = logging.getLogger("mlops_assets.gateway")

# An event loop asks all of them in one turn: this bounds for how long it is held up.
_MOST_ROWS = 8_192
# Many rows cost hardly more than one, so there is company to be waited for.
_GATHERING_SECONDS = 0.005


class Unseen(Struct, frozen=True, eq=False, gc=False):
    """Requests that a version is asked without answering anybody.

    Attributes:
        resident: The version.
        batch: The requests.
        read: Reads a request as another version takes it, if this one takes it otherwise; of one request.
    """

    resident: Resident
    batch: Batch
    read: ReadAgain | None = None

    @property
    def alike(self) -> Hashable:
        """The same for what can be answered together."""
        layout = None if self.read else self.batch.layout
        return self.resident, layout or self


class Shadow:
    """Asks the unseen arm.

    Args:
        ask: Asks a version, and logs what it says.
        meters: Counts what is dropped.
        most_rows: Rows that may wait; more do if one request has more.
    """

    def __init__(self, ask: Callable[[Unseen], None], meters: Meters, most_rows: int = _MOST_ROWS) -> None:
        self._ask, self._meters, self._most_rows = ask, meters, most_rows
        self._queue: SimpleQueue[Unseen] = SimpleQueue()
        self._soon: list[Unseen] = []
        self._lock, self._idle = threading.Lock(), threading.Event()
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self._idle.set()

    def offer(self, unseen: Unseen) -> None:
        """Have a version asked soon, or count that it is not.

        In an event loop it is asked there, so only what is quick may be offered there.
        """
        rows = len(unseen.batch.values)
        with self._lock:
            if self._waiting and self._waiting + rows > self._most_rows:
                dropped = len(unseen.batch.requests)
                self._meters.shadow_dropped.labels(unseen.resident.model).inc(dropped)
                return
            self._waiting += rows
            self._idle.clear()
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._begin_thread()
            self._queue.put(unseen)
            return
        if not self._soon:
            loop.call_later(_GATHERING_SECONDS, self._ask_now)
        self._soon.append(unseen)

    def drain(self, timeout: float) -> bool:
        """Wait until nothing waits any more; return whether that is so."""
        return self._idle.wait(timeout)

    def _ask_now(self) -> None:
        """Ask all that the event loop has offered."""
        waiting, self._soon = self._soon, []
        self._ask_all(waiting)

    def _begin_thread(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._ask_always, name="shadow", daemon=True)
                self._thread.start()

    def _ask_always(self) -> None:
        while True:
            first = self._queue.get()
            time.sleep(_GATHERING_SECONDS)
            self._ask_all([first, *self._rest()])

    def _ask_all(self, waiting: Sequence[Unseen]) -> None:
        for unseen in _together(waiting):
            try:
                self._ask(unseen)
            except Exception:  # what the shadow does harms nobody
                log.exception("the shadow stumbled; it goes on")
        with self._lock:
            self._waiting -= sum(len(unseen.batch.values) for unseen in waiting)
            if not self._waiting:
                self._idle.set()

    def _rest(self) -> Iterable[Unseen]:
        """Take what waits besides."""
        try:
            while True:
                yield self._queue.get_nowait()
        except Empty:
            return


def _together(waiting: Iterable[Unseen]) -> Iterable[Unseen]:
    """Return the same requests in as few batches as can be."""
    alike: defaultdict[Hashable, list[Unseen]] = defaultdict(list)
    for unseen in waiting:
        alike[unseen.alike].append(unseen)
    for first, *others in alike.values():
        yield Unseen(
            first.resident, Batch.joined([first.batch, *(each.batch for each in others)]), first.read
        )
