"""What servers are asked, and what it costs them."""

import json
import re
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from process_tree import cpu_seconds
from servers import Running

_CONNECTIONS = 64
_LATENCY_SECONDS = 5.0


def per_cpu_second(
    running: Sequence[Running], rows: int, rounds: int, seconds: int, scratch: Path
) -> dict[str, float]:
    """Return requests per second of CPU time of each server's process tree, median of interleaved rounds."""
    found: dict[str, list[float]] = {each.server.name: [] for each in running}
    for _ in range(rounds):
        for each in running:
            found[each.server.name].append(_load(each, rows, seconds, scratch))
    return {name: statistics.median(figures) for name, figures in found.items()}


def _load(running: Running, rows: int, seconds: int, scratch: Path) -> float:
    body, script = scratch / "body", scratch / "post.lua"
    body.write_bytes(running.server.body(rows))
    headers = {"Content-Type": "application/json", **running.server.headers}
    fields = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in headers.items())
    read = f'local file = io.open("{body}")\nwrk.body = file:read("*a")\nfile:close()\n'
    script.write_text(f'wrk.method = "POST"\n{fields}{read}')
    asked = ["-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script), running.url]
    before = cpu_seconds(running.process)
    said = subprocess.run(["wrk", *asked], capture_output=True, text=True, check=True).stdout
    used = cpu_seconds(running.process) - before
    answered = re.search(r"(\d+) requests in", said)
    if answered is None or "Non-2xx" in said:
        raise SystemExit(f"{running.server.name} refuses some requests of {rows} rows:\n{said}")
    return int(answered[1]) / used


def p99_milliseconds(
    running: Running, rate: float, scratch: Path, paths: Sequence[str] | None = None
) -> float:
    """Return the 99th percentile of the latency at a fixed rate of single rows; infinite if some fail.

    Args:
        running: The server.
        rate: Requests a second.
        scratch: A folder.
        paths: What is asked one after the other; where predictions are asked for, if None.
    """
    asked_for = {
        "paths": paths or [running.server.path],
        "headers": running.server.headers,
        "body": running.server.body(1).decode(),
    }
    (scratch / "request").write_text(json.dumps(asked_for))
    asked = [running.url, str(scratch / "request"), str(rate), str(_LATENCY_SECONDS)]
    loop = [sys.executable, str(Path(__file__).with_name("open_loop.py")), *asked]
    found = json.loads(subprocess.run(loop, capture_output=True, text=True, check=True).stdout)
    whole = found["answered"] == found["asked"] and not found["refused"]
    return float(found["p99"]) if whole else float("inf")
