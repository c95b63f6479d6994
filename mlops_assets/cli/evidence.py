"""``mlops-assets evidence``: all that is recorded of a version, in one signed archive for an auditor."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from mlops_assets.cli.output import FINDING, Json, Model, print_json, say
from mlops_assets.cli.verify import checks_json, show_checks


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def evidence(
        model: Model,
        version: Annotated[
            str | None, typer.Argument(help="Version, as in the registry; the champion if not given.")
        ] = None,
        out: Annotated[
            Path | None, typer.Option(help="File to write; MODEL-VERSION-audit.zip here if not given.")
        ] = None,
        json: Json = False,
    ) -> None:
        """Write the audit pack of a version: evidence, cards, bill of materials, lineage, approvals, history.

        The pack is then checked as verify does, on what was written; exits with 1 if a check fails.
        """
        from mlops_assets.digests import of_bytes
        from mlops_assets.errors import RegistryError, did_you_mean
        from mlops_assets.governance.archive import read_archive
        from mlops_assets.governance.pack import make_pack
        from mlops_assets.governance.pack_verification import verify_pack
        from mlops_assets.home import Home, write_atomically
        from mlops_assets.resources import Platform
        from mlops_assets.specs.durations import utc_now

        Home.from_environment().prepare()
        platform = Platform()
        found = platform.registry.version(model, version) if version else platform.champion(model)
        if found is None:
            known = platform.registry.aliases()
            if model not in known:
                raise RegistryError(f"no version of {model!r} is registered{did_you_mean(model, known)}")
            what = f"has no version {version}" if version else "has no champion; name a version"
            raise RegistryError(f"{model} {what}")
        content = make_pack(platform.records.of(found), platform.signer)
        file = out or Path(f"{model}-{found.version}-audit.zip")
        write_atomically(file, content)
        checks = verify_pack(read_archive(file), platform.verifier, utc_now())
        if json:
            about = {"model": model, "version": found.version, "sha256": of_bytes(content)}
            print_json({"file": str(file), **about, "bytes": len(content), **checks_json(checks)})
        else:
            show_checks(checks)
            say(f"{file}: {model} version {found.version}, {len(content):,} bytes, {of_bytes(content)}")
        if any(check.passed is False for check in checks):
            sys.exit(FINDING)
