"""Connections to a gateway whose bytes the test sends itself."""

import socket
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

PATIENCE = 30.0


def request(path: str, body: bytes, *fields: str, method: str = "POST", version: str = "1.1") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "host: gateway", *fields]
    if not any(field.startswith(("content-length", "transfer-encoding")) for field in fields):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> Any:
        return orjson.loads(self.body)["id"]


class Wire:
    """A connection whose bytes the test sends itself."""

    def __init__(self, address: tuple[str, int], receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)
        # Small pieces are to arrive as they are sent.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, *pieces: bytes) -> "Wire":
        for piece in pieces:
            self.socket.sendall(piece)
        return self

    def receive(self, *, head_only: bool = False) -> Answer:
        status = int(self._file.readline().split()[1])
        lines = iter(lambda: self._file.readline().strip().decode(), "")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = 0 if head_only else int(headers.get("content-length", 0))
        return Answer(status, headers, self._file.read(length))

    @property
    def is_closed(self) -> bool:
        """Whether the gateway closed it; waits until there is something to see."""
        return self._file.read(1) == b""


def until(reached: Callable[[], bool]) -> None:
    given_up = time.monotonic() + PATIENCE
    while not reached():
        assert time.monotonic() < given_up
