"""The gateway's front: usual requests are answered at once, all others by the application behind it.

A usual request is a right one, of a few rows, for a model whose ONNX form takes numbers. It needs no thread
and no routing: to decode, predict and log it takes less than to hand it to anybody. Of what is unusual, be it
wrong or only rare, nothing is said here, so that one place knows what is wrong and how that is told.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

import httptools
from starlette.routing import compile_path

from mlops_assets.errors import StorageError
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.serving.access import Access
from mlops_assets.serving.binary_tensors import HEADER
from mlops_assets.serving.callers import PREDICT
from mlops_assets.serving.discretion import ENTITY_HEADER
from mlops_assets.serving.inference import Answer, Asked, answer_together
from mlops_assets.serving.matrices import Decoded, Layout
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.protocols import PREDICTION_PATHS, Protocol
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.table import Resident, Table

Scope = MutableMapping[str, Any]
"""What ASGI calls the head of a request; what is noted in it stays with the request if it is passed on."""

Reply = Callable[[bytes | None], None]

# More rows keep other requests waiting for longer than a thread costs.
_MOST_ROWS = 128
_MOST_DIGITS = 5  # of a body's length; what may have to be refused is not waited for
_URLS_REMEMBERED, _LONGEST_REMEMBERED = 4096, 512
_PATHS = [(compile_path(path)[0], protocol) for path, protocol in PREDICTION_PATHS.items()]
# They change how a request is read or counted.
_UNUSUAL = frozenset(
    {
        HEADER.encode(),
        b"x-mlops-probe",
        ENTITY_HEADER.encode(),
        b"expect",
        b"content-encoding",
        b"transfer-encoding",
    }
)

log = logging.getLogger("mlops_assets.gateway")


@dataclass(frozen=True, slots=True)
class Target:
    """What the head of a request asks for.

    Attributes:
        protocol: In which form.
        model: Of which model.
        version: Of which version; the one that serves if None.
    """

    protocol: Protocol
    model: str
    version: str | None


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A request that was taken, and whom to tell its answer."""

    target: Target
    resident: Resident
    rows: Decoded
    asked: Asked
    reply: Reply


class Front:
    """Answers usual requests; all that came in one turn of the event loop together.

    One prediction for twenty rows takes hardly longer than for one, and so does one write to the log. Nobody
    waits for it: what is answered together was there together.

    Args:
        table: Tells what serves now.
        recorder: Writes the prediction log.
        meters: What is counted.
        access: Tells who may ask.
    """

    def __init__(
        self, table: Callable[[], Table], recorder: Recorder, meters: Meters, access: Access
    ) -> None:
        self._table, self._recorder, self._meters, self._access = table, recorder, meters, access
        self._waiting: list[_Waiting] = []
        self._rows = 0

    def target(self, url: bytes, scope: Scope) -> Target | None:
        """Return what a POST asks for by its head, or None if that is unusual."""
        for name, value in scope["headers"]:
            if name in _UNUSUAL or (name == b"content-length" and len(value) > _MOST_DIGITS):
                return None
        return _target(url) if len(url) <= _LONGEST_REMEMBERED else None

    def take(self, target: Target, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Take a request if it is usual; return whether it was taken.

        Args:
            target: What its head asks for.
            scope: Its head.
            body: Its body, which is whole.
            reply: Told the JSON that answers it, which is logged and counted then, before the loop's next
                turn; or None if it turns out to be unusual.
        """
        started = time.perf_counter()
        try:  # first, so that whoever may not ask learns nothing of a model, not even by the time it takes
            caller = self._access.admitted(scope, PREDICT, target.model)
        except Refusal:
            return False  # the application behind tells
        table = self._table()
        resident = table.find(target.model, target.version)
        if resident is None or resident.reader is None or not resident.package.uses_onnx:
            return False
        if not resident.package.is_warm:
            return False
        if table.rollout(target.model, target.version) is not None:
            return False
        try:
            rows = target.protocol.decode_usual(body, resident.reader)
        except Refusal:
            return False
        if rows is None or not rows.form.is_plain or len(rows) > _MOST_ROWS:
            return False
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self.answer)
        self._waiting.append(_Waiting(target, resident, rows, Asked(started, caller=caller.name), reply))
        self._rows += len(rows)
        if self._rows >= _MOST_ROWS:
            self.answer()
        return True

    def answer(self) -> None:
        """Answer the requests that were taken."""
        waiting, self._waiting, self._rows = self._waiting, [], 0
        alike: defaultdict[tuple[Resident, Layout], list[_Waiting]] = defaultdict(list)
        for each in waiting:
            alike[each.resident, each.rows.layout].append(each)
        for (resident, layout), requests in alike.items():
            self._answer(resident, layout, requests)

    def _answer(self, resident: Resident, layout: Layout, requests: list[_Waiting]) -> None:
        try:
            answers = self._answers(resident, layout, requests)
        except (Refusal, StorageError):
            answers = None  # nothing was answered, so that it can be tried again, and told what is wrong
        except Exception:
            log.exception("%s version %s: usual requests failed", resident.model, resident.version)
            answers = None
        if answers is not None:
            for each, answer in zip(requests, answers, strict=True):
                self._tell(each, answer)
        elif len(requests) == 1:
            self._tell(requests[0], None)
        else:  # one of them may have spoilt it for all
            for each in requests:
                self._answer(resident, layout, [each])

    def _answers(self, resident: Resident, layout: Layout, requests: list[_Waiting]) -> list[Answer] | None:
        assert resident.reader is not None
        numbers = [row for each in requests for row in each.rows.numbers]
        values = resident.reader.values(layout, numbers)
        if values is None:
            return None
        asked = [(each.rows, each.asked) for each in requests]
        return answer_together(self._recorder, resident, values, asked)

    def _tell(self, request: _Waiting, answer: Answer | None) -> None:
        try:
            request.reply(None if answer is None else self._content(request, answer))
        except Exception:  # others have nothing to do with it
            log.exception("%s: an answer got lost", request.resident.model)

    def _content(self, request: _Waiting, answer: Answer) -> bytes:
        resident, rows = request.resident, request.rows
        content = request.target.protocol.answered(rows.form, resident, answer).content
        took = time.perf_counter() - request.asked.started
        self._meters.count(resident.model, resident.version, 200, took, rows=len(rows))
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
            return Target(protocol, named["model"], named.get("version")) if "model" in named else None
    return None
