"""``mlops-assets review``: the periodic review of the fleet's health, as Markdown and HTML."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlops_assets.cli.output import Json, print_json, report_problems, say, time_option

if TYPE_CHECKING:
    from mlops_assets.monitoring.review import Declared
    from mlops_assets.resources import Platform
    from mlops_assets.specs.loading import LoadedSpec

_QUARTER = timedelta(days=91)


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def review(
        owner: Annotated[str | None, typer.Option(help="Only this owner's models.")] = None,
        since: Annotated[
            str | None, typer.Option(help="From when on (ISO 8601, UTC); 91 days ago if not given.")
        ] = None,
        until: Annotated[str | None, typer.Option(help="Until when; now if not given.")] = None,
        into: Annotated[Path, typer.Option(help="Folder to write the two files to.")] = Path(),
        json: Json = False,
    ) -> None:
        """Write how the fleet fared: what went wrong, what was done about it, and what is left to do.

        Two files with the same content, review-FROM-UNTIL.md and .html. Exits with 2, after writing them, if
        the spec of some model is wrong.
        """
        from mlops_assets.cli.project import Project
        from mlops_assets.errors import SpecError
        from mlops_assets.home import Home, write_atomically
        from mlops_assets.monitoring import review as health
        from mlops_assets.monitoring.incidents.incident import STATES
        from mlops_assets.resources import Platform
        from mlops_assets.specs.durations import utc_now

        end = time_option(until, "--until") or utc_now()
        begin = time_option(since, "--since") or end - _QUARTER
        if begin >= end:
            raise SpecError(f"--since {begin:%Y-%m-%d %H:%M} is not before {end:%Y-%m-%d %H:%M}")
        fleet = Project.around().fleet()
        if owner is not None and owner not in {each.spec.owner for each in fleet.specs}:
            known = ", ".join(sorted({each.spec.owner for each in fleet.specs}))
            raise SpecError(f"nobody called {owner!r} answers for a model; there are {known}")
        Home.from_environment().prepare()
        platform = Platform()
        found = health.review(
            _declared(fleet.specs, platform),
            platform.state.glances(begin, end),
            platform.incidents.incidents(states=STATES, owner=owner, since=begin),
            platform.state.decisions(begin, end),
            (each for each in platform.audit.entries() if begin < _time(each.at) <= end),
            since=begin,
            until=end,
            owner=owner,
        )
        if json:
            print_json(found.as_record())
        else:
            document = found.document()
            name = f"review-{begin:%Y-%m-%d}-{end:%Y-%m-%d}"
            for ending, text in (("md", document.markdown), ("html", document.html)):
                write_atomically(into / f"{name}.{ending}", text.encode())
                say(f"wrote {into / f'{name}.{ending}'}")
            for each in found.to_do:
                say(f"to do: {each}")
        report_problems(fleet)


def _declared(specs: "list[LoadedSpec]", platform: "Platform") -> "list[Declared]":
    from mlops_assets.monitoring.review import Declared
    from mlops_assets.registry.releases import DRILLED
    from mlops_assets.specs.policy_file import current_policy

    serving, tiers = platform.authority.releases(), current_policy().tiers
    drilled: dict[str, datetime] = {}
    for entry in platform.audit.newest_first((DRILLED,)):
        drilled.setdefault(entry.model, _time(entry.at))
    return [
        Declared(
            model=each.spec.name,
            owner=each.spec.owner,
            risk=each.spec.risk,
            serves=each.spec.name in serving,
            drilled_at=drilled.get(each.spec.name),
            drill_age=tiers[each.spec.risk].drills.max_age,
        )
        for each in specs
    ]


def _time(text: str) -> datetime:
    from mlops_assets.specs.durations import parse_time

    return parse_time(text)
