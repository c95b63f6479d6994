"""``mlops-assets reproduce``: does the record of a version give the same model again?"""

import math
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.output import FINDING, Json, Model, print_json, say, table

if TYPE_CHECKING:
    from mlops_assets.governance.evidence import Evidence
    from mlops_assets.resources import Platform
    from mlops_assets.training.package import PackagedModel
    from mlops_assets.training.reproduction import Difference, Reproduction


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def reproduce(
        model: Model,
        version: Annotated[str, typer.Argument(help="Version, as in the registry.")],
        json: Json = False,
    ) -> None:
        """Train a version again from its record alone, and compare every prediction for its hold-out.

        Takes the recorded spec, code, data, seed and parameters, whatever the project has become since.
        Exits with 1 if anything differs, with 2 if something that is needed was not kept.
        """
        from mlops_assets.home import Home
        from mlops_assets.resources import Platform
        from mlops_assets.training.reproduction import reproduce as train_again

        Home.from_environment().prepare()
        platform = Platform()
        package, evidence = _recorded(model, version, platform)
        kept_until = evidence.made_at + evidence.rules.retention.evidence
        found = train_again(package, evidence.spec.get("training", {}), platform.home, kept_until)
        if json:
            told = {"model": model, "version": version, "candidate": package.digest}
            print_json(_finite({**told, "identical": found.identical, **asdict(found)}))
        else:
            _show(f"{model} version {version}", found)
        if not found.identical:
            sys.exit(FINDING)


def _recorded(model: str, version: str, platform: "Platform") -> "tuple[PackagedModel, Evidence]":
    """Return a version's package and evidence, both verified and of one candidate."""
    from mlops_assets.errors import RegistryError
    from mlops_assets.registry.proof import read_evidence

    registered = platform.registry.version(model, version)
    if registered is None:
        known = ", ".join(found.version for found in platform.registry.versions(model))
        raise RegistryError(f"{model} has no version {version}; it has {known or 'none'}")
    evidence = read_evidence(platform.registry, registered, platform.verifier)
    return platform.package(registered.run_id, evidence.subject.candidate), evidence


def _show(name: str, found: "Reproduction") -> None:
    if found.identical:
        say(f"{name}: identical: {found.predictions:,} predictions")
    if found.difference is not None:
        say(f"{name}: different: {_told(found.difference, found.predictions)}")
    if not found.features_agree:
        say(f"{name}: the features computed anew from the snapshot are not those it was trained on")
    for name in found.unrecorded:
        say(f"warning: it read {name}, which is not in the record")
    if found.environment is None:
        say("what was installed at its training was not recorded")
    elif found.environment:
        rows = [[c.name, c.recorded or "–", c.present or "–"] for c in found.environment]
        table(["distribution", "at the training", "now"], rows, title="Installed otherwise")
    else:
        say("the same versions are installed as at its training")


def _told(difference: "Difference", predictions: int) -> str:
    then, now = (", ".join(map(repr, values)) for values in (difference.recorded, difference.found))
    return (
        f"{difference.rows:,} of {predictions:,} predictions, the first for row {difference.row} of the "
        f"hold-out: {then} then, {now} now"
        + (f"; the largest difference is {difference.largest:.3g}" if difference.largest is not None else "")
    )


def _finite(value: Any) -> Any:
    """Return JSON in which what is no finite number, which JSON does not know, is a word."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
