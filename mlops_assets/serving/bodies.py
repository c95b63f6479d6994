"""Bodies of requests and answers: bytes in within limits, JSON out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import orjson
from msgspec import Struct, field
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from mlops_assets.serving.refusal import Refusal

MAX_BODY = 16 * 1024 * 1024
MOST_ARRIVING = 16 * MAX_BODY
BODY_SECONDS = 30


class Intake:
    """Takes in bodies of requests, each within a size and a time, and all within a size together.

    What bodies on their way cost is memory. So it is their bytes that are limited and not their number:
    many clients that are slow to send keep nobody else out.

    Args:
        most_bytes: Bytes of unfinished bodies that are held at once.
    """

    def __init__(self, most_bytes: int = MOST_ARRIVING) -> None:
        self._most_bytes, self._held = most_bytes, 0

    async def read(self, request: Request) -> bytes:
        """Return a request's body.

        Raises:
            Refusal: 413 if it is too large and 408 if it is too slow, both told before it is read whole;
                503 if too much is arriving; 400 if the client went away.
        """
        if int(request.headers.get("content-length", 0)) > MAX_BODY:
            raise _too_large()
        pieces, size = [], 0
        try:
            with anyio.fail_after(BODY_SECONDS):
                async for piece in request.stream():
                    pieces.append(piece)
                    size += len(piece)
                    self._held += len(piece)
                    if size > MAX_BODY:
                        raise _too_large()
                    if self._held > self._most_bytes:
                        raise Refusal(503, "too many large requests are arriving; try again in a second")
        except TimeoutError:
            raise Refusal(408, f"the body did not arrive within {BODY_SECONDS} seconds") from None
        except ClientDisconnect:
            raise Refusal(400, "the client went away before its request was read") from None
        finally:
            self._held -= size
        return b"".join(pieces)


def _too_large() -> Refusal:
    return Refusal(413, f"the body is larger than {MAX_BODY // 1024**2} MiB")


@dataclass(frozen=True)
class Sent:
    """What a client sent.

    Attributes:
        content: The body.
        called: What the client says it is.
        json_length: How much of it is JSON, as the client says, if tensors follow as bytes.
    """

    content: bytes
    called: str
    json_length: str | None = None

    def json(self) -> dict[str, Any]:
        """Return the body as a JSON object; see :func:`read_json`."""
        return read_json(self.content, self.called)


class Answered(Struct, frozen=True, gc=False):
    """What a client is answered.

    Attributes:
        content: The body.
        headers: Its headers.
        media_type: What it is.
    """

    content: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"

    @classmethod
    def json(cls, body: Any) -> "Answered":
        """Return a value as an answer in JSON."""
        return cls(dumped(body))


def read_json(content: bytes, content_type: str = "") -> dict[str, Any]:
    """Read a request's body; a key that stands twice has its last value, as everywhere in JSON.

    Args:
        content: The body.
        content_type: What the client says it is. JSON is read whatever it is called, since ``curl -d``
            calls everything a form; what is not JSON is told by its name.

    Raises:
        Refusal: 400 if it is not a JSON object, 415 if it does not even claim to be.
    """
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        if content_type and "json" not in content_type.lower():
            raise Refusal(
                415, f"the body is {content_type[:64]!r}, not JSON; send application/json"
            ) from error
        raise Refusal(400, f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Refusal(400, "the body must be a JSON object")
    return body


def dumped(body: Any) -> bytes:
    """Return a value as JSON; numbers keep every digit."""
    return orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(dumped(body), status, headers, "application/json")
