"""A replay goes by the rules of the spec and by the gate of the policy, as the platform does."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops_assets_tests.whole_processes import TumourProject, WarmProcess

Replay = Callable[[float], list[dict[str, Any]]]


@pytest.fixture
def replay(warm: WarmProcess, project: TumourProject, home: Path) -> Replay:
    """Return what replays three weeks of tumours in which a training is worth so much."""
    asked = ("replay", "tumour", "--since", "2024-01-04", "--until", "2024-01-24", "--every", "day")

    def run(worth: float) -> list[dict[str, Any]]:
        project.write_spec(retraining={"on_gain": worth, "cooldown": "0d", "on_harm": False})
        ended = warm.cli(*asked, "--no-hindsight", "--json", cwd=project.root, home=home)
        assert ended.code == 0, ended.err
        return list(json.loads(ended.out)["steps"])

    return run


def fates(steps: list[dict[str, Any]]) -> list[str]:
    return [step["fate"] for step in steps if step["trained"] is not None]


def test_what_a_training_is_worth_says_how_often_one_starts(replay: Replay) -> None:
    often, seldom, never = (replay(worth) for worth in (0.02, 0.2, 99.0))
    assert len(fates(often)) > len(fates(seldom)) > len(fates(never)) == 0
    triggers = {step["decision"]["trigger"] for step in often if step["trained"] is not None}
    assert triggers == {"new_data"}


def test_a_policy_says_what_a_challenger_has_to_show(replay: Replay, project: TumourProject) -> None:
    # A day has 24 rows, and the policy that comes with the platform asks for 200.
    assert set(fates(replay(0.02))) == {"lost"}
    policy = project.folder.parent / "policy.yaml"
    gate = "{min_rows: 20, confidence: 0.6, weighs_expectation: true}"
    policy.write_text(f"all: {{gates: {{champion_comparison: {gate}}}}}\n")
    assert "serves" in fates(replay(0.02))
