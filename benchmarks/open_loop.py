"""Requests at a fixed rate, whatever the server makes of them.

    python benchmarks/open_loop.py URL REQUEST_FILE RATE SECONDS

The file is JSON: ``paths``, asked one after the other and again from the first, ``headers`` and ``body``. A
request's latency counts from when it was due, not from when a connection was free for it. So a server that
stalls is charged for each request that it kept waiting; a client that waits for answers before it asks again
would have asked less meanwhile. Spins on its sockets, to be on time: it needs a core for itself. Prints JSON:
requests asked, answered and refused, and percentiles of the latency in milliseconds.
"""

import json
import re
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import cycle
from typing import Any, NamedTuple
from urllib.parse import urlparse

_CONNECTIONS = 128
_PATIENCE_SECONDS = 5.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Closed(SystemExit):
    """The server closed a connection."""


class Answer(NamedTuple):
    """An answer, and when it was due, asked for and there, in seconds of ``time.monotonic()``."""

    due: float
    asked: float
    came: float
    status: int
    content: bytes


class _Connection:
    """One connection, and the answer that is arriving on it."""

    def __init__(self, host: str, port: int) -> None:
        self.socket = socket.create_connection((host, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._due, self._asked, self._received = 0.0, 0.0, b""

    def ask(self, request: bytes, due: float) -> None:
        self._due, self._asked, self._received = due, time.monotonic(), b""
        self.socket.sendall(request)

    def answered(self) -> Answer | None:
        """Take what is there; return the answer if that is all of it."""
        received = self.socket.recv(1 << 20)
        if not received:
            raise Closed("the server closed a connection")
        self._received += received
        head = self._received.find(b"\r\n\r\n")
        length = _LENGTH.search(self._received, 0, head) if head >= 0 else None
        if length is None or len(self._received) < head + 4 + int(length[1]):
            return None
        status, content = int(self._received[9:12]), self._received[head + 4 :]
        return Answer(self._due, self._asked, time.monotonic(), status, content)


def answers(url: str, asked_for: dict[str, Any], rate: float, seconds: float) -> Iterator[Answer]:
    """Ask for so many seconds; yield each answer as it comes."""
    address = urlparse(url)
    host, port = address.hostname or "127.0.0.1", address.port or 80
    requests = cycle(_requests(host, asked_for))
    connections = [_Connection(host, port) for _ in range(_CONNECTIONS)]
    by_file = {each.socket.fileno(): each for each in connections}
    ready = select.epoll()
    for file in by_file:
        ready.register(file, select.EPOLLIN)

    free, waiting = connections, deque[float]()
    total, asked, answered, began = int(rate * seconds), 0, 0, time.monotonic()
    while answered < total and (now := time.monotonic()) < began + seconds + _PATIENCE_SECONDS:
        while asked < total and began + asked / rate <= now:
            waiting.append(began + asked / rate)
            asked += 1
        while waiting and free:
            free.pop().ask(next(requests), waiting.popleft())
        for file, _ in ready.poll(0):
            connection = by_file[file]
            if (answer := connection.answered()) is not None:
                answered += 1
                free.append(connection)
                yield answer


def main(url: str, asked_for: dict[str, Any], rate: float, seconds: float) -> dict[str, float]:
    """Ask for so many seconds; return what is printed."""
    latencies, refused = list[float](), 0
    for answer in answers(url, asked_for, rate, seconds):
        latencies.append(answer.came - answer.due)
        refused += answer.status != 200
    if not latencies:
        raise SystemExit("the server answered nothing")
    latencies.sort()
    shares = {f"p{share}": latencies[int(len(latencies) * share / 100)] * 1000 for share in (50, 99)}
    return {"asked": int(rate * seconds), "answered": len(latencies), "refused": refused, **shares}


def _requests(host: str, asked_for: dict[str, Any]) -> list[bytes]:
    body = asked_for["body"].encode()
    headers = {"host": host, "content-type": "application/json", **asked_for["headers"]}
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return [
        f"POST {path} HTTP/1.1\r\n{fields}content-length: {len(body)}\r\n\r\n".encode() + body
        for path in asked_for["paths"]
    ]


if __name__ == "__main__":
    with open(sys.argv[2], "rb") as file:
        print(json.dumps(main(sys.argv[1], json.load(file), float(sys.argv[3]), float(sys.argv[4]))))
