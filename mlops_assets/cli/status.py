"""``mlops-assets status``: the fleet at a glance."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.audit import show_entries
from mlops_assets.cli.output import Json, print_json, report_problems, say, table

if TYPE_CHECKING:
    from mlops_assets.governance.approvals import ApprovalState
    from mlops_assets.monitoring.assessment.record import Assessment, EstimatedMetric
    from mlops_assets.monitoring.incidents.incident import Incident
    from mlops_assets.registry.port import ModelVersion
    from mlops_assets.registry.rollout_look import Look
    from mlops_assets.resources import Platform
    from mlops_assets.specs.model_spec import ModelSpec


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def status(
        model: Annotated[str | None, typer.Argument(help="One model in detail; the fleet if none.")] = None,
        json: Json = False,
    ) -> None:
        """Show each model: champion, training, alarms, performance, harm, incidents, owner, risk, evidence.

        Exits with 2, after showing the others, if the spec of some model is wrong.
        """
        from mlops_assets.cli.project import Project
        from mlops_assets.home import Home
        from mlops_assets.resources import Platform
        from mlops_assets.specs.loading import Fleet

        project = Project.around()
        fleet = Fleet([project.spec(model)]) if model else project.fleet()
        Home.from_environment().prepare()
        platform = Platform()
        aliases = platform.registry.aliases()
        latest = platform.state.latest_assessments()
        incidents = platform.incidents.by_model()
        pending = {version.model: (version, state) for version, state in platform.decisions.pending()}
        rows = [
            {
                **_row(spec, aliases.get(spec.name, {}), platform.champion(spec.name), latest.get(spec.name)),
                "incidents": _incidents(incidents.get(spec.name, [])),
                **_governance(platform, spec.name, pending.get(spec.name)),
            }
            for spec in (loaded.spec for loaded in fleet.specs)
        ]
        if json:
            detail = _detail(platform, model) if model else {}
            print_json({"models": rows, **detail})
            report_problems(fleet)
            return
        table(_COLUMNS, [[_cell(row[name]) for name in _COLUMNS] for row in rows])
        if model:
            _show_rollout(platform, model)
            show_entries(platform.audit.entries(model), title="What changed production")
        report_problems(fleet)


def _detail(platform: "Platform", model: str) -> dict[str, Any]:
    """Return what is to be told of one model besides its row."""
    seen = _rollout_of(platform, model)
    rollout = None
    if seen is not None:
        names = ("challenger", "champion", "state", "percent", "begun", "step_begun", "until", "serial")
        rollout = {
            **{name: getattr(seen.traffic, name) for name in names},
            "step": str(seen.step),
            "steps": [str(step) for step in seen.plan],
            "units": dict(seen.units),
            "bounds": [vars(finding) for finding in seen.findings],
            "decision": vars(seen.decision),
        }
    return {"rollout": rollout, "changes": [entry.model_dump() for entry in platform.audit.entries(model)]}


def _rollout_of(platform: "Platform", model: str) -> "Look | None":
    from mlops_assets.registry.rollout_look import look
    from mlops_assets.specs.durations import utc_now

    traffic = platform.rollouts.running(model)
    if traffic is None:
        return None
    kept = platform.kept_bounds.of(traffic)
    return look(platform.rollouts, traffic, platform.prediction_log, utc_now(), kept)


def _show_rollout(platform: "Platform", model: str) -> None:
    seen = _rollout_of(platform, model)
    if seen is None:
        return
    traffic, bounds = seen.traffic, seen.bounds
    table(
        list(bounds[0]) if bounds else [],
        [list(row.values()) for row in bounds],
        title=f"Rollout of version {traffic.challenger} beside {traffic.champion}, {traffic.state}: step "
        f"{traffic.step + 1} of {len(seen.plan)}, {seen.step}, since {traffic.step_begun:%Y-%m-%d %H:%M} UTC",
    )
    units = "".join(f"{count:,} units with {arm}; " for arm, count in seen.units.items())
    say(f"{units}{seen.decision.action}: {seen.decision.reason}")


_COLUMNS = [
    "model",
    "stage",
    "champion",
    "previous",
    "challenger",
    "trained",
    "drifted",
    "performance",
    "harm",
    "incidents",
    "owner",
    "risk",
    "evidence",
    "approvals",
]


def _row(
    spec: "ModelSpec",
    aliases: Mapping[str, str],
    champion: "ModelVersion | None",
    assessment: "Assessment | None",
) -> dict[str, Any]:
    metric = spec.evaluation.primary_metric
    measured = assessment.metrics.get(metric) if assessment else None
    estimated = assessment.estimated.get(metric) if assessment and not measured else None
    return {
        "model": spec.name,
        "stage": _stage(aliases.get("champion"), champion),
        "champion": champion.version if champion else None,
        "previous": aliases.get("previous_champion"),
        "challenger": aliases.get("challenger"),
        "trained": champion.tags.get("mlops.as_of") if champion else None,
        "drifted": len(assessment.drifted) if assessment else None,
        "performance": _performance(metric, measured, estimated),
        "harm": assessment.harm if assessment else None,
        "owner": spec.owner,
        "risk": spec.risk,
    }


def _performance(
    metric: str, measured: "tuple[float, float, float] | None", estimated: "EstimatedMetric | None"
) -> str | None:
    """Return the primary metric, with a tilde where labels are not there yet."""
    if measured:
        return f"{metric} {measured[0]:.3f}"
    return f"{metric} ~{estimated.value:.3f}" if estimated else None


def _incidents(found: "list[Incident]") -> str | None:
    """Return the numbers of a model's incidents, the worst first, with how bad the first is."""
    if not found:
        return None
    return f"{found[0].severity} {', '.join(f'#{each.id}' for each in found[:3])}"


def _stage(named: str | None, champion: "ModelVersion | None") -> str:
    """Return where a model is; an alias that was moved by hand is told, whatever else there is to tell."""
    if named is not None and (champion is None or champion.version != named):
        return f"alias moved by hand to {named}"
    return "serving" if champion else "not trained"


def _governance(
    platform: "Platform", model: str, pending: "tuple[ModelVersion, ApprovalState] | None"
) -> dict[str, Any]:
    """Return how long the champion's evidence holds, and who has still to say yes."""
    from mlops_assets.errors import MlopsError
    from mlops_assets.registry.proof import read_evidence
    from mlops_assets.specs.durations import utc_now

    champion = platform.champion(model)
    told = None
    if champion is not None:
        try:
            evidence = read_evidence(platform.registry, champion, platform.verifier)
            until = evidence.expires_at(platform.decisions.policy.tiers[evidence.risk])
            age = (utc_now() - evidence.made_at).days
            told = f"{age} d, until {until:%Y-%m-%d}" if until > utc_now() else f"EXPIRED on {until:%Y-%m-%d}"
        except MlopsError as error:
            told = f"REFUSED: {error}"
    waiting = f"version {pending[0].version}: {pending[1].summary}" if pending else None
    return {"evidence": told, "approvals": waiting}


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return {True: "HARM", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
