"""A rollout that is killed at any moment leaves a legal state, and taking the step again completes it.

Before each of its writes, the process that begins, moves on, ends or takes back a rollout dies by SIGKILL; or
the gateway does; or both. A gateway that lives through it, one that starts anew on what is left, and one that
was never there before, all serve the champion that was, or the one that was to be. After the step is taken
again everything is as if nothing had happened.

A run kills at each write once, in turn each of them; ``KILL_POINTS=1000`` kills everybody everywhere.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from mlops_assets.gateway_address import living_gateway
from mlops_assets.gateway_process import start_gateway
from mlops_assets.governance.signatures import Signer
from mlops_assets.home import Home
from mlops_assets.registry.releases import latest_traffic
from mlops_assets_tests.fleets import Fleet, constant
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
VICTIMS = ("process", "gateway", "both", "process without a gateway")
KILLS = int(os.environ.get("KILL_POINTS", "4"))
PATIENCE_SECONDS = 30

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("warm_gateways")]


@dataclass(frozen=True)
class Seen:
    """What serves on a home, and what is on record."""

    champion: str | None
    step: str | None
    aliases: dict[str, str]
    traffic: tuple[str, int, int] | None
    entries: list[str]


@dataclass(frozen=True)
class Gateway:
    """A gateway process."""

    process: "subprocess.Popen[str]"
    http: httpx.Client

    def serves(self) -> tuple[str | None, str | None]:
        """Return the champion and the step of its challenger, after asking for an answer."""
        fleet = self.http.get("/fleet", headers={"accept": "application/json"}).json()
        (model,) = fleet["models"]
        steps = [version["step"] for version in model["versions"] if version["step"]]
        answer = self.http.post("/models/m/invocations", json={"dataframe_records": [{"x": 1.0}]})
        assert answer.status_code == 200, answer.text
        assert answer.json()["predictions"] == [float(answer.json()["version"])]
        return model["champion"], next(iter(steps), None)

    def wait_until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not done():
            assert time.monotonic() < deadline, self.http.get("/v2/health/ready").text
            time.sleep(0.02)


@contextmanager
def gateway_on(home: Path) -> Iterator[Gateway]:
    """Yield a gateway that has started on a home; in the end it is killed."""
    with (home / "gateway.log").open("ab") as log:
        process = start_gateway(Home(home), 0, log)
    assert process.stdout is not None
    with process.stdout, httpx.Client(base_url=process.stdout.readline().strip(), trust_env=False) as http:
        try:
            yield Gateway(process, http)
        finally:
            process.kill()
            process.wait()


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


def seen(home: Path, gateway: Gateway) -> Seen:
    """Return what a gateway serves, and what is on record."""
    trial = Trial(Fleet(Home(home)), vouched=True)
    traffic = latest_traffic(trial.audit, Signer.for_home(home).verifier).get("m")
    return Seen(
        *gateway.serves(),
        dict(trial.fleet.registry.aliases()["m"]),
        (traffic.state, traffic.step, traffic.percent) if traffic else None,
        [entry.action for entry in trial.audit.entries("m")],
    )


def seen_anew(home: Path) -> Seen:
    """Return the same of a gateway that starts now."""
    with gateway_on(home) as gateway:
        return seen(home, gateway)


@dataclass(frozen=True)
class Step:
    """A step of a rollout, and the home before it."""

    action: str
    before: Path
    folder: Path
    warm: Any

    def call(self, home: Path, function: str, **arguments: Any) -> Any:
        return self.warm.call(FILE, function, arguments, cwd=self.folder, home=home)

    def home(self, name: str) -> Path:
        return shutil.copytree(self.before, self.folder / name)

    def undisturbed(self) -> tuple[list[str], Seen]:
        """Take it; return what it writes, and what is there afterwards."""
        home, into = self.home("undisturbed"), self.folder / "points.json"
        ended = self.call(home, "count", action=self.action, into=str(into))
        assert ended.code == 0, ended.err
        return json.loads(into.read_text()), seen_anew(home)

    def kill(self, home: Path, point: int, gateway: Gateway | None, *, oneself: bool) -> None:
        pid = gateway.process.pid if gateway else None
        ended = self.call(home, "kill_at", action=self.action, point=point, gateway=pid, oneself=oneself)
        assert ended.code == (-signal.SIGKILL if oneself else 0), ended.err

    def trial(self, point: int, victim: str, old: Seen, new: Seen) -> None:
        """Kill, have a gateway answer, take the step again, and have it answer again."""
        home = self.home(f"{point} {victim}")
        if victim == "process":
            with gateway_on(home) as gateway:
                self.kill(home, point, gateway=None, oneself=True)
                self.mend(home, gateway, old, new)
            return
        if victim == "process without a gateway":
            self.kill(home, point, gateway=None, oneself=True)
        else:
            with gateway_on(home) as gateway:
                self.kill(home, point, gateway, oneself=victim == "both")
                assert gateway.process.wait(PATIENCE_SECONDS) == -signal.SIGKILL
        with gateway_on(home) as gateway:
            self.mend(home, gateway, old, new)

    def mend(self, home: Path, gateway: Gateway, old: Seen, new: Seen) -> None:
        """Require that what a gateway serves is legal, and that taking the step again completes it."""
        champion, reached = gateway.serves()
        assert champion in {old.champion, new.champion} - {None}
        assert reached in (old.step, new.step, None)
        again = self.call(home, "act", action=self.action)
        assert again.code == 0, again.err
        gateway.wait_until(lambda: gateway.serves() == (new.champion, new.step))
        assert seen(home, gateway) == new


@pytest.fixture
def step(request: pytest.FixtureRequest, prepared: Path, tmp_path: Path, warm: Any) -> Step:
    """The step that a test names, with the steps before it taken."""
    before = shutil.copytree(prepared, tmp_path / "before")
    made = Step(request.param, before, tmp_path, warm)
    for earlier in BEFORE[made.action]:
        assert made.call(before, "act", action=earlier).code == 0
    return made


@pytest.mark.parametrize("step", BEFORE, indirect=True)
def test_whoever_is_killed_anywhere_the_champion_serves_and_the_step_can_be_taken_again(step: Step) -> None:
    old = seen_anew(shutil.copytree(step.before, step.folder / "looked_at"))
    points, new = step.undisturbed()
    assert len(points) >= 2
    # Each point once, by turns, before any of them a second time.
    trials = [
        (point, VICTIMS[(point + turn) % len(VICTIMS)])
        for turn in range(len(VICTIMS))
        for point in range(len(points))
    ]
    for point, victim in trials[: max(KILLS, len(points))]:
        try:
            step.trial(point, victim, old, new)
        except AssertionError as error:
            error.add_note(f"{victim} killed before {points[point]}, write {point + 1} of {points}")
            raise


@pytest.mark.parametrize("step", ["finish"], indirect=True)
def test_a_gateway_that_dies_at_any_of_its_own_writes_serves_the_champion_again(step: Step) -> None:
    def written(home: Path, dies_at: int | None) -> list[str]:
        """Have a gateway start and follow the step until it dies or serves; return what it has written."""
        into, url = home / "written", lambda: living_gateway(Home(home).gateway_address)
        task = {"dies_at": dies_at, "into": str(into)}
        running = step.warm.start("call", str(FILE), "serve", task, cwd=step.folder, home=home)
        while not (running.ended() or url()):
            pass
        assert step.call(home, "act", action=step.action).code == 0
        while not running.ended():
            if champion_at(url()) == "2":
                os.kill(running.pid, signal.SIGKILL)
        assert running.wait().code == -signal.SIGKILL
        return into.read_text().splitlines()

    writes = written(step.home("lives"), None)
    assert len(writes) >= 8
    for point in range(0, len(writes), -(-len(writes) // KILLS)):
        home = step.home(f"dies at {point}")
        written(home, point)
        assert seen_anew(home).champion == "2", writes[point]


def champion_at(url: str | None) -> str | None:
    """Return which version a gateway serves, if it answers."""
    try:
        said = httpx.get(f"{url}/v2/models/m", trust_env=False) if url else None
    except httpx.HTTPError:
        return None
    return said.json()["parameters"]["champion"] if said else None
