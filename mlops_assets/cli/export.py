"""``mlops-assets export``: a model as a folder that runs without the platform."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.cli.output import FINDING, Json, Model, print_json, say


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def export(
        model: Model,
        folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New folder to write.")],
        int8: Annotated[
            bool, typer.Option("--int8", help="Its weights in 8 bits, if predictions stay near enough.")
        ] = False,
        max_difference: Annotated[
            float,
            typer.Option(
                min=0.0,
                help="How much an int8 prediction may differ: of a probability, or of a standard deviation.",
            ),
        ] = 0.02,
        version: Annotated[
            str | None, typer.Option(help="Another released version; the champion if not given.")
        ] = None,
        json: Json = False,
    ) -> None:
        """Write a folder that predicts with onnxruntime and numpy only, for where the platform is not.

        It is signed, checks itself, and leaves an entry in the audit chain. Exits with 1 if --int8 would
        predict too differently.
        """
        from mlops_assets.actor import os_user
        from mlops_assets.edge.folder import Export
        from mlops_assets.edge.folder import export as write_folder
        from mlops_assets.errors import AccuracyLost
        from mlops_assets.home import Home
        from mlops_assets.resources import Platform
        from mlops_assets.serving.proven import ProvenVersions
        from mlops_assets.specs.durations import utc_now
        from mlops_assets.specs.policy_file import current_policy

        Home.from_environment().prepare()
        platform, actor = Platform(), os_user()
        with tempfile.TemporaryDirectory(prefix="mlops-export-") as private:
            versions = ProvenVersions(
                platform.registry, platform.verifier, platform.audit, current_policy, Path(private)
            )
            proven = versions.load(model, version)
            resident = proven.resident

            def enter(made: Export) -> None:
                platform.audit.append(
                    "export",
                    model,
                    actor=actor,
                    reason=f"to {folder}",
                    **proven.named,
                    precision=made.precision,
                    manifest=made.manifest_digest,
                    rows=made.rows,
                    difference=made.loss.difference if made.loss else None,
                )

            try:
                made = write_folder(
                    proven,
                    folder,
                    platform.signer,
                    actor=actor,
                    at=utc_now(),
                    int8=int8,
                    limit=max_difference,
                    deliver=enter,
                )
            except AccuracyLost as error:
                if json:
                    print_json({"error": str(error)})
                print(f"mlops-assets: {error}", file=sys.stderr)
                sys.exit(FINDING)
        if json:
            about = {"model": model, "version": resident.version, "candidate": resident.package.digest}
            print_json({**about, **vars(made), "loss": vars(made.loss) if made.loss else None})
            return
        said = f"{folder}: {model} version {resident.version}, {made.precision}, {made.rows:,} reference rows"
        say(f"{said}, which it answers in a process of its own as it has to")
        if made.loss:
            before, after = made.loss.bytes
            say(f"  int8: {after:,} bytes, float32 {before:,}; differs by at most {made.loss.difference:.3g}")
        say(f"  manifest {made.manifest_digest}")
