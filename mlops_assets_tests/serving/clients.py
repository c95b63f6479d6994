"""Clients that ask while something is done to a gateway, and gateway processes that may be ended."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import httpx

from mlops_assets.gateway_process import start_gateway

PATIENCE = 30.0


class Asking(ABC):
    """Threads that ask, each on a connection of its own, for as long as the block runs."""

    def __init__(self, url: str, count: int) -> None:
        self.failures: list[str] = []
        self._url, self._stop = url, threading.Event()
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(count)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _connection(self) -> httpx.Client:
        return httpx.Client(base_url=self._url, trust_env=False, timeout=PATIENCE)

    @abstractmethod
    def _ask_on(self) -> None:
        """Ask until :attr:`_stop` is set."""


@contextmanager
def process_on(fleet: Any, *options: str) -> Iterator[tuple[Any, str]]:
    """Yield a gateway's process and URL; it may be ended in the block."""
    with (fleet.home.root / "gateway.log").open("ab") as log:
        process = start_gateway(fleet.home, 0, log, *options)
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http"), (fleet.home.root / "gateway.log").read_text()
        yield process, url
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
