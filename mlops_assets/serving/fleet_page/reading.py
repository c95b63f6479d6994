"""Reads the platform's database beside the event loop: seldom, and without waiting long."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, TypeVar

from mlops_assets.home import Home
from mlops_assets.serving.fleet_page.platform_records import KnownFleet, KnownModel, PlatformRecords
from mlops_assets.serving.problems import told

log = logging.getLogger("mlops_assets.gateway")

# What was read so lately is told again: a page that many people reload asks the database no more for that.
FRESH_SECONDS = 4.0
# A page is better without the rest than late.
PATIENCE_SECONDS = 5.0
_Known = TypeVar("_Known", KnownFleet, KnownModel)


@dataclass
class _Question:
    """Something that is asked, or was."""

    ask: Callable[[], Any]
    answer: "Future[Any]" = field(default_factory=Future)
    answered_at: float = 0.0

    @property
    def is_fresh(self) -> bool:
        return not self.answer.done() or time.monotonic() - self.answered_at < FRESH_SECONDS


class Reading:
    """What is known of the fleet, as a page asks for it.

    One thread asks, so that a database that does not answer holds up nothing but itself.

    Args:
        records: Reads the database, blocking; see :meth:`PlatformRecords.fleet` and ``model``.
    """

    def __init__(self, records: PlatformRecords) -> None:
        self._records = records
        self._questions: dict[str | None, _Question] = {}
        self._waiting: SimpleQueue[_Question] = SimpleQueue()
        self._thread: threading.Thread | None = None

    @classmethod
    def of(cls, home: Home) -> "Reading":
        """Return what reads a home's database."""
        return cls(PlatformRecords(home))

    async def fleet(self) -> KnownFleet:
        """Return what is known of all models; if that cannot be read, why."""
        return await self._known(None, self._records.fleet, KnownFleet)

    async def model(self, name: str) -> KnownModel:
        """Return what is known of one model; if that cannot be read, why."""
        return await self._known(name, lambda: self._records.model(name), KnownModel)

    async def _known(self, key: str | None, ask: Callable[[], _Known], kind: type[_Known]) -> _Known:
        question = self._questions.get(key)
        if question is None or not question.is_fresh:
            self._questions = {k: each for k, each in self._questions.items() if each.is_fresh}
            question = self._questions[key] = _Question(lambda: _asked(ask, kind))
            self._put(question)
        await asyncio.wait([asyncio.wrap_future(question.answer)], timeout=PATIENCE_SECONDS)
        if not question.answer.done():
            return kind(untold=f"the database did not answer within {PATIENCE_SECONDS:g} s")
        known: _Known = question.answer.result()
        return known

    def _put(self, question: _Question) -> None:
        self._waiting.put(question)
        if self._thread is None:
            # As a daemon: a database that never answers must not keep the gateway from ending.
            self._thread = threading.Thread(target=self._answer, name="fleet state", daemon=True)
            self._thread.start()

    def _answer(self) -> None:
        while True:
            question = self._waiting.get()
            answer = question.ask()
            question.answered_at = time.monotonic()
            question.answer.set_result(answer)


def _asked(ask: Callable[[], _Known], kind: type[_Known]) -> _Known:
    """Return what is known, whatever is wrong with where it is kept."""
    try:
        return ask()
    except Exception as error:
        log.warning("the fleet page goes without the fleet's state: %s", told(error))
        return kind(untold=told(error))
