"""``mlops-assets policy diff``: a change of the policy is tried on what is live before it is merged."""

from pathlib import Path
from typing import Any

import pytest

from mlops_assets_tests.whole_processes import Ended, TumourProject

# No model of real rows is as good as that.
_STRICTER = """\
all:
  gates:
    feature_verification:
      max_leakage: 0.01
"""


@pytest.fixture
def diff(warm: Any, project: TumourProject, champion_home: Path, tmp_path: Path) -> Any:
    """Return what the command says of a policy's text."""

    def run(text: str | None, *argv: str) -> Ended:
        if text is not None:
            (tmp_path / "new.yaml").write_text(text)
        ended: Ended = warm.cli(
            "policy", "diff", tmp_path / "new.yaml", *argv, cwd=project.root, home=champion_home
        )
        assert "Traceback" not in ended.out + ended.err
        return ended

    return run


def test_a_policy_that_changes_nothing_is_good(diff: Any) -> None:
    ended = diff("tiers: {}\n")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        "1 live version: 0 would no longer pass, 0 do not today either, 0 would pass again, "
        "1 pass as before; 0 changes of the policy, 0 conflicts with specs\n"
    )


def test_who_would_no_longer_pass_is_a_finding_with_its_reason_and_the_line_that_does_it(diff: Any) -> None:
    ended = diff(_STRICTER)
    assert ended.code == 1, ended.out + ended.err
    changes = [line.split() for line in ended.out.splitlines() if line.startswith("gates.")]
    assert {(line[0], line[-3]) for line in changes} == {
        ("gates.feature_verification.max_leakage", "stricter")
    }
    assert all(line[-2].endswith("new.yaml:4") and "policy.yaml:" in line[-1] for line in changes)
    told = diff(_STRICTER, "--json")
    assert told.code == 1
    assert told.json["counts"] == {"stops": 1, "fails": 0, "starts": 0, "passes": 0}
    (version,) = told.json["versions"]
    assert {k: version[k] for k in ("model", "version", "role", "risk", "outcome", "today")} == {
        "model": "tumour",
        "version": "1",
        "role": "champion",
        "risk": "minimal",
        "outcome": "stops",
        "today": [],
    }
    (objection,) = version["new"]
    assert "gate feature_verification passed" in objection["message"]
    assert f"  tumour version 1 (champion, minimal risk): {objection['message']}\n" in ended.out


def test_a_spec_that_would_ask_for_less_is_a_finding_with_both_lines(
    diff: Any, project: TumourProject
) -> None:
    project.write_spec(monitoring={"tolerance": 0.05})
    ended = diff("all: {monitoring: {max_tolerance: 0.01}}\ntiers: {}\n")
    assert ended.code == 1, ended.out + ended.err
    (said,) = [line for line in ended.out.splitlines() if "clinic/defs/tumour/defs.yaml:" in line]
    assert "monitoring.tolerance: 0.05 is more than the policy's 0.01" in said
    assert "new.yaml:1" in said
    told = diff(None, "--json").json
    assert [conflict["message"] in said for conflict in told["conflicts"]] == [True]
    assert told["counts"]["passes"] == 1


def test_a_spec_that_is_wrong_already_is_left_aside(diff: Any, project: TumourProject) -> None:
    (project.folder / "defs.yaml").write_text("type: mlops_assets.ModelLifecycle\nattributes: {}\n")
    ended = diff("tiers: {}\n")
    assert ended.code == 0
    assert ended.err == "1 file with problems of its own left aside; see mlops-assets check\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "all:\n  gates:\n    slices: {max_shortfal: 1}\ntiers:\n  high: {approvals: {needed: -1}}\n",
            [
                "3: unknown key 'all.gates.slices.max_shortfal' (did you mean 'max_shortfall'?)",
                "5: tiers.high.approvals.needed: Input should be greater than or equal to 0, not -1",
            ],
        ),
        ("all: [\n", ["2: is not valid YAML"]),
        (None, ["cannot be read: No such file or directory"]),
    ],
    ids=["two mistakes", "no YAML", "no file"],
)
def test_a_wrong_policy_is_refused_with_every_problem_and_its_line(
    text: str | None, said: list[str], diff: Any
) -> None:
    ended = diff(text)
    assert ended.code == 2
    lines = ended.err.splitlines()
    assert len(lines) == len(said)
    for line, words in zip(lines, said, strict=True):
        assert "new.yaml:" in line
        assert words in line
