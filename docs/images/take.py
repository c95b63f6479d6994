"""Take the screenshots that README and the tutorial show, of the real UIs after the real demo.

The gateway's own pages are in take_fleet.py.

Runs the demo in a temporary home, or uses the one that MLOPS_HOME names, starts ``mlops-assets up`` on
free ports and photographs it with headless Chromium. About two minutes:

    python docs/images/take.py
"""

import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from mlops_assets.home import Home
from mlops_assets.registry.mlflow_registry import MlflowRegistry

_HERE = Path(__file__).parent
COMMAND = [sys.executable, "-m", "mlops_assets.cli.main"]
_MODEL = "flight_delay"
# What a reader has chosen before: a folded navigation, and how the lineage is laid out.
_CHOICES = """
localStorage.setItem('dagster-nav-collapsed', 'true');
localStorage.setItem('asset-graph-direction', '"vertical"');
localStorage.setItem('dagster.panel-width.asset-graph-explorer', '50');
localStorage.setItem('asset-node-facets', '["checks", "status", "kind-tag"]');
"""


@dataclass(frozen=True)
class Addresses:
    """Where the three UIs are."""

    dagster: str
    mlflow: str
    gateway: str


def main() -> None:
    """Take all screenshots."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("chromium is not installed")
    with _home() as home, up(home) as addresses, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        context = browser.new_context(viewport={"width": 1500, "height": 1180}, timezone_id="UTC")
        context.add_init_script(_CHOICES)
        page = context.new_page()
        gates(page, addresses)
        monitoring(page, addresses)
        # The demo may end with a refusal; the newest version passed every gate and will again.
        newest = MlflowRegistry(Home(home)).versions(_MODEL)[-1]
        run(home, "run", _MODEL, "--as-of", newest.tags["mlops.as_of"])
        lineage(page, addresses)
        registry(page, addresses, newest.version)
        browser.close()


def lineage(page: Page, addresses: Addresses) -> None:
    """The road of the model, stage by stage, with what the evaluation found."""
    group = f"{addresses.dagster}/locations/mlops_assets/asset-groups/{_MODEL}/lineage"
    page.set_viewport_size({"width": 1400, "height": 1000})
    page.goto(f"{group}/{_MODEL}%2Fevaluation")
    page.get_by_text("monitoring_report").first.wait_for()
    page.get_by_text("Latest materialization").wait_for()
    page.get_by_text("2 / 2 Passed").nth(1).wait_for()
    _settle(page)
    _save(page.screenshot(), "lineage")


def gates(page: Page, addresses: Addresses) -> None:
    """A gate that refused, with what it measured, the limit, and what offended."""
    page.set_viewport_size({"width": 1400, "height": 968})
    page.goto(f"{addresses.dagster}/assets/{_MODEL}/evaluation?view=checks&checkDetail=champion_comparison")
    page.get_by_text("confidence of a gain").first.wait_for()
    _settle(page)
    _save(page.screenshot(), "gates")


def monitoring(page: Page, addresses: Addresses) -> None:
    """The months of the model, as the monitoring report shows them."""
    page.set_viewport_size({"width": 1400, "height": 760})
    page.goto(f"{addresses.dagster}/assets/{_MODEL}/monitoring_report")
    page.get_by_role("row").filter(has_text="history").get_by_text("[Show Markdown]").click()
    page.get_by_alt_text("history").wait_for()
    _settle(page)
    _save(page.screenshot(), "monitoring")


def registry(page: Page, addresses: Addresses, version: str) -> None:
    """A version in MLflow, with its alias, what is to be said of it, and its lineage."""
    page.set_viewport_size({"width": 1400, "height": 660})
    page.goto(f"{addresses.mlflow}/#/models/{_MODEL}")
    page.get_by_text("Model training").click()
    page.goto(f"{addresses.mlflow}/#/models/{_MODEL}/versions/{version}")
    page.get_by_role("button", name="Close").click()
    page.get_by_text("mlops.as_of").wait_for()
    _settle(page)
    _save(page.screenshot(), "registry")


def _settle(page: Page) -> None:
    """Let what is still on its way arrive; the UIs poll, so the network is never idle."""
    page.wait_for_timeout(2500)


def _save(picture: bytes, name: str) -> None:
    path = _HERE / f"{name}.png"
    Image.open(io.BytesIO(picture)).convert("RGB").save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size // 1024} kB", flush=True)


@contextmanager
def _home() -> Iterator[Path]:
    """Yield a home in which the demo has taken place."""
    if given := os.environ.get("MLOPS_HOME"):
        yield Path(given).absolute()
        return
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch) / ".mlops"
        run(home, "demo")
        yield home


def run(home: Path, *arguments: str, project: Path | None = None) -> None:
    """Run a command, in a project's folder or in this one."""
    env = os.environ | {"MLOPS_HOME": str(home)}
    subprocess.run([*COMMAND, *arguments], env=env, cwd=project, check=True)


@contextmanager
def up(home: Path, project: Path | None = None) -> Iterator[Addresses]:
    """Yield the addresses of the UIs while ``mlops-assets up`` runs."""
    ports = _free_ports(3)
    names = ("dagster", "mlflow", "gateway")
    options = [f"--{name}-port={port}" for name, port in zip(names, ports, strict=True)]
    process = subprocess.Popen(
        [*COMMAND, "up", *options],
        env=os.environ | {"MLOPS_HOME": str(home)},
        cwd=project,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if "Ctrl-C" in line:
                break
        else:
            raise SystemExit("mlops-assets up did not start")
        yield Addresses(*(f"http://127.0.0.1:{port}" for port in ports))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def _free_ports(count: int) -> list[int]:
    listeners = [socket.socket() for _ in range(count)]
    try:
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]
    finally:
        for listener in listeners:
            listener.close()


if __name__ == "__main__":
    main()
