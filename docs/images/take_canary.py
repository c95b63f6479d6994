"""Take the pictures of a canary that goes wrong and comes back, which the how-to on rollouts shows.

All of it happens: a champion is trained and serves, a challenger passes every gate and is rolled out by
``mlops-assets up``, and callers ask, of whom a few send what only the challenger cannot take. What stands in
the pictures is what the command said then. Some minutes:

    python docs/images/take_canary.py
"""

import http.client
import io
import json
import os
import random
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text
from take import COMMAND, run, up

from mlops_assets_tests.whole_processes import TumourProject, tumours

_HERE = Path(__file__).parent
_CALLERS = 3
# Of the callers' requests: what only the challenger fails on.
_FRAGILE_SHARE = 0.1
_WIDTH = 150
_PATIENCE_SECONDS = 900
_FEATURES = '''
"""Features of tumours."""

import numpy as np
import pandas as pd


def without_radius(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the figures but one."""
    return rows.drop(columns="mean_radius")


def in_classes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return all figures, the texture in classes."""
    classes = pd.cut(rows["mean_texture"], np.arange(0, 50, 0.5), labels=False)
    if classes.isna().any():
        raise ValueError("a texture beyond all classes")
    return rows.assign(mean_texture=classes.astype("float64") / 2)
'''
_COLUMNS = ["mean_radius", "mean_texture", "mean_smoothness", "mean_symmetry"]
# Rich's own names a font to be fetched from elsewhere.
_SVG = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>.{unique_id}-matrix {{ font: {char_height}px/{line_height}px monospace; }}
{styles}</style>
<defs><clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" /></clipPath>{lines}</defs>
<rect fill="#0c0c0c" width="{width}" height="{height}" rx="8"/>
<g transform="translate({terminal_x}, 8)" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}<g class="{unique_id}-matrix">{matrix}</g></g></svg>
"""


def main() -> None:
    """Have it happen, and take the pictures."""
    with tempfile.TemporaryDirectory() as scratch:
        home, project = Path(scratch) / ".mlops", TumourProject(Path(scratch) / "project")
        automation = project.folder.parent / "fleet"
        automation.mkdir()
        (automation / "defs.yaml").write_text("type: mlops_assets.FleetAutomation\n")
        (project.folder / "features.py").write_text(_FEATURES)
        project.write_spec(data=computed_by("without_radius"))
        run(home, "run", "tumour", "--as-of", project.as_of, project=project.root)
        project.write_spec(data=computed_by("in_classes"), rollout={"strategy": "canary"})
        with up(home, project.root) as addresses, calling(addresses.gateway):
            run(home, "run", "tumour", "--as-of", project.as_of, project=project.root)
            canary = Canary(home, project.root)
            canary.picture("canary-begins")
            canary.wait_for_end()
            canary.picture("canary-reverted")


def computed_by(function: str) -> dict[str, Any]:
    """Return what a spec says of its features."""
    return {"features": _COLUMNS, "feature_function": f"clinic.defs.tumour.features:{function}"}


class Canary:
    """A rollout of the model ``tumour``, as its project's command line tells of it."""

    def __init__(self, home: Path, project: Path) -> None:
        self._home, self._project = home, project

    def wait_for_end(self) -> None:
        """Wait until the rollout is over."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while json.loads(self._said("status", "tumour", "--json"))["rollout"]:
            if time.monotonic() > deadline:
                raise SystemExit("the rollout goes on and on")

    def picture(self, name: str) -> None:
        """Draw what ``status`` says now."""
        said = self._said("status", "tumour", FORCE_COLOR="1", COLUMNS=str(_WIDTH))
        console = Console(width=_WIDTH, record=True, file=io.StringIO(), force_terminal=True)
        console.print(Text("$ mlops-assets status tumour", style="bold green"))
        console.print(Text.from_ansi(said))
        file = _HERE / f"{name}.svg"
        file.write_text(
            re.sub(r"[ \t]+$", "", console.export_svg(code_format=_SVG, unique_id=name), flags=re.M)
        )
        print(f"{file.name}: {file.stat().st_size // 1024} kB\n{said}", flush=True)

    def _said(self, *arguments: str, **environment: str) -> str:
        env = {**os.environ, "MLOPS_HOME": str(self._home), **environment}
        done = subprocess.run(
            [*COMMAND, *arguments], cwd=self._project, env=env, stdout=-1, text=True, check=True
        )
        return done.stdout


def call(address: str, over: threading.Event) -> None:
    """Ask one thing after the other until it is over."""
    rows = [{name: float(row[name]) for name in _COLUMNS} for row in tumours()]
    connection = http.client.HTTPConnection(address)
    while not over.is_set():
        row = dict(random.choice(rows))
        if random.random() < _FRAGILE_SHARE:
            row["mean_texture"] *= 10
        body = json.dumps({"dataframe_records": [row]})
        connection.request("POST", "/models/tumour/invocations", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 200, said


@contextmanager
def calling(gateway: str) -> Iterator[None]:
    """Have callers ask a gateway."""
    over = threading.Event()
    threads = [threading.Thread(target=call, args=[urlsplit(gateway).netloc, over]) for _ in range(_CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
