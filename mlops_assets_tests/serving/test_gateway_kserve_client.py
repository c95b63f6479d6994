"""KServe's own client works with the gateway, by its first protocol and by the second, in JSON and bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlops_assets_tests.serving.peers import installed
from mlops_assets_tests.serving.visits_requests import INFER, VISITS, oip

ROWS = [{**row, "spent": row["spent"] or 0.0, "member": bool(row["member"])} for row in VISITS]


@pytest.fixture(scope="module")
def told(served: Any) -> dict[str, Any]:
    """What the client was told."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("kserve_calls.py")), served.url, json.dumps(ROWS)],
        env=os.environ | {"PYTHONPATH": str(installed()), "NO_PROXY": "*"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def expected(served: Any) -> Any:
    return served.http.post(INFER, json=oip(ROWS)).json()["outputs"][0]["data"]


def test_its_first_protocol(told: dict[str, Any], expected: Any) -> None:
    assert told["v1"] == {"live": True, "ready": True, "predicted": expected}


@pytest.mark.parametrize("form", ["json", "bytes"])
def test_its_second_protocol(told: dict[str, Any], expected: Any, form: str) -> None:
    assert told["v2"][form] == {"id": "mine", "predicted": expected}


def test_it_asks_what_is_ready(told: dict[str, Any]) -> None:
    assert told["v2"]["live"] is True
    assert told["v2"]["ready"] == [True, True, False]


def test_it_is_told_what_is_wrong(told: dict[str, Any]) -> None:
    assert "missing columns: device" in told["v2"]["refused"]
