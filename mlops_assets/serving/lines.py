"""Where requests wait whose model takes its time, and are answered together.

While a thread works on some, those who come meanwhile wait, and are worked on together next; and the more
there are, the less each costs. So whoever comes when nothing is worked on waits for nobody. But clients that
were answered together are likely to ask again together: for them the next work waits a moment, since
otherwise the first of them would go alone, and the others wait for it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

import anyio
import anyio.to_thread

from mlops_assets.serving.arms import Arms, Outcome
from mlops_assets.serving.batches import Asked
from mlops_assets.serving.table import LiveRollout, Resident
from mlops_assets.serving.usual_requests import Decoded, Layout

# More rows at once make those wait longer who come meanwhile, and are hardly cheaper.
_MOST_ROWS = 1024
# The moment, as a share of the time that the work took: it makes nobody wait for much longer.
_MOMENT, _LONGEST_MOMENT_SECONDS = 0.125, 0.01

_Key = tuple[Resident, LiveRollout | None, Layout]


log = logging.getLogger("mlops_assets.gateway")


class _Waiting(NamedTuple):
    rows: Decoded
    asked: Asked
    tell: Callable[[Outcome | None], None]


class Lines:
    """One line for each version and form of requests; for one event loop.

    Args:
        arms: Answers.
        threads: Limits how many lines are worked on at the same time.
    """

    def __init__(self, arms: Arms, threads: anyio.CapacityLimiter) -> None:
        self._arms, self._threads = arms, threads
        self._lines: dict[_Key, deque[_Waiting]] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._requests = 0

    def __len__(self) -> int:
        """Return how many requests wait or are worked on."""
        return self._requests

    def add(
        self,
        champion: Resident,
        rollout: LiveRollout | None,
        rows: Decoded,
        asked: Asked,
        tell: Callable[[Outcome | None], None],
    ) -> None:
        """Take a request in.

        Args:
            champion: The version that serves by right, or was asked for.
            rollout: How its traffic is split; None if it is not.
            rows: The request's rows.
            asked: What else is known of it.
            tell: Told the outcome, as of :meth:`Arms.answer_decoded`; None, too, if that failed unforeseen.
        """
        key = champion, rollout, rows.layout
        waiting = _Waiting(rows, asked, tell)
        self._requests += 1
        if (line := self._lines.get(key)) is not None:
            line.append(waiting)
        else:
            self._lines[key] = deque([waiting])
            working = asyncio.get_running_loop().create_task(self._work(key))
            self._working.add(working)
            working.add_done_callback(self._working.discard)

    async def _work(self, key: _Key) -> None:
        """Work on a line until nobody waits in it."""
        loop = asyncio.get_running_loop()
        try:
            while line := self._lines[key]:
                together, began = _first(line), loop.time()
                requests = [(each.rows, each.asked) for each in together]
                try:
                    outcomes = await anyio.to_thread.run_sync(
                        self._arms.answer_decoded, *key, requests, limiter=self._threads
                    )
                except Exception:
                    log.exception("%s version %s: usual requests failed", key[0].model, key[0].version)
                    outcomes = [None] * len(together)
                self._requests -= len(together)
                for each, outcome in zip(together, outcomes, strict=True):
                    each.tell(outcome)
                if len(together) > 1:
                    await asyncio.sleep(min(_MOMENT * (loop.time() - began), _LONGEST_MOMENT_SECONDS))
        finally:
            self._requests -= len(self._lines.pop(key))


def _first(line: deque[_Waiting]) -> list[_Waiting]:
    """Take from a line what is worked on together."""
    taken, rows = [line.popleft()], 0
    while line and (rows := rows + len(taken[-1].rows)) < _MOST_ROWS:
        taken.append(line.popleft())
    return taken
