"""Endpoints that answer only whom they may."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from mlops_assets.serving.access import Access

Endpoint = Callable[[Request], Awaitable[Response]]


def permitted(access: Access, right: str, answer: Endpoint, model: str | None = None) -> Endpoint:
    """Return an endpoint that answers callers who have a right, within their limits.

    Args:
        access: Tells who calls and may.
        right: What a caller must have a right to.
        answer: Answers the request, in whose scope the caller then is.
        model: The model concerned; that of the path if None, and any one if the path names none.
    """

    async def answered(request: Request) -> Response:
        concerned = model or request.path_params.get("model")
        with access.running(access.admitted(request.scope, right, concerned)):
            return await answer(request)

    return answered
