"""Why a request is not answered."""

from collections.abc import Mapping

_LONGEST = 600


class Refusal(Exception):
    """A request that is not answered, in words for whoever sent it.

    Args:
        status: HTTP status, 4xx or 503.
        message: What is wrong, naming the field; cut if it quotes too much of the request.
        headers: Headers of the answer that the status asks for.

    Attributes:
        is_logged: Whether the prediction log has it already.
    """

    is_logged = False

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message if len(message) <= _LONGEST else f"{message[:_LONGEST]}…")
        self.status = status
        self.headers = headers or {}
