"""``mlops-assets explain``: from one prediction to its model, data, code, gates, approver and reasons."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.output import FINDING, Json, print_json, say, table

if TYPE_CHECKING:
    from mlops_assets.evaluation.reasons import Explanation
    from mlops_assets.registry.trace import Trace
    from mlops_assets.resources import Platform
    from mlops_assets.training.package import PackagedModel


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def explain(
        prediction: Annotated[str, typer.Argument(metavar="PREDICTION_ID", help="As the answer gave it.")],
        json: Json = False,
    ) -> None:
        """Tell what one prediction rests on, as it was at that moment, and why it came out as it did.

        Everything comes from signed records: the release in force, its evidence, the package. The package
        also answers the same row once more, unless the log does not keep all of it. Exits with 1 if
        anything does not fit together.
        """
        from mlops_assets.errors import DataError, PackageError
        from mlops_assets.home import Home
        from mlops_assets.registry.trace import trace
        from mlops_assets.resources import Platform
        from mlops_assets.serving.discretion import treatments_of

        Home.from_environment().prepare()
        platform = Platform()
        try:
            found = trace(prediction, platform.prediction_log, platform.authority)
        except DataError:
            if not _is_of_a_batch(prediction, platform, json):
                raise
            return
        findings, again, reasons, hidden = list(found.findings), None, None, []
        try:
            package = platform.package(found.version.run_id, found.evidence.subject.candidate)
            hidden = sorted(
                treatments_of(package.manifest).keys() & {c.name for c in package.manifest.inputs}
            )
            if not hidden:
                again, reasons = _asked_again(found, package)
                if again != found.prediction.output:
                    findings.append(f"asked again, the package answers {again}")
        except (DataError, PackageError) as error:
            findings.append(f"why it answered so cannot be told: {error}")
        if json:
            print_json({**_told(found, again, reasons, findings), "not_logged": hidden})
        else:
            _show(found, again, reasons, hidden)
        for finding in findings:
            print(finding, file=sys.stderr)
        if findings:
            sys.exit(FINDING)


def _is_of_a_batch(prediction: str, platform: "Platform", json: bool) -> bool:
    """Tell of which scored file's row a prediction is that is not in the log; return whether it is of any."""
    from mlops_assets.prediction_log.prediction_ids import PredictionIds
    from mlops_assets.prediction_log.secret import secret_for
    from mlops_assets.scoring.records import row_of

    found = row_of(prediction, platform.audit, PredictionIds(secret_for(platform.home.root)))
    if found is None:
        return False
    entry, row = found.entry, found.row
    if json:
        print_json({"prediction_id": prediction, "row": row, "audit_entry": entry.model_dump()})
        return True
    detail = entry.detail
    say(f"row {row:,} of {entry.reason}, scored by {entry.model} version {detail.get('version')}")
    say(f"  by {entry.actor} at {entry.at.removesuffix('Z')} UTC to {detail.get('output')}")
    say(f"  audit entry {entry.seq}, evidence {entry.evidence}, package {detail.get('candidate')}")
    say("  the row itself was not logged, so its reasons cannot be told; score --log keeps it")
    return True


def _asked_again(found: "Trace", package: "PackagedModel") -> "tuple[Any, Explanation]":
    """Return what the package answers to the same row, and its reasons.

    Raises:
        DataError: The row, as it was logged, is none that the package takes.
    """
    from mlops_assets.errors import DataError
    from mlops_assets.evaluation.reasons import explain_row
    from mlops_assets.serving.refusal import Refusal
    from mlops_assets.serving.rows import rows_of

    try:
        row = rows_of({k: [v] for k, v in found.prediction.inputs.items()}, package.manifest).frame
    except Refusal as error:
        raise DataError(f"the logged row does not fit the package: {error}") from error
    return package.predict(row)[0].tolist(), explain_row(package, row, package.reference())


