"""``mlops-assets keys``: who may call the gateway with an API key."""

import sys
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.output import Json, print_json, table

if TYPE_CHECKING:
    from mlops_assets.home import Home
    from mlops_assets.serving.api_keys import KeyOwner, StoredKey

_Caller = Annotated[str, typer.Argument(help="Who calls, as the prediction log will name it.")]
_Expires = Annotated[
    str | None, typer.Option(help="How long the key counts, such as 90d; for ever if not given.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands and their group."""
    group = typer.Typer(help="Who may call the gateway with an API key.", no_args_is_help=True)
    app.add_typer(group, name="keys")

    @group.command()
    def add(
        caller: _Caller,
        model: Annotated[
            list[str] | None, typer.Option(help="Model in scope; may be repeated. All if not given.")
        ] = None,
        right: Annotated[
            list[str] | None,
            typer.Option(help="predict, feedback or see; may be repeated. All three if not given."),
        ] = None,
        expires: _Expires = None,
        requests_per_second: Annotated[float | None, typer.Option(help="Requests a second.")] = None,
        burst: Annotated[int | None, typer.Option(help="Requests at once after a pause.")] = None,
        concurrent: Annotated[int | None, typer.Option(help="Requests at the same time.")] = None,
        json: Json = False,
    ) -> None:
        """Give a caller a key, and print it: it is shown this once, only its digest is kept.

        Running gateways know it within a second. From the first key on, a gateway answers nobody without one.
        """
        import msgspec

        from mlops_assets.errors import AccessError
        from mlops_assets.home import Home
        from mlops_assets.serving.api_keys import KeyOwner, change_keys, new_key, now, read_keys
        from mlops_assets.serving.callers import EVERY_MODEL, RIGHTS

        home = Home.from_environment().prepare()
        key, stored = new_key(now(), _duration("--expires", expires))
        limits = {"requests_per_second": requests_per_second, "burst": burst, "concurrent": concurrent}
        stated = {
            "name": caller,
            "models": model or [EVERY_MODEL],
            "rights": right or list(RIGHTS),
            "limits": limits,
            "keys": [stored],
        }
        try:
            owner = msgspec.convert(stated, KeyOwner, from_attributes=True)
        except msgspec.ValidationError as error:
            raise AccessError(f"{caller}: {error}") from error
        read_keys(home.api_keys).adding(owner)  # nothing is on record that would be refused
        _record(home, "key_added", owner, stored)
        change_keys(home.api_keys, lambda file: file.adding(owner))
        _hand_over(key, caller, stored, json)

    @group.command(name="list")
    def list_keys(json: Json = False) -> None:
        """Show who has a key, for what, and until when."""
        from mlops_assets.home import Home
        from mlops_assets.serving.api_keys import now, read_keys

        callers = read_keys(Home.from_environment().api_keys).callers
        if json:
            print_json({"callers": [_told(owner, now()) for owner in callers]})
            return
        table(
            ["caller", "models", "rights", "limits", "key", "made (UTC)", "ends (UTC)"],
            [
                [
                    owner.name,
                    ", ".join(owner.models),
                    ", ".join(owner.rights),
                    _limits(owner),
                    key.id,
                    _utc(key.created),
                    _ends(key, now()),
                ]
                for owner in callers
                for key in owner.keys
            ],
        )

    @group.command()
    def rotate(
        caller: _Caller,
        overlap: Annotated[str, typer.Option(help="How long the old key still counts.")] = "7d",
        expires: _Expires = None,
        json: Json = False,
    ) -> None:
        """Give a caller a new key beside the old one, which ends after a while, and print it.

        It counts for as long as the old one was to, unless --expires says otherwise.
        """
        from mlops_assets.home import Home
        from mlops_assets.serving.api_keys import change_keys, new_key, now, read_keys

        home = Home.from_environment().prepare()
        file, old = read_keys(home.api_keys), _duration("--overlap", overlap) or timedelta()
        key, stored = new_key(now(), _duration("--expires", expires) or file.owner(caller).lifetime)
        owner = file.rotating(caller, stored, old).owner(caller)
        _record(home, "key_rotated", owner, stored, overlap=overlap)
        change_keys(home.api_keys, lambda file: file.rotating(caller, stored, old))
        _hand_over(key, caller, stored, json)

    @group.command()
    def revoke(
        caller: _Caller,
        reason: Annotated[str, typer.Option(help="Why; goes into the audit log.")] = "",
        json: Json = False,
    ) -> None:
        """Take all keys of a caller away; running gateways know within a second."""
        from mlops_assets.home import Home
        from mlops_assets.serving.api_keys import change_keys, read_keys

        home = Home.from_environment().prepare()
        owner = read_keys(home.api_keys).owner(caller)
        # Unlike what opens, what closes is done first: it must not fail for a record that cannot be written.
        change_keys(home.api_keys, lambda file: file.revoking(caller))
        _record(home, "key_revoked", owner, *owner.keys, reason=reason)
        if json:
            print_json({"caller": caller, "revoked": [key.id for key in owner.keys]})
        else:
            print(f"{caller}: no key counts any more", file=sys.stderr)


def _record(
    home: "Home", action: str, owner: "KeyOwner", *keys: "StoredKey", reason: str = "", **detail: Any
) -> None:
    """Put what happens on record, with each model in scope, so that it is found where that is asked for."""
    from mlops_assets.governance.audit_chain import AuditChain
    from mlops_assets.governance.signatures import Signer

    chain = AuditChain(home.state_url, home.audit_checkpoints, lambda: Signer.if_given(home.root))
    told = {"caller": owner.name, "keys": [key.id for key in keys], "rights": owner.rights, **detail}
    if ends := [key.expires for key in keys if key.expires]:
        told["expires"] = ends[-1]
    for model in owner.models:
        chain.append(action, model, reason=reason, **told)


def _hand_over(key: str, caller: str, stored: "StoredKey", json: bool) -> None:
    """Print a key alone on standard output, so that it can be piped to where it is kept."""
    if json:
        print_json({"caller": caller, "key": key, "id": stored.id, "expires": stored.expires})
        return
    ends = f"until {_utc(stored.expires)} UTC" if stored.expires else "until it is revoked"
    print(f"{caller}: key {stored.id} counts {ends}; it is shown this once", file=sys.stderr)
    print(key)


def _told(owner: "KeyOwner", moment: datetime) -> dict[str, Any]:
    """Return a caller as JSON, without digests."""
    from msgspec.structs import asdict

    return {
        "caller": owner.name,
        "models": owner.models,
        "rights": owner.rights,
        "limits": asdict(owner.limits),
        "keys": [
            {
                "id": key.id,
                "created": key.created,
                "expires": key.expires,
                "counts": not _is_over(key, moment),
            }
            for key in owner.keys
        ],
    }


def _limits(owner: "KeyOwner") -> str:
    limits = owner.limits
    said: Iterable[str] = (
        f"{limits.requests_per_second:g} a second" if limits.requests_per_second else "",
        f"{limits.burst} at once" if limits.burst else "",
        f"{limits.concurrent} at a time" if limits.concurrent else "",
    )
    return ", ".join(each for each in said if each) or "the gateway's"


def _ends(key: "StoredKey", moment: datetime) -> str:
    if key.expires is None:
        return "never"
    return f"{_utc(key.expires)}{' (ended)' if _is_over(key, moment) else ''}"


def _is_over(key: "StoredKey", moment: datetime) -> bool:
    return key.expires is not None and key.expires <= moment


def _utc(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M")


def _duration(option: str, text: str | None) -> timedelta | None:
    """Return the duration that an option names.

    Raises:
        SpecError: It is none.
    """
    from mlops_assets.errors import SpecError
    from mlops_assets.specs.durations import parse_duration

    try:
        return parse_duration(text) if text else None
    except ValueError as error:
        raise SpecError(f"{option}: {error}") from error
