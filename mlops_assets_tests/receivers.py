"""A web server that word is sent to."""

import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Receiver:
    """A web server that keeps what it is sent and answers as it is told to.

    Args:
        path: Path of its URL.

    Attributes:
        url: Where it is, in Apprise's form.
        status: What it answers.
        received: What it was sent while that was 200.
    """

    def __init__(self, path: str) -> None:
        self.received: list[dict[str, Any]] = []
        self.status = 200
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if owner.status == 200:
                    owner.received.append(json.loads(body))
                self.send_response(owner.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"json://127.0.0.1:{self.server.server_port}/{path}"


@contextmanager
def receiving(path: str = "hook") -> Iterator[Receiver]:
    """Run a receiver."""
    found = Receiver(path)
    thread = threading.Thread(target=found.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield found
    finally:
        found.server.shutdown()
        thread.join()
        found.server.server_close()
