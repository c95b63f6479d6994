"""Where requests wait whose model takes its time, and are answered together.

While a thread works on some, those who come meanwhile wait, and are worked on together next; and the more
there are, the less each costs. So whoever comes when nothing is worked on waits for nobody. But clients that
were answered together are likely to ask again together: for them the next work waits a moment, since
otherwise the first of them would go alone, and the others wait for it.
"""

import asyncio
from collections import deque
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


class _Waiting(NamedTuple):
    rows: Decoded
    asked: Asked
    outcome: "asyncio.Future[Outcome | None]"


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

    async def answer(
        self, champion: Resident, rollout: LiveRollout | None, rows: Decoded, asked: Asked
    ) -> Outcome | None:
        """Return the outcome of a request; see :meth:`Arms.answer_decoded`."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(rows, asked, loop.create_future())
        key = champion, rollout, rows.layout
        if (line := self._lines.get(key)) is not None:
            line.append(waiting)
        else:
            self._lines[key] = deque([waiting])
            working = loop.create_task(self._work(key))
            self._working.add(working)
            working.add_done_callback(self._working.discard)
        return await waiting.outcome

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
                except Exception as error:
                    for each in together:
                        if not each.outcome.done():
                            each.outcome.set_exception(error)
                    continue
                for each, outcome in zip(together, outcomes, strict=True):
                    if not each.outcome.done():  # whoever waited may have gone
                        each.outcome.set_result(outcome)
                if len(together) > 1:
                    await asyncio.sleep(min(_MOMENT * (loop.time() - began), _LONGEST_MOMENT_SECONDS))
        finally:
            del self._lines[key]


def _first(line: deque[_Waiting]) -> list[_Waiting]:
    """Take from a line what is worked on together."""
    taken, rows = [line.popleft()], 0
    while line and (rows := rows + len(taken[-1].rows)) < _MOST_ROWS:
        taken.append(line.popleft())
    return taken
