"""A lifecycle killed at any moment and run again ends as if nothing had happened.

One run is recorded to learn every point at which something becomes durable: each boundary of a stage
or gate, each file put in place, each write to MLflow, each transaction of the fleet's own database. Then,
for each of them, a lifecycle in a process of its own dies there by SIGKILL and is run again. Left out are
points that are no boundary and leave on disk what the point before them left. A new stage or a new write
is covered without touching this test.

A run takes some of those points, evenly spread; ``KILL_POINTS=1000`` takes all.
"""

import json
import os
import shutil
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

TRIAL = Path(__file__).parent / "lifecycle_trial.py"
HOMES = Path(__file__).parent.parent / "homes.py"
AT_ONCE = 2
KILLS = int(os.environ.get("KILL_POINTS", "8"))

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Scenario:
    """A home before the lifecycle, and the run that is disturbed."""

    warm: Any
    project: Any
    before: Path
    folder: Path

    @property
    def argv(self) -> list[str]:
        return ["run", "tumour", "--as-of", self.project.as_of]

    def home(self, name: str) -> Path:
        home = self.folder / name
        return shutil.copytree(self.before, home) if self.before.exists() else home

    def call(self, home: Path, file: Path, function: str, **arguments: Any) -> Any:
        return self.warm.call(file, function, arguments, cwd=self.project.root, home=home)

    def recorded(self) -> list[tuple[str, str]]:
        """Return all points a run passes, with a fingerprint of the disk at each."""
        into = self.folder / "points.json"
        ended = self.call(self.home("recorded"), TRIAL, "record", argv=self.argv, into=str(into))
        assert ended.code == 0, ended.err
        return [(point, fingerprint) for point, fingerprint in json.loads(into.read_text())]

    def points(self) -> list[str]:
        """Return the boundaries a run passes, and the points at which something new is on disk."""
        chosen, last = [], ""
        for point, fingerprint in self.recorded():
            if fingerprint != last or point.startswith("after boundary"):
                chosen.append(point)
            last = fingerprint
        return chosen

    def state(self, home: Path) -> dict[str, Any]:
        into = home.with_suffix(".state.json")
        ended = self.call(home, HOMES, "inspect", into=str(into))
        assert ended.code == 0, ended.err
        return json.loads(into.read_text())

    def undisturbed(self) -> dict[str, Any]:
        home = self.home("undisturbed")
        ended = self.warm.cli(*self.argv, cwd=self.project.root, home=home)
        assert ended.code == 0, ended.err
        return self.state(home)

    def trial(self, number: int, point: str, expected: dict[str, Any]) -> list[str]:
        """Kill at a point, look, run again, look; return what is wrong."""
        home = self.home(f"trial_{number}")
        killed = self.call(home, TRIAL, "kill_at", argv=self.argv, point=point)
        if killed.code != -signal.SIGKILL:
            return [f"{point}: not reached, exit code {killed.code}: {killed.err}"]
        aliases = _aliases(home)
        headless = expected["before"] is not None and "champion" not in aliases
        again = self.warm.cli(*self.argv, cwd=self.project.root, home=home)
        if again.code != 0:
            return [f"{point}: running again ends with {again.code}: {again.err or again.out}"]
        found = self.state(home)
        shutil.rmtree(home)
        return [
            *([f"{point}: no champion after the kill, only {aliases}"] if headless else []),
            *(f"{point}: {line}" for line in differences(found, expected["after"])),
        ]

    def prove(self, points: list[str], record_property: Any) -> None:
        """Run a trial for each point, and fail with all that is wrong."""
        points = points[:: -(-len(points) // KILLS)]
        expected = {"before": _aliases(self.before).get("champion"), "after": self.undisturbed()}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            found = pool.map(lambda p: self.trial(*p, expected), enumerate(points))
            wrong = [problem for problems in found for problem in problems]
        record_property("kill_points", len(points))
        print(f"{len(points)} points, {len(points)} kills, {len(wrong)} problems")
        if wrong:
            pytest.fail("\n".join(wrong), pytrace=False)


def differences(found: Any, expected: Any, where: str = "state") -> list[str]:
    """Return where two states differ, in as few words as show it."""
    if found == expected:
        return []
    if isinstance(found, dict) and isinstance(expected, dict):
        return [
            line
            for key in {**found, **expected}
            for line in differences(found.get(key), expected.get(key), f"{where}.{key}")
        ]
    if isinstance(found, list) and isinstance(expected, list):
        extra = [item for item in found if item not in expected]
        missing = [item for item in expected if item not in found]
        return [f"{where}: {len(found)} items, not {len(expected)}; too many: {extra}; missing: {missing}"]
    return [f"{where} is {found}, not {expected}"]


def _aliases(home: Path) -> dict[str, str]:
    """Return the aliases, straight from MLflow's database."""
    if not (home / "mlflow.db").exists():
        return {}
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        return dict(database.execute("SELECT alias, version FROM registered_model_aliases"))


def test_killed_before_there_is_a_champion(
    warm: Any, project: Any, prepared_home: Path, fast_folder: Path, record_property: Any
) -> None:
    (folder := fast_folder / "first_version").mkdir()
    scenario = Scenario(warm, project, prepared_home, folder)
    points = scenario.points()
    assert len(points) > 40, "the hooks of lifecycle_trial.py no longer see what the lifecycle does"
    scenario.prove(points, record_property)


def test_killed_while_a_challenger_wins(
    warm: Any, project: Any, prepared_home: Path, fast_folder: Path, record_property: Any
) -> None:
    (folder := fast_folder / "challenger").mkdir()
    champion = shutil.copytree(prepared_home, folder / "champion")
    ended = warm.cli("run", "tumour", "--as-of", project.as_of, cwd=project.root, home=champion)
    assert ended.code == 0, ended.err
    project.write_spec(data={"features": [c for c in project.columns if c.startswith("mean_")]})
    scenario = Scenario(warm, project, champion, folder)
    points = scenario.points()
    assert len(points) > 40, "the hooks of lifecycle_trial.py no longer see what the lifecycle does"
    scenario.prove(points, record_property)


def test_killed_while_the_home_is_made(
    warm: Any, project: Any, fast_folder: Path, record_property: Any
) -> None:
    """The very first run makes five databases, by hundreds of statements, of which some are tried."""
    (folder := fast_folder / "new_home").mkdir()
    scenario = Scenario(warm, project, folder / "nothing", folder)
    recorded = [point for point, _ in scenario.recorded()]
    statements = [point for point in recorded if "schema" in point]
    files = [point for point in recorded if "write dagster/" in point or "write mlflow.db" in point]
    assert len(statements) > 400
    assert len(files) == 10
    scenario.prove(statements[:: len(statements) // 6] + files, record_property)
