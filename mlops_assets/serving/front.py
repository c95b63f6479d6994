"""The gateway's front: usual requests are answered here, all others by the application behind it.

A usual request is a right one, of a few rows. If it is for a model whose ONNX form takes numbers it needs no
thread: to decode, predict and log it takes less than to hand it to anybody. Others wait in line for theirs
(:mod:`~mlops_assets.serving.lines`). Of what is unusual, be it wrong or only rare, nothing is said here, so
that one place knows what is wrong and how that is told.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import httptools
from msgspec import Struct
from starlette.routing import compile_path

from mlops_assets.serving.access import CALLER, Access
from mlops_assets.serving.arms import Arms, Outcome
from mlops_assets.serving.batches import Asked
from mlops_assets.serving.binary_tensors import HEADER
from mlops_assets.serving.callers import PREDICT
from mlops_assets.serving.discretion import ENTITY_HEADER, entities_of
from mlops_assets.serving.inference import Answer
from mlops_assets.serving.lines import Lines
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.protocols import PREDICTION_PATHS, Protocol, usual_rows
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.table import LiveRollout, Resident, Table, are_quick, are_warm
from mlops_assets.serving.usual_requests import Decoded, Layout

Scope = MutableMapping[str, Any]
"""What ASGI calls the head of a request; what is noted in it stays with the request if it is passed on."""

Reply = Callable[[bytes | None], None]

# More that came in one turn are not kept waiting for the next.
_MOST_ROWS = 128
_MOST_DIGITS = 5  # of a body's length; what may have to be refused is not waited for
_URLS_REMEMBERED, _LONGEST_REMEMBERED = 4096, 512
_PATHS = [(compile_path(path)[0], protocol) for path, protocol in PREDICTION_PATHS.items()]
# They change how a request is read or counted.
_UNUSUAL = frozenset(
    {HEADER.encode(), b"x-mlops-probe", b"expect", b"content-encoding", b"transfer-encoding"}
)
_ENTITY = ENTITY_HEADER.encode()
_NAMED = "mlops.entity"
REFUSED = "mlops.unanswered"
"""Under this name the scope of a request that is passed on may hold why there is no answer to it."""

log = logging.getLogger("mlops_assets.gateway")


@dataclass(frozen=True, slots=True)
class Target:
    """What the head of a request asks for.

    Attributes:
        protocol: In which form.
        model: Of which model; the only one that is served if None.
        version: Of which version; the one that serves if None.
    """

    protocol: Protocol
    model: str | None
    version: str | None


class Taken(Enum):
    """When a request that was taken is answered."""

    NOW = auto()
    """Before the loop's next turn, or as soon as :meth:`Front.answer` is called."""
    LATER = auto()
    """When its model has worked on it."""


class _Waiting(Struct, frozen=True, gc=False):
    """A request that was taken, and whom to tell its answer."""

    target: Target
    champion: Resident
    rollout: LiveRollout | None
    rows: Decoded
    asked: Asked
    scope: Scope
    reply: Reply


