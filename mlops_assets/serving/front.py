"""The gateway's front: usual requests are answered at once, all others by the application behind it.

A usual request is a right one, of a few rows, for a model whose ONNX form takes numbers. It needs no thread
and no routing: to decode, predict and log it takes less than to hand it to anybody. Whatever is unusual about
a request, it is passed on unchanged, so that one place knows what is wrong and how that is told.
"""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any

from starlette.routing import compile_path

from mlops_assets.errors import StorageError
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.serving.binary_tensors import HEADER
from mlops_assets.serving.inference import answer_rows
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.protocols import PREDICTION_PATHS, Protocol
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.table import Resident, Table

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]
App = Callable[[_Message, _Receive, _Send], Awaitable[None]]

# More rows keep other requests waiting for longer than a thread costs.
_MOST_ROWS = 64
_PATHS_REMEMBERED = 4096
_PATHS = [(compile_path(path)[0], protocol) for path, protocol in PREDICTION_PATHS.items()]
# They change how a request is read or counted.
_UNUSUAL = {HEADER.encode(), b"x-mlops-probe", b"expect", b"content-encoding"}
_JSON = [(b"content-type", b"application/json")]


class Front:
    """An ASGI application before another one.

    Args:
        behind: Answers what is not usual.
        table: Tells what serves now.
        recorder: Writes the prediction log.
        meters: What is counted.
    """

    def __init__(self, behind: App, table: Callable[[], Table], recorder: Recorder, meters: Meters) -> None:
        self._behind, self._table, self._recorder, self._meters = behind, table, recorder, meters

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request."""
        asked = _asked(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        resident = asked and self._resident(asked[1], asked[2])
        if asked is None or resident is None or any(name in _UNUSUAL for name, _ in scope["headers"]):
            await self._behind(scope, receive, send)
            return
        first = await receive()
        content = None if first.get("more_body") else self._answer(first.get("body", b""), asked[0], resident)
        if content is None:
            await self._behind(scope, _again(first, receive), send)
            return
        headers = [*_JSON, (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def _resident(self, model: str, version: str | None) -> Resident | None:
        resident = self._table().find(model, version)
        return resident if resident and resident.reader and resident.package.uses_onnx else None

    def _answer(self, body: bytes, protocol: Protocol, resident: Resident) -> bytes | None:
        """Return the answer to a usual request, or None."""
        started = time.perf_counter()
        assert resident.reader is not None
        try:
            rows = protocol.read_usual(body, resident.reader)
            if (
                rows is None
                or rows.form.outputs is not None
                or rows.form.binary
                or len(rows.rows) > _MOST_ROWS
            ):
                return None
            answer = answer_rows(self._recorder, resident, rows, started=started, probe=False)
        except (Refusal, StorageError):
            return None  # nothing was answered, so that it can be tried again, and told what is wrong
        answered = protocol.answered(rows.form, resident, answer)
        took = time.perf_counter() - started
        self._meters.count(resident.model, resident.version, 200, took, rows=len(rows.rows))
        return answered.content


@lru_cache(_PATHS_REMEMBERED)
def _asked(path: str) -> tuple[Protocol, str, str | None] | None:
    """Return in which form a path asks for predictions, of which model and version."""
    for pattern, protocol in _PATHS:
        if (match := pattern.match(path)) is not None:
            named = match.groupdict()
            return (protocol, named["model"], named.get("version")) if "model" in named else None
    return None


def _again(first: _Message, receive: _Receive) -> _Receive:
    """Return what receives a message that was taken already, and then what follows it."""
    taken = [first]

    async def received() -> _Message:
        return taken.pop() if taken else await receive()

    return received
