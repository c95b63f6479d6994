"""``mlops-assets policy diff``: what would a changed policy do to what is live, before it is merged?"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.output import FINDING, Json, print_json, say, table

if TYPE_CHECKING:
    from mlops_assets.governance.evidence import Objection
    from mlops_assets.registry.policy_replay import Standing
    from mlops_assets.specs.policy_difference import ApproverChange, Change
    from mlops_assets.specs.yaml_positions import Problem

_TITLES = {
    "stops": "Would no longer pass",
    "fails": "Do not pass today either",
    "starts": "Would pass again",
}


def add_to(app: typer.Typer) -> None:
    """Add the command and its group."""
    group = typer.Typer(help="What the platform demands of models.", no_args_is_help=True)
    app.add_typer(group, name="policy")

    @group.callback()
    def _group() -> None:
        """Keep ``diff`` a command of the group although it is the only one."""

    @group.command()
    def diff(
        new: Annotated[Path, typer.Argument(metavar="NEW.yaml", help="The policy as it is to be.")],
        json: Json = False,
    ) -> None:
        """Replay a changed policy over the evidence of all that is live, and say who would no longer pass.

        Nothing is measured again. Exits with 1 if some version that passes today would not, or a spec
        would ask for less than the policy; with 2 if NEW.yaml is wrong.
        """
        from mlops_assets.cli.project import Project
        from mlops_assets.home import Home
        from mlops_assets.registry.policy_replay import replay
        from mlops_assets.resources import Platform
        from mlops_assets.specs.durations import utc_now
        from mlops_assets.specs.loading import policy_conflicts
        from mlops_assets.specs.policy_difference import approver_changes, policy_changes
        from mlops_assets.specs.policy_file import current_policy, policy_of

        proposed, today = policy_of(new), current_policy()
        fleet = Project.around().fleet()
        Home.from_environment().prepare()
        standings = list(replay(Platform().authority, today, proposed, utc_now()))
        changes, approvers = policy_changes(today, proposed), approver_changes(today, proposed)
        conflicts = [found for loaded in fleet.specs for found in policy_conflicts(loaded, proposed)]
        if json:
            print_json(_told(standings, changes, approvers, conflicts))
        else:
            _show(standings, changes, approvers, conflicts)
        if fleet.problems:
            files = len({problem.file for problem in fleet.problems})
            said = "with problems of its own left aside; see mlops-assets check"
            print(f"{_counted(files, 'file')} {said}", file=sys.stderr)
        if conflicts or any(standing.outcome == "stops" for standing in standings):
            sys.exit(FINDING)


def _show(
    standings: "Sequence[Standing]",
    changes: "Sequence[Change]",
    approvers: "Sequence[ApproverChange]",
    conflicts: "Sequence[Problem]",
) -> None:
    if changes:
        table(
            ["demand", "risk", "today", "new", "is", "written in", "today in"],
            [
                [
                    ".".join(change.path),
                    ", ".join(change.risks),
                    change.old or "–",
                    change.new or "–",
                    change.direction,
                    str(change.new_origin or "–"),
                    str(change.old_origin or "–"),
                ]
                for change in changes
            ],
            title="What is demanded differently",
        )
    for changed in approvers:
        say(f"approver {changed.name} ({changed.key}): {changed.change}")
    for outcome, title in _TITLES.items():
        found = [standing for standing in standings if standing.outcome == outcome]
        if found:
            say(f"{title}:")
        for line in (line for standing in found for line in _lines(standing)):
            say(f"  {line}")
    if conflicts:
        say("Specs that would ask for less than the policy:")
    for problem in conflicts:
        say(f"  {problem}")
    counts = _counts(standings)
    say(
        f"{_counted(len(standings), 'live version')}: {counts['stops']} would no longer pass, "
        f"{counts['fails']} do not today either, {counts['starts']} would pass again, "
        f"{counts['passes']} pass as before; "
        f"{_counted(len(changes) + len(approvers), 'change')} of the policy, "
        f"{_counted(len(conflicts), 'conflict')} with specs"
    )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _lines(standing: "Standing") -> list[str]:
    """Return a line for each reason; what holds under both policies is told once."""
    version = standing.live.version
    said = dict.fromkeys(str(objection) for objection in (*standing.today, *standing.new))
    known = (
        f"{version.model} version {version.version} ({standing.live.role}, {standing.risk or 'unknown'} risk)"
    )
    return [f"{known}: {reason}" for reason in said]


def _counts(standings: "Sequence[Standing]") -> dict[str, int]:
    outcomes = [standing.outcome for standing in standings]
    return {outcome: outcomes.count(outcome) for outcome in ("stops", "fails", "starts", "passes")}


def _told(
    standings: "Sequence[Standing]",
    changes: "Sequence[Change]",
    approvers: "Sequence[ApproverChange]",
    conflicts: "Sequence[Problem]",
) -> dict[str, Any]:
    return {
        "changes": [{**asdict(change), "path": ".".join(change.path)} for change in changes],
        "approvers": [asdict(changed) for changed in approvers],
        "counts": _counts(standings),
        "versions": [
            {
                "model": standing.live.version.model,
                "version": standing.live.version.version,
                "role": standing.live.role,
                "risk": standing.risk,
                "outcome": standing.outcome,
                "today": _objections(standing.today),
                "new": _objections(standing.new),
            }
            for standing in standings
            if standing.outcome != "passes"
        ],
        "conflicts": [asdict(problem) for problem in conflicts],
    }


def _objections(found: "Sequence[Objection]") -> list[dict[str, str]]:
    return [asdict(objection) for objection in found]