class Front:
    """Answers usual requests; to quick models all that came in one turn of the event loop together.

    One prediction for twenty rows takes hardly longer than for one, and so does one write to the log. Nobody
    waits for it: what is answered together was there together.

    Args:
        table: Tells what serves now.
        arms: Answers.
        meters: What is counted.
        access: Tells who may ask.
        lines: Where requests to other models wait.
        has_room: Tells whether one more may wait.
    """

    def __init__(
        self,
        table: Callable[[], Table],
        arms: Arms,
        meters: Meters,
        access: Access,
        lines: Lines,
        has_room: Callable[[], bool],
    ) -> None:
        self._table, self._arms, self._meters, self._access = table, arms, meters, access
        self._lines, self._has_room = lines, has_room
        self._waiting: list[_Waiting] = []
        self._rows = 0

    def target(self, url: bytes, scope: Scope) -> Target | None:
        """Return what a POST asks for by its head, or None if that is unusual."""
        for name, value in scope["headers"]:
            if name in _UNUSUAL or (name == b"content-length" and len(value) > _MOST_DIGITS):
                return None
            if name == _ENTITY:
                scope.setdefault(_NAMED, value.decode("latin-1"))  # the first counts, as everywhere
        return _target(url) if len(url) <= _LONGEST_REMEMBERED else None

    def take(self, target: Target, scope: Scope, body: bytes, reply: Reply) -> Taken | None:
        """Take a request if it is usual, and return when it is answered; None if it was not taken.

        Args:
            target: What its head asks for.
            scope: Its head.
            body: Its body, which is whole.
            reply: Told the JSON that answers it, which is logged and counted then; or None if it turns out
                to be unusual.
        """
        started = time.perf_counter()
        try:
            waiting = self._usual(target, scope, body, reply, started)
        except Refusal:  # the application behind tells
            return None
        if waiting is None:
            return None
        if not are_quick(waiting.champion, waiting.rollout):
            return self._line_up(waiting)
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.answer)
        self._waiting.append(waiting)
        self._rows += len(waiting.rows)
        if self._rows >= _MOST_ROWS:
            self.answer()
        return Taken.NOW

    def _line_up(self, request: _Waiting) -> Taken | None:
        if not self._has_room():
            return None
        running = ExitStack()
        running.enter_context(self._access.running(request.scope[CALLER]))

        def tell(outcome: Outcome | None) -> None:
            running.close()
            self._tell(request, outcome)

        self._lines.add(request.champion, request.rollout, request.rows, request.asked, tell)
        return Taken.LATER

    def _usual(
        self, target: Target, scope: Scope, body: bytes, reply: Reply, started: float
    ) -> _Waiting | None:
        """Return a request, or None if it is unusual.

        Raises:
            Refusal: It is wrong, or the caller may not ask.
        """
        # First, so that whoever may not ask learns nothing of a model, not even by the time it takes.
        caller = self._access.admitted(scope, PREDICT, target.model)
        table = self._table()
        model = target.model if target.model is not None else caller.view(table).only_model
        champion, rollout = table.find(model, target.version), table.rollout(model, target.version)
        if champion is None or not are_warm(champion, rollout):
            return None
        if (rows := usual_rows(target.protocol, body, champion, rollout)) is None:
            return None
        entities = entities_of(rows, champion.package.manifest, scope.get(_NAMED))
        asked = Asked(started, entities=entities, caller=caller.name)
        return _Waiting(target, champion, rollout, rows, asked, scope, reply)

    def answer(self) -> None:
        """Answer the requests that are to be answered now."""
        waiting, self._waiting, self._rows = self._waiting, [], 0
        alike: defaultdict[tuple[Resident, LiveRollout | None, Layout], list[_Waiting]] = defaultdict(list)
        for each in waiting:
            alike[each.champion, each.rollout, each.rows.layout].append(each)
        for key, together in alike.items():
            requests = [(each.rows, each.asked) for each in together]
            try:
                outcomes = self._arms.answer_decoded(*key, requests)
            except Exception:
                log.exception("%s version %s: usual requests failed", key[0].model, key[0].version)
                outcomes = [None] * len(together)
            for each, outcome in zip(together, outcomes, strict=True):
                self._tell(each, outcome)

    def _tell(self, request: _Waiting, outcome: Outcome | None) -> None:
        try:
            request.reply(self._content(request, outcome))
        except Exception:  # others have nothing to do with it
            log.exception("%s: an answer got lost", request.champion.model)

    def _content(self, request: _Waiting, outcome: Outcome | None) -> bytes | None:
        """Return the answer to a request, or None if it is for the application to tell why there is none."""
        if outcome is None:
            return None
        resident, answer = outcome
        if not isinstance(answer, Answer):
            if isinstance(answer, Refusal):
                request.scope[REFUSED] = answer
            return None
        content = request.target.protocol.answered(request.rows.form, resident, answer).content
        took = time.perf_counter() - request.asked.started
        self._meters.count(resident.model, resident.version, 200, took, rows=len(request.rows))
        return content


@lru_cache(_URLS_REMEMBERED)
def _target(url: bytes) -> Target | None:
    """Return in which form a URL asks for predictions, of which model and version."""
    try:
        path = unquote((httptools.parse_url(url).path or b"").decode("ascii"))
    except (httptools.HttpParserInvalidURLError, UnicodeDecodeError):
        return None
    for pattern, protocol in _PATHS:
        if (match := pattern.match(path)) is not None:
            named = match.groupdict()
            return Target(protocol, named.get("model"), named.get("version"))
    return None
