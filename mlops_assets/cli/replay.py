"""``mlops-assets replay``: what a policy would have decided in the past, and how that turned out."""

import math
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mlops_assets.cli.output import Json, print_json, say, table, time_option

if TYPE_CHECKING:
    from mlops_assets.monitoring.retraining.replay import Replayed, Step
    from mlops_assets.specs.model_spec import ModelSpec

_YEAR = timedelta(days=365)


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def replay(
        model: Annotated[str, typer.Argument(help="The model.")],
        policy: Annotated[
            Path | None, typer.Option(help="Policy to go by; the project's own if not given.")
        ] = None,
        since: Annotated[
            str | None, typer.Option(help="When it begins (ISO 8601, UTC); a year before the end.")
        ] = None,
        until: Annotated[str | None, typer.Option(help="When it ends; now if not given.")] = None,
        every: Annotated[
            Literal["day", "week", "month"] | None, typer.Option(help="How often it is decided.")
        ] = None,
        hindsight: Annotated[
            bool,
            typer.Option(help="Train also where that was not decided, to tell what it would have gained."),
        ] = True,
        json: Json = False,
    ) -> None:
        """Walk a model's past through a policy: what it would have decided, and how that turned out.

        The past is read from the spec's source; at each step only the labels known by then count. Versions
        are trained as the spec says, and nothing is registered or served.
        """
        from mlops_assets.cli.project import Project
        from mlops_assets.monitoring.retraining.decision import Rules
        from mlops_assets.monitoring.retraining.replay import Gate, RulesPolicy
        from mlops_assets.monitoring.retraining.replay import replay as walk
        from mlops_assets.monitoring.retraining.spec_history import default_period, past_of
        from mlops_assets.specs.durations import utc_now
        from mlops_assets.specs.policy_file import current_policy, policy_of
        from mlops_assets.specs.resolution import effective_rules

        loaded = Project.around().spec(model)
        spec = loaded.spec
        held = effective_rules(spec, policy_of(policy) if policy else current_policy())
        end = time_option(until, "--until") or utc_now()
        begin = time_option(since, "--since") or end - _YEAR
        period = every or default_period(spec, end - begin)
        asked = spec.retraining
        # Under a policy that is not in force yet, the spec may still have less.
        asked = asked.model_copy(update={"cooldown": max(asked.cooldown, held.retraining.min_cooldown)})
        rules = Rules.of(asked, held.retraining.budget)
        if not json:
            say(f"Reading and training {model}, decided every {period}; this takes a training for each step")
        history, trainer = past_of(spec, loaded.file.parent, begin, end, period)
        gate = Gate.of(held.gates.champion_comparison)
        found = walk(history, RulesPolicy(rules, gate), trainer, hindsight=hindsight)
        if json:
            print_json({**found.as_record(), "metric": history.metric})
        else:
            _show(found, history.metric, spec)


def _show(found: "Replayed", metric: str, spec: "ModelSpec") -> None:
    table(
        ["until", "serves", metric, "never retrained", "decision", "version", "turned out"],
        [_cells(step) for step in found.steps],
        title=f"{spec.name}, as it would have gone",
    )
    served = [(s.metric, s.first_metric) for s in found.steps if s.metric is not None]
    means = [_mean(each) for each in zip(*served, strict=True)] if served else [math.nan, math.nan]
    say(
        f"{found.trainings} retrainings, {found.seconds:.0f} s of processor time; mean {metric} "
        f"{means[0]:.4f}, never retrained {means[1]:.4f}"
    )


def _cells(step: "Step") -> list[str]:
    gained = step.turned_out
    return [
        f"{step.at:%Y-%m-%d}",
        f"v{step.champion}",
        _figure(step.metric),
        _figure(step.first_metric),
        step.decision.reason if step.decision.trigger else "go on",
        f"v{step.trained} {step.fate}" if step.trained is not None else "–",
        "–"
        if gained is None
        else f"{'less' if gained > 0 else 'more'} loss, {1 - math.exp(-abs(gained)):.1%}",
    ]


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _mean(values: Any) -> float:
    known = [each for each in values if each is not None]
    return sum(known) / len(known) if known else math.nan
