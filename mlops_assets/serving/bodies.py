"""Bodies of requests and answers: bytes in within limits, JSON out."""

from typing import Any

import anyio
import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from mlops_assets.serving.refusal import Refusal

MAX_BODY = 16 * 1024 * 1024
BODY_SECONDS = 30


async def read_body(request: Request) -> bytes:
    """Return the request's body, refused before it is read whole if it is too large or too slow."""
    pieces, size = [], 0
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for piece in request.stream():
                size += len(piece)
                if size > MAX_BODY:
                    raise Refusal(413, f"the body is larger than {MAX_BODY // 1024**2} MiB")
                pieces.append(piece)
    except TimeoutError:
        raise Refusal(408, f"the body did not arrive within {BODY_SECONDS} seconds") from None
    except ClientDisconnect:
        raise Refusal(400, "the client went away before its request was read") from None
    return b"".join(pieces)


def dumped(body: Any) -> bytes:
    """Return a value as JSON; numbers keep every digit."""
    return orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON answer."""
    return Response(dumped(body), status, headers, "application/json")
