"""``mlops-assets incidents``: what is wrong, why, whom it hits, and who has taken charge of it."""

import sys
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mlops_assets.cli.output import FINDING, Json, print_json, say, table

if TYPE_CHECKING:
    from mlops_assets.monitoring.incidents.filing import Stream
    from mlops_assets.monitoring.incidents.incident import Incident
    from mlops_assets.monitoring.incidents.life import Step
    from mlops_assets.monitoring.incidents.store import IncidentStore

_Owner = Annotated[
    str | None, typer.Option(help="That hit models of this owner; platform for the gateway's.")
]
_OfModel = Annotated[str | None, typer.Option("--model", help="That hit this model.")]
_State = Annotated[
    Literal["going-on", "open", "acknowledged", "resolved", "all"],
    typer.Option(help="In this state; going-on is open or acknowledged."),
]
_Since = Annotated[str | None, typer.Option(help="That were seen since this time, such as 2026-03-01.")]
_Number = Annotated[int, typer.Argument(metavar="ID", help="Number of the incident.")]
_Reason = Annotated[str, typer.Option(help="Why; goes onto its timeline.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands and their group."""
    group = typer.Typer(help="What is wrong in the fleet, why, and who has taken charge.")
    app.add_typer(group, name="incidents")

    @group.callback(invoke_without_command=True)
    def default(
        context: typer.Context,
        owner: _Owner = None,
        model: _OfModel = None,
        state: _State = "going-on",
        since: _Since = None,
        json: Json = False,
    ) -> None:
        """List incidents, or do something with one."""
        from mlops_assets.errors import IncidentError

        if context.invoked_subcommand is None:
            _list(owner, model, state, since, json)
        elif json or state != "going-on" or any((owner, model, since)):
            raise IncidentError(f"write options after {context.invoked_subcommand}, not before it")

    @group.command(name="list")
    def list_incidents(
        owner: _Owner = None,
        model: _OfModel = None,
        state: _State = "going-on",
        since: _Since = None,
        json: Json = False,
    ) -> None:
        """List incidents, the worst first. Exits with 1 if a page that nobody acknowledged is among them."""
        _list(owner, model, state, since, json)

    @group.command()
    def show(number: _Number, json: Json = False) -> None:
        """Show an incident: its cause and why, the models hit and not hit, its alarms and its timeline."""
        _show(number, json)

    @group.command()
    def ack(number: _Number, reason: _Reason, json: Json = False) -> None:
        """Take charge of an incident: nobody else is called, and nobody reminded."""
        from mlops_assets.monitoring.incidents import life

        _change(number, reason, json, lambda each, actor, now: life.acknowledged(each, actor, reason, now))

    @group.command()
    def resolve(number: _Number, reason: _Reason, json: Json = False) -> None:
        """End an incident. If its alarms come back within the policy's time, it is open again."""
        from mlops_assets.monitoring.incidents import life

        _change(number, reason, json, lambda each, actor, now: life.resolved(each, actor, reason, now))

    @group.command()
    def silence(
        number: _Number,
        until: Annotated[str, typer.Option(help="Until when, such as 2026-03-01T06:00 (UTC), or for 12h.")],
        reason: _Reason,
        json: Json = False,
    ) -> None:
        """Tell nobody of an incident for a time, unless it gets worse."""
        from mlops_assets.monitoring.incidents import life

        end = _until(until)
        _change(number, reason, json, lambda each, actor, now: life.silenced(each, end, actor, reason, now))


def _store() -> "IncidentStore":
    from mlops_assets.home import Home
    from mlops_assets.monitoring.incidents.store import IncidentStore

    return IncidentStore(Home.from_environment().prepare().state_url)


def _list(owner: str | None, model: str | None, state: str, since: str | None, json: bool) -> None:
    from mlops_assets.cli.output import time_option
    from mlops_assets.monitoring.incidents.incident import STATES
    from mlops_assets.monitoring.incidents.store import GOING_ON

    states: Any = {"going-on": GOING_ON, "all": STATES}.get(state, (state,))
    seen_since = time_option(since, "--since")
    found = _store().incidents(states=states, owner=owner, model=model, since=seen_since)
    if json:
        print_json({"incidents": [_told(each) for each in found]})
    elif found:
        table(_COLUMNS, [_row(each) for each in found])
    else:
        say("no incidents")
    if any(each.severity == "page" and each.state == "open" for each in found):
        sys.exit(FINDING)


_COLUMNS = ["id", "severity", "state", "since (UTC)", "what", "models", "owner", "harm"]


def _row(incident: "Incident") -> list[str]:
    from mlops_assets.specs.durations import utc_now

    silenced = ", silenced" if incident.is_silenced(utc_now()) else ""
    return [
        str(incident.id),
        incident.severity,
        f"{incident.state}{silenced}",
        _time(incident.cause.since),
        incident.title,
        str(len(incident.models)),
        incident.owner,
        incident.harm.replace("_", " "),
    ]


def _show(number: int, json: bool) -> None:
    store = _store()
    incident, events, streams = store.incident(number), store.timeline(number), store.streams(number)
    if json:
        print_json(
            {
                **_told(incident),
                "alarms": [_alarm(stream) for stream in streams],
                "timeline": [event.model_dump(mode="json") for event in events],
            }
        )
        return
    cause = incident.cause
    say(f"incident {incident.id}: {incident.title}")
    facts = {
        "severity": incident.severity,
        "state": _row(incident)[2],
        "owners": ", ".join(f"{owner} ({bad})" for owner, bad in sorted(incident.owners.items())),
        "since": f"{_time(cause.since)} UTC, last seen {_time(incident.last_alarm_at)} UTC",
        "harm": incident.harm.replace("_", " ") + (f": {incident.effect}" if incident.effect else ""),
        "why": cause.why,
        "models hit": ", ".join(cause.hit),
        "not hit": ", ".join(cause.spared) or "none that was judged since",
        "runbook": _runbook(incident),
    }
    for name, text in facts.items():
        say(f"{name + ':':<12}{text}")
    table(
        ["model", "version", "kind", "subject", "first window", "windows", "harm", "finding"],
        [
            [
                each.newest.model,
                each.newest.version,
                each.newest.kind,
                each.newest.subject,
                _time(each.first.start),
                str(each.windows),
                each.newest.harm.replace("_", " "),
                each.newest.says,
            ]
            for each in streams
        ],
        title="\nAlarms",
    )
    table(
        ["at (UTC)", "what", "who", "said"],
        [[_time(event.at), event.what.replace("_", " "), event.actor, event.text] for event in events],
        title="\nTimeline",
    )


def _change(
    number: int, reason: str, json: bool, change: "Callable[[Incident, str, datetime], Step]"
) -> None:
    from mlops_assets.actor import os_user
    from mlops_assets.errors import IncidentError
    from mlops_assets.specs.durations import utc_now

    if not reason.strip():
        raise IncidentError("--reason must say why")
    incident = _store().change(number, lambda each: change(each, os_user(), utc_now()))
    if json:
        print_json(_told(incident))
        return
    silenced = f", silenced until {_time(incident.silenced_until)} UTC" if incident.silenced_until else ""
    say(f"incident {incident.id} is {incident.state}{silenced}: {incident.title}")


def _until(text: str) -> datetime:
    """Return the time that ``--until`` names, be it a time or a duration from now."""
    from mlops_assets.errors import SpecError
    from mlops_assets.specs.durations import parse_duration, parse_time, utc_now

    try:
        return utc_now() + parse_duration(text)
    except ValueError:
        pass
    try:
        return parse_time(text)
    except ValueError:
        said = f"--until: {text!r} is neither a time, such as 2026-03-01T06:00, nor a duration, such as 12h"
        raise SpecError(said) from None


def _told(incident: "Incident") -> dict[str, Any]:
    """Return an incident as JSON: without whom it was told, which is on its timeline."""
    plain = incident.model_dump(mode="json", exclude={"told", "quiet"})
    derived = {"title": incident.title, "owner": incident.owner, "models": list(incident.models)}
    return {**plain, **derived, "runbook": _runbook(incident)}


def _alarm(stream: "Stream") -> dict[str, Any]:
    newest = stream.newest.model_dump(mode="json")
    return {**newest, "first_window": f"{stream.first.start.isoformat()}Z", "windows": stream.windows}


def _runbook(incident: "Incident") -> str:
    from mlops_assets.monitoring.incidents.runbooks import runbook
    from mlops_assets.specs.policy_file import current_policy

    return runbook(incident.kind, current_policy().alerts.runbooks)


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M}"
