"""The shadow: the arm that does not answer is asked as well, unseen and at nobody's cost.

Requests wait in a short queue for one thread; when it is full they are dropped and counted. What the shadow
answers is logged beside the answer that the caller had.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable

from mlops_assets.serving.meters import Meters

log = logging.getLogger("mlops_assets.gateway")

_MOST_WAITING = 1_000


class Shadow:
    """Asks the unseen arm.

    Args:
        meters: Counts what is dropped.
        most_waiting: Requests that may wait.
    """

    def __init__(self, meters: Meters, most_waiting: int = _MOST_WAITING) -> None:
        self._meters, self._most_waiting = meters, most_waiting
        self._waiting: deque[Callable[[], None]] = deque()
        self._work, self._idle = threading.Semaphore(0), threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._idle.set()

    def offer(self, model: str, ask: Callable[[], None]) -> None:
        """Have the unseen arm asked soon, or count that it is not.

        Args:
            model: Model name.
            ask: Asks it, and logs what it says.
        """
        if len(self._waiting) >= self._most_waiting:
            self._meters.shadow_dropped.labels(model).inc()
            return
        self._idle.clear()
        self._waiting.append(ask)
        self._work.release()
        if self._thread is None:
            self._start()

    def drain(self, timeout: float) -> bool:
        """Wait until nothing waits any more; return whether that is so."""
        return self._idle.wait(timeout)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._ask_always, name="shadow", daemon=True)
                self._thread.start()

    def _ask_always(self) -> None:
        while True:
            self._work.acquire()
            try:
                self._waiting.popleft()()
            except Exception:  # what the shadow does harms nobody
                log.exception("the shadow stumbled; it goes on")
            if not self._waiting:
                self._idle.set()
