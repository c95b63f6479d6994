"""How long the fleet page of 1,000 models takes, from the request until all of it has arrived.

    python benchmarks/fleet_page.py [MODELS [WINDOWS]]

Each model has 30 daily windows in the platform's database (SQLite), each with what was found of 20 columns,
and one in twenty an incident; the gateway has counted 500 answers of each. All models share one loaded
version: what a version takes is no part of the page. ``first`` is the first page, which also opens the
database; ``read`` one for which the database is asked anew; ``kept`` one within the seconds in which what was
read is told again; ``a model`` the page of one model. Chromium's time is until the page is laid out.
Limit: 1 s.
"""

import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import uvicorn
from timing import median_seconds

from mlops_assets.home import Home
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.registry.port import CHAMPION
from mlops_assets.serving.app import Gateway
from mlops_assets.serving.fleet_page import reading
from mlops_assets.serving.meters import RECENT, Meters
from mlops_assets.serving.table import Resident, Route, Table
from mlops_assets_tests.fleets import Fleet, constant, in_process
from mlops_assets_tests.platform_histories import PlatformHistory, WatchedCourse

if TYPE_CHECKING:
    import httpx

LIMIT_SECONDS = 1.0
_ROUNDS = 9


class _Routes:
    """A table that does not change."""

    def __init__(self, table: Table) -> None:
        self.table = table

    def start(self) -> None:
        """Nothing is followed."""

    def stop(self) -> None:
        """Nothing is followed."""


def main() -> None:
    """Measure and print."""
    models, windows = (int(given) for given in (*sys.argv[1:3], *["1000", "30"][len(sys.argv) - 1 :]))
    # Where nothing waits for a disk: thirty thousand transactions are filed.
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.exists() else None) as folder:
        home = Home(Path(folder) / "home").prepare()
        names = [f"model_{n:04}" for n in range(models)]
        began = time.perf_counter()
        _fill(home, names, windows)
        print(f"filed {models * windows:,} windows in {time.perf_counter() - began:.0f} s", flush=True)
        resident = _resident(Path(folder) / "registry")
        import httpx

        with _serving(home, names, resident) as url, httpx.Client(base_url=url, trust_env=False) as client:
            _measure(client, names[len(names) // 2])
            _in_chromium(f"{url}/fleet")


def _measure(client: "httpx.Client", model: str) -> None:
    def page(address: str = "/fleet") -> "httpx.Response":
        return client.get(address).raise_for_status()

    began = time.perf_counter()
    first = page()
    _told("first", time.perf_counter() - began)
    assert "Only what this gateway itself knows" not in first.text
    _told("kept", median_seconds(page, _ROUNDS))
    reading.FRESH_SECONDS = 0.0
    _told("read", median_seconds(page, _ROUNDS))
    _told("filtered", median_seconds(lambda: page("/fleet?only=incidents&sort=performance"), _ROUNDS))
    _told("a model", median_seconds(lambda: page(f"/fleet/{model}"), _ROUNDS))
    print(
        f"{len(first.content) / 1e6:.2f} MB; of one model {len(page(f'/fleet/{model}').content) / 1e3:.0f} kB"
    )


def _told(name: str, seconds: float) -> None:
    print(f"{name}: {seconds:.3f} s, {seconds / LIMIT_SECONDS:.2f} of the limit", flush=True)


def _fill(home: Home, names: list[str], windows: int) -> None:
    history = PlatformHistory(home)
    for n, name in enumerate(names):
        fell = 0.1 if n % 40 == 0 else 0.0
        course = WatchedCourse(
            name, f"team:{n % 25}", fell=fell, drifted=("price",) * (n % 10 == 0), columns=20
        )
        history.windows(course, windows, seed=n)
        if n % 20 == 0:
            history.incident(course, "performance", "roc_auc", harm="measured")
        history.audit.append(
            "drill", name, actor="schedule", reason="", version="2", previous="1", passed=n % 50 > 0
        )


def _resident(root: Path) -> Resident:
    fleet = Fleet(Home(root))
    fleet.promote("m", fleet.add(constant("m", 1.0)).version)
    with in_process(fleet) as made:
        made.settle()
        return made.router.table.resolve("m", None)


@contextmanager
def _serving(home: Home, names: list[str], resident: Resident) -> Iterator[str]:
    """Yield the address of a gateway with a route for each name."""
    route = Route("1", MappingProxyType({CHAMPION: "1"}), MappingProxyType({"1": resident}))
    table = Table(MappingProxyType(dict.fromkeys(names, route)), settled=True)
    meters = Meters()
    for name in names:
        for n in range(RECENT):
            meters.count(name, "1", 200, n / 1e6, rows=1)
    recorder = Recorder.for_home(home, "benchmark")
    routes: Any = _Routes(table)
    app = Gateway(routes, recorder, meters, home=home).app()
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
        recorder.close()


def _in_chromium(address: str) -> None:
    """Print how long a browser takes, if there is one."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        return
    from playwright.sync_api import sync_playwright

    reading.FRESH_SECONDS = 4.0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(address)

        def load() -> None:
            page.reload()
            page.evaluate("document.body.getBoundingClientRect().height")

        _told("Chromium", median_seconds(load, _ROUNDS))
        browser.close()


if __name__ == "__main__":
    main()
