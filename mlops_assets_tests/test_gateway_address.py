"""The address of a gateway counts while that very gateway lives, and not a moment longer."""

import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from mlops_assets.gateway_address import announced, living_gateway

_HOLD = """
import sys
from pathlib import Path
from mlops_assets.gateway_address import announced
with announced(Path(sys.argv[1]), "http://127.0.0.1:8080"):
    print("announced", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "gateway.url"


def test_an_address_is_told_until_its_gateway_ends(file: Path) -> None:
    assert living_gateway(file) is None
    with announced(file, "http://127.0.0.1:1"):
        assert living_gateway(file) == living_gateway(file) == "http://127.0.0.1:1"
    assert living_gateway(file) is None
    assert not file.exists()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_address_of_a_gateway_that_was_killed_leads_nobody_to_who_has_its_port_now(
    file: Path, number: signal.Signals
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "announced\n"
        assert living_gateway(file) == "http://127.0.0.1:8080"
        process.send_signal(number)
        process.wait()
    assert file.exists(), "it had no time to tidy up"
    assert living_gateway(file) is None
    with announced(file, "http://127.0.0.1:2"):
        assert living_gateway(file) == "http://127.0.0.1:2"
    assert not file.exists()


def test_of_two_gateways_the_newest_counts_and_the_older_takes_away_its_own_only(file: Path) -> None:
    with ExitStack() as older, ExitStack() as newer:
        older.enter_context(announced(file, "http://127.0.0.1:1"))
        newer.enter_context(announced(file, "http://127.0.0.1:2"))
        assert living_gateway(file) == "http://127.0.0.1:2"
        older.close()
        assert living_gateway(file) == "http://127.0.0.1:2"
        newer.close()
        assert not file.exists()
