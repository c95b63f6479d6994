"""What runs inside the processes that are killed in the middle of a rollout: see ``test_kill_rollout.py``."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_WRITES = (
    "set_registered_model_alias",
    "delete_registered_model_alias",
    "set_model_version_tag",
)


def act(action: str) -> None:
    """Take one step of a rollout, as a stage, the sensor or a person does."""
    trial = _trial()
    rollouts = trial.rollouts
    rollouts.mend("m", actor="tests")
    running = rollouts.running("m")
    if action == "begin":
        trial.begin("2")
    elif action == "abort":
        if running is not None:
            rollouts.end(running, "enough", actor="tests")
    elif action == "back":
        if trial.authority.champion("m").version != "1":
            trial.authority.roll_back("m", None, actor="tests", reason="worse")
    elif running is not None and running.step == {"advance": 0, "finish": 1}[action]:
        rollouts.advance(running, (), {"champion": 500, "challenger": 500}, actor="tests", reason="no harm")


def count(action: str, into: str) -> None:
    """Act, and write down how often something becomes durable."""
    passed: list[str] = []
    _watch(passed.append)
    act(action)
    Path(into).write_text(json.dumps(passed))


def kill_at(action: str, point: int, gateway: int | None, oneself: bool) -> None:
    """Act, and have a gateway, this process or both die by SIGKILL before the n-th write."""
    passed: list[str] = []

    def look(name: str) -> None:
        if len(passed) == point:
            if gateway is not None:
                os.kill(gateway, signal.SIGKILL)
            if oneself:
                os.kill(os.getpid(), signal.SIGKILL)
        passed.append(name)

    _watch(look)
    act(action)


def serve(dies_at: int | None, into: str) -> None:
    """Run a gateway that writes down what it puts in place, or dies by SIGKILL before the n-th time."""
    from mlops_assets.serving import __main__ as gateway

    passed: list[str] = []
    one_at_a_time = threading.Lock()  # two threads load versions

    def look(name: str) -> None:
        with one_at_a_time:
            passed.append(name)
            with Path(into).open("a") as noted:  # whenever it dies, what was noted before stays
                noted.write(f"{name}\n")
            if len(passed) - 1 == dies_at:
                os.kill(os.getpid(), signal.SIGKILL)

    for name in ("replace", "rename"):
        _hook(os, name, look)
    sys.argv = ["gateway", "--port", "0"]
    gateway.main()


def _trial() -> Any:
    from mlops_assets.home import Home
    from mlops_assets_tests.fleets import Fleet
    from mlops_assets_tests.rollouts import Trial

    return Trial(Fleet(Home.from_environment()), vouched=True)


def _watch(look: Callable[[str], None]) -> None:
    """Have ``look`` called before everything that changes the registry or the audit chain."""
    from mlflow import MlflowClient

    from mlops_assets.governance.audit_chain import AuditChain

    for owner, name in [*((MlflowClient, name) for name in _WRITES), (AuditChain, "append")]:
        _hook(owner, name, look)


def _hook(owner: Any, name: str, look: Callable[[str], None]) -> None:
    original = getattr(owner, name)

    def hooked(*args: Any, **kwargs: Any) -> Any:
        look(name)
        return original(*args, **kwargs)

    setattr(owner, name, hooked)
