"""``mlops-assets approve`` and ``reject``: a person decides about a version, and signs for it."""

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mlops_assets.cli.output import Json, Model, print_json, say

if TYPE_CHECKING:
    from mlops_assets.governance.approvals import SignedDecision
    from mlops_assets.resources import Platform

_Version = Annotated[str, typer.Argument(help="Version, as in the registry.")]
_Key = Annotated[Path, typer.Option(help="Your Ed25519 key in OpenSSH format, such as ~/.ssh/id_ed25519.")]
_Reason = Annotated[str, typer.Option(help="Why; signed with the decision.")]
_SignOnly = Annotated[
    bool,
    typer.Option("--sign-only", help="Print the signed decision and file nothing: for the job in the UI."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def approve(
        model: Model,
        version: _Version,
        key: _Key,
        reason: _Reason,
        sign_only: _SignOnly = False,
        json: Json = False,
    ) -> None:
        """Consent to a version's release. Counts if the policy lists you and you had no part in making it.

        A key with a passphrase takes it from MLOPS_KEY_PASSPHRASE, or asks.
        """
        _decide("approve", model, version, key, reason, sign_only, json)

    @app.command()
    def reject(
        model: Model,
        version: _Version,
        key: _Key,
        reason: _Reason,
        sign_only: _SignOnly = False,
        json: Json = False,
    ) -> None:
        """Object to a version's release; it stays unreleased until you approve it yourself."""
        _decide("reject", model, version, key, reason, sign_only, json)


def _decide(
    what: Literal["approve", "reject"],
    model: str,
    version: str,
    key: Path,
    reason: str,
    sign_only: bool,
    json: bool,
) -> None:
    from mlops_assets.home import Home
    from mlops_assets.resources import Platform

    Home.from_environment().prepare()
    platform = Platform()
    signed = _signed(what, model, version, key, reason, platform)
    if sign_only:
        say(signed.model_dump_json())
        return
    state = platform.decisions.file(signed)
    if json:
        print_json(
            {
                "model": model,
                "version": version,
                "decision": what,
                "approved": state.approved,
                "given": state.given,
                "needed": state.needed,
                "summary": state.summary,
            }
        )
        return
    say(f"{model} version {version}: {state.summary}")
    if state.approved and what == "approve":
        say(
            f"it is deployed within a minute if mlops-assets up is running, "
            f"else by mlops-assets run {model} --version {version}"
        )


def _signed(
    what: Literal["approve", "reject"], model: str, version: str, key: Path, reason: str, platform: "Platform"
) -> "SignedDecision":
    from mlops_assets.errors import ApprovalError, RegistryError
    from mlops_assets.governance.approvals import Decision, sign_decision
    from mlops_assets.governance.ssh_signatures import PassphraseNeededError, load_private_key
    from mlops_assets.registry.proof import read_evidence
    from mlops_assets.specs.durations import utc_now

    if not reason.strip():
        raise ApprovalError("--reason must say why")
    found = platform.registry.version(model, version)
    if found is None:
        raise RegistryError(f"{model} has no version {version}")
    evidence = read_evidence(platform.registry, found, platform.verifier)
    decision = Decision(
        model=model,
        version=version,
        candidate=evidence.subject.candidate,
        evidence=evidence.digest,
        decision=what,
        reason=reason,
        at=utc_now(),
    )
    try:
        return sign_decision(decision, load_private_key(key))
    except PassphraseNeededError:
        if not sys.stdin.isatty():
            raise
        return sign_decision(decision, load_private_key(key, getpass.getpass(f"passphrase of {key}: ")))
