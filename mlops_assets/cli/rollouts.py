"""``mlops-assets promote | hold | abort``: a person's hand on a rollout."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.output import Json, Model, print_json, say

if TYPE_CHECKING:
    from mlops_assets.governance.traffic import Traffic
    from mlops_assets.registry.promotion import Move
    from mlops_assets.resources import Platform

Reason = Annotated[str, typer.Option(help="Why; goes into the audit log.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def promote(model: Model, reason: Reason, json: Json = False) -> None:
        """Have a rollout's challenger take over now, without the steps it has not taken.

        Refused once it is shown to do harm, and where people have to approve releases.
        """
        from mlops_assets.actor import os_user
        from mlops_assets.registry.rollout_look import look
        from mlops_assets.specs.durations import utc_now

        platform, traffic = _running(model, reason)
        if traffic.state == "ended":
            _tell(traffic, reason, json, _over(platform, traffic))
            return
        kept = platform.kept_bounds.of(traffic)
        seen = look(platform.rollouts, traffic, platform.prediction_log, utc_now(), kept)
        move = platform.rollouts.hasten(traffic, seen.looked, seen.units, actor=os_user(), reason=reason)
        _tell(move, reason, json, f"{model}: {move.previous} → {move.champion}, with steps left out")

    @app.command()
    def hold(
        model: Model,
        reason: Reason,
        off: Annotated[bool, typer.Option("--off", help="Have it go on again.")] = False,
        json: Json = False,
    ) -> None:
        """Have a rollout take no further step; on harm it is reverted all the same."""
        from mlops_assets.actor import os_user
        from mlops_assets.errors import RolloutError

        platform, traffic = _running(model, reason)
        if traffic.state == "ended":
            raise RolloutError(_over(platform, traffic))
        change = platform.rollouts.resume if off else platform.rollouts.hold
        now = change(traffic, actor=os_user(), reason=reason)
        said = "goes on" if now.state == "running" else "is held"
        _tell(
            now, reason, json, f"{model}: the rollout of version {now.challenger} {said} at {now.percent} %"
        )

    @app.command()
    def abort(model: Model, reason: Reason, json: Json = False) -> None:
        """End a rollout: the champion answers everybody again, at once."""
        from mlops_assets.actor import os_user

        platform, traffic = _running(model, reason)
        if traffic.state == "ended":
            _tell(traffic, reason, json, _over(platform, traffic))
            return
        ended = platform.rollouts.end(traffic, reason, actor=os_user())
        said = (
            f"{model}: the rollout of version {ended.challenger} is over, version {ended.champion} serves all"
        )
        _tell(ended, reason, json, said)


def _running(model: str, reason: str) -> "tuple[Platform, Traffic]":
    """Return the rollout that a model is in the middle of, or else the one that ended last.

    Raises:
        RolloutError: It never was in one.
    """
    from mlops_assets.actor import os_user
    from mlops_assets.errors import RolloutError, SpecError, did_you_mean
    from mlops_assets.home import Home
    from mlops_assets.resources import Platform

    if not reason.strip():
        raise SpecError("--reason must say why")
    Home.from_environment().prepare()
    platform = Platform()
    if (traffic := platform.rollouts.mend(model, actor=os_user())) is not None:
        return platform, traffic
    if (last := platform.rollouts.latest(model)) is not None:
        return platform, last.model_copy(update={"state": "ended"})
    known = platform.registry.aliases()
    hint = "" if model in known else did_you_mean(model, known)
    raise RolloutError(f"no rollout of {model} is running{hint}")


def _over(platform: "Platform", traffic: "Traffic") -> str:
    champion = platform.champion(traffic.model)
    serves = f"version {champion.version} serves all" if champion else "nothing serves"
    return f"{traffic.model}: no rollout is running; {serves}"


def _tell(now: "Traffic | Move", reason: str, json: bool, said: str) -> None:
    if json:
        print_json({**_plain(now), "reason": reason})
    else:
        say(said)


def _plain(now: "Traffic | Move") -> dict[str, Any]:
    from mlops_assets.registry.promotion import Move

    if isinstance(now, Move):
        return vars(now)
    names = ("model", "challenger", "champion", "state", "step", "percent", "serial")
    return {name: getattr(now, name) for name in names}
