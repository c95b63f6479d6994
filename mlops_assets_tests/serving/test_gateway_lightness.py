"""A gateway imports what it needs for what it serves, and no more."""

import os
import re
import subprocess
import sys
from typing import Any

from mlops_assets_tests.test_import_cost import HEAVY
from mlops_assets_tests.whole_processes import clean_environment

# What a gateway process would run, and then tells which of the heavy libraries it holds.
SERVE_AND_TELL = """
import asyncio, sys, threading
from mlops_assets.home import Home
from mlops_assets.serving.server import run_gateway
import mlops_assets.serving.server as server

def ask(url):
    import http.client, json, os, signal
    from urllib.parse import urlsplit
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    said = []
    for model, width in {models!r}:
        body = json.dumps({{"instances": [[0.5] * width]}})
        json_type = {{"content-type": "application/json"}}
        connection.request("POST", f"/models/{{model}}/invocations", body, json_type)
        answer = connection.getresponse()
        said.append((answer.status, answer.read().decode()[:200]))
    for path in ("/metrics", "/v2/health/ready", "/v2"):
        connection.request("GET", path)
        answer = connection.getresponse()
        said.append((answer.status, answer.read().decode()[:0]))
    print(said, ",".join(name for name in {heavy!r} if name in sys.modules), sep=chr(10))
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGTERM)

run_gateway(Home.from_environment(), "127.0.0.1", 0,
            on_ready=lambda url: threading.Thread(target=ask, args=[url]).start())
"""


def _serve_and_tell(fleet: Any, models: list[tuple[str, int]]) -> tuple[str, str]:
    """Return what a gateway process answered, and which heavy libraries it imported for that."""
    heavy = [*(name for name in HEAVY if name != "onnxruntime"), "sqlalchemy"]
    done = subprocess.run(
        [sys.executable, "-c", SERVE_AND_TELL.format(models=models, heavy=heavy)],
        env=clean_environment() | {"MLOPS_HOME": str(fleet.home.root), "PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    said, loaded = done.stdout.split("\n")[:2]
    assert said.count("(200,") == len(models) + 3, (said, done.stderr[-2000:])
    return said, loaded


def test_models_of_numbers_are_served_without_anything_heavy_also_after_a_restart_and_without_the_registry(
    own_fleet: Any, trainings: Any
) -> None:
    own_fleet.promote("m", "2")
    for name in ("iris", "diabetes"):
        own_fleet.promote(name, own_fleet.add(trainings[name]).version)
    models = [("m", 1), ("iris", 4), ("diabetes", 10)]
    said, loaded = _serve_and_tell(own_fleet, models)
    assert loaded == ""
    (own_fleet.home.root / "mlflow.db").rename(own_fleet.home.root / "lost.db")
    said_without, loaded = _serve_and_tell(own_fleet, models)
    assert loaded == ""
    # The same answers, but for the ids that each prediction bears.
    assert _predictions(said_without) == _predictions(said)


def _predictions(said: str) -> list[str]:
    return re.findall(r'"predictions":.*?\]', said)
