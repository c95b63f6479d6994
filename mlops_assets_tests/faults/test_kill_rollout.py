"""A rollout that is killed at any moment leaves a legal state, and taking the step again completes it.

The process that begins, moves on, ends or takes back a rollout dies by SIGKILL before each of its writes.
A gateway that starts on what is left serves the champion that was, or the one that was to be; and after the
step is taken again everything is as if nothing had happened.
"""

import json
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.governance.signatures import Signer
from mlops_assets.home import Home
from mlops_assets.registry.releases import latest_traffic
from mlops_assets.serving.marks import Marks, entered_in, tried_in
from mlops_assets_tests.fleets import Fleet, constant, in_process
from mlops_assets_tests.rollouts import Trial, rollout_rules

FILE = Path(__file__).parent / "rollout_trial.py"
# What each step begins from: the steps before it.
BEFORE = {
    "begin": [],
    "advance": ["begin"],
    "abort": ["begin"],
    "finish": ["begin", "advance"],
    "back": ["begin", "advance", "finish"],
}

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Seen:
    """What serves on a home, and what is on record."""

    champion: str | None
    percent: int | None
    aliases: dict[str, str]
    traffic: tuple[str, int, int] | None
    entries: list[str]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a champion and a version whose evidence demands a rollout."""
    fleet = Fleet(Home(tmp_path_factory.mktemp("rollout") / "home"))
    for value in (1.0, 2.0):
        fleet.add(constant("m", value))
    guards = rollout_rules().rollout.guards
    nothing_waited_for = guards.model_copy(
        update={
            name: getattr(guards, name).model_copy(update={"required": False})
            for name in ("error_rate", "latency")
        }
    )
    Trial(fleet, rollout_rules(guards=nothing_waited_for)).promote("1")
    return fleet.home.root


def seen(home: Path) -> Seen:
    """Return what a gateway that starts now serves, and what is on record."""
    fleet = Fleet(Home(home))
    trial = Trial(fleet, vouched=True)
    verifier = Signer.for_home(home).verifier
    marks = Marks(None, entered_in(trial.audit, verifier), tried_in(trial.audit, verifier))
    with in_process(fleet, home / "log", marks=marks) as gateway:
        gateway.settle()
        route = gateway.router.table.routes["m"]
    traffic = latest_traffic(trial.audit, verifier).get("m")
    return Seen(
        route.champion,
        route.rollout.percent if route.rollout else None,
        dict(fleet.registry.aliases()["m"]),
        (traffic.state, traffic.step, traffic.percent) if traffic else None,
        [entry.action for entry in trial.audit.entries("m")],
    )


@pytest.mark.parametrize("action", BEFORE)
def test_a_step_that_is_killed_anywhere_is_completed_by_taking_it_again(
    action: str, prepared: Path, tmp_path: Path, warm: Any
) -> None:
    def call(home: Path, function: str, **arguments: Any) -> Any:
        return warm.call(FILE, function, arguments, cwd=tmp_path, home=home)

    before = shutil.copytree(prepared, tmp_path / "before")
    for earlier in BEFORE[action]:
        assert call(before, "act", action=earlier).code == 0
    undisturbed = shutil.copytree(before, tmp_path / "undisturbed")
    ended = call(undisturbed, "count", action=action, into=str(tmp_path / "points.json"))
    assert ended.code == 0, ended.err
    points = json.loads((tmp_path / "points.json").read_text())
    old, new = seen(before), seen(undisturbed)

    assert len(points) >= 2
    for point, name in enumerate(points):
        home = shutil.copytree(before, tmp_path / f"killed_{point}")
        assert call(home, "kill_at", action=action, point=point).code == -signal.SIGKILL, name
        killed = seen(home)
        assert killed.champion in (old.champion, new.champion), (name, killed)
        assert killed.percent in (old.percent, new.percent, None), (name, killed)
        assert killed.champion is not None
        again = call(home, "act", action=action)
        assert again.code == 0, (name, again.err)
        assert seen(home) == new, name
