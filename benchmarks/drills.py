"""What rehearsing the way back takes per model, in a fleet that grows.

    python benchmarks/drills.py [MODELS ...]

Real packages in MLflow on SQLite, and one gateway process. Each drill signs the release it would need, has
the gateway follow an alias, and compares its answers with the package's. Followed: from moving the alias
until the gateway has followed, which is what a rollback takes; its limit is a second. Whole: the time of the
fleet's drills by model, on the wall and of the processor, both processes together. Drills are flat if these
stay as the fleet grows.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from process_tree import cpu_seconds

from mlops_assets.actor import os_user
from mlops_assets.automation.drills import rehearse, with_way_back
from mlops_assets.gateway_process import running_gateway
from mlops_assets.home import Home
from mlops_assets.resources import Platform
from mlops_assets.specs.gate_rules import AT_THE_ENDPOINT
from mlops_assets_tests.fleets import Fleet, constant
from mlops_assets_tests.vouching import record_of, rules_of, subject_of

_LIMIT_SECONDS = 1.0


def add_models(fleet: Fleet, platform: Platform, first: int, last: int) -> None:
    """Add models with a champion and a version to go back to."""
    rules = rules_of("limited")
    for number in range(first, last):
        for value in (1.0, 2.0):
            version = fleet.add(constant(f"model_{number:04d}", value))
            subject = subject_of(version.model, version.candidate)
            endpoint = [record_of(gate, subject, rules) for gate in AT_THE_ENDPOINT]
            platform.authority.promote(version, rules, endpoint, actor=os_user())


def main(sizes: list[int]) -> None:
    heads = ("models", "passed", "followed s", "worst s", "of limit", "whole s", "CPU s")
    print(" ".join(f"{head:>10}" for head in heads))
    with tempfile.TemporaryDirectory() as scratch:
        home, made = Home(Path(scratch) / "home"), 0
        os.environ["MLOPS_HOME"] = str(home.root)
        fleet, platform = Fleet(home), Platform()
        for models in sorted(sizes):
            add_models(fleet, platform, made, models)
            made = models
            with running_gateway(home) as gateway:
                began, used = time.perf_counter(), cpu_seconds(os.getpid())
                drills = list(rehearse(platform, gateway, with_way_back(platform), actor=os_user()))
                whole = (time.perf_counter() - began) / models
                used = (cpu_seconds(os.getpid()) - used) / models
            passed = [drill.seconds for drill in drills if drill.passed and drill.seconds is not None]
            worst = max(passed)
            followed = f"{statistics.median(passed):>10.3f} {worst:>10.3f} {worst / _LIMIT_SECONDS:>10.0%}"
            print(f"{models:>10} {len(passed):>10} {followed} {whole:>10.3f} {used:>10.3f}", flush=True)


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]] or [10, 30, 100])