def _told(found: "Trace", again: Any, reasons: "Explanation | None", findings: list[str]) -> dict[str, Any]:
    """Return everything as JSON."""
    from dataclasses import asdict

    evidence, release = found.evidence, found.release
    return {
        "prediction": asdict(found.prediction),
        "label": asdict(found.label) if found.label else None,
        "asked_again": again,
        "reasons": asdict(reasons) if reasons else None,
        "subject": evidence.subject.model_dump(),
        "evidence": evidence.digest,
        "risk": evidence.risk,
        "owner": evidence.owner,
        "authors": evidence.authors,
        "facts": evidence.facts,
        "policy": evidence.policy,
        "gates": [
            {"gate": gate, "passed": verdict.passed, "summary": verdict.summary}
            for gate, verdict in evidence.verdicts().items()
        ],
        "release": release.plain() if release else None,
        "traffic": found.traffic.plain() if found.traffic else None,
        "audit_entry": found.entry.seq if found.entry else None,
        "findings": findings,
    }


def _show(found: "Trace", again: Any, reasons: "Explanation | None", hidden: list[str]) -> None:
    from mlops_assets.specs.policy_file import current_policy

    asked, subject = found.prediction, found.evidence.subject
    whom = f" to {asked.caller}" if asked.caller else ""
    say(f"{asked.model} version {asked.version} answered {asked.output}{whom} at {asked.served_at} UTC")
    if found.traffic:
        share = f"{found.traffic.percent} % of the entities, traffic record {found.traffic.serial}"
        say(f"  as the challenger of version {found.traffic.champion}, in a rollout ({share})")
    if hidden:
        say(f"  not asked again: the log does not keep {', '.join(hidden)}, as the spec says")
    else:
        say(f"  asked again: {again}" if again is not None else "  asked again: no answer")
    if found.label:
        say(f"  turned out: {found.label.label}, known at {found.label.observed_at} UTC")
    if reasons:
        table(
            ["feature", "value", f"adds to the {reasons.scale}"],
            [
                [
                    each.feature,
                    "missing" if each.value is None else str(each.value),
                    f"{each.contribution:+.4g}",
                ]
                for each in reasons.reasons
            ],
            title=f"Why {reasons.explained}: {reasons.base_value:.4g} on average, "
            f"{reasons.prediction:.4g} here ({reasons.method})",
        )
        if reasons.note:
            say(reasons.note)
    facts = found.evidence.facts
    table(
        ["what", "digest", "more"],
        [
            ["package", subject.candidate, f"MLflow run {facts.get('mlflow_run', '–')}"],
            ["data", subject.data, facts.get("window", "")],
            ["features", subject.features, f"feature code {subject.feature_code[:12]}"],
            ["training code", subject.code, f"by {', '.join(found.evidence.authors) or 'nobody on record'}"],
            ["environment", subject.environment, ""],
            ["spec", subject.spec, f"{found.evidence.risk} risk, owned by {found.evidence.owner}"],
            ["evidence", found.evidence.digest, f"signed {found.evidence.made_at} UTC"],
        ],
        title="What it is made of",
    )
    table(
        ["gate", "", "what it measured"],
        [
            [gate, "passed" if verdict.passed else "FAILED", verdict.summary]
            for gate, verdict in found.evidence.verdicts().items()
        ],
        title="Gates it passed",
    )
    if found.release and found.entry:
        release = found.release
        why = f", because: {release.reason}" if release.reason else ""
        entered = f"{release.action}, audit entry {found.entry.seq}"
        say(f"Released by {release.actor} at {release.at} UTC ({entered}){why}")
        names = {approver.fingerprint: approver.name for approver in current_policy().approvers}
        for signed in release.approvals:
            said, who = signed.decision, names.get(signed.key, "somebody whom the policy lists no more")
            say(f"  {said.decision} by {who} ({signed.key}) at {said.at} UTC: {said.reason}")
        if not release.approvals:
            say("  nobody had to approve it")
