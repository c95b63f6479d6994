"""Stage 5: the evidence is signed, and with it the candidate becomes a version in the registry."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import dagster as dg

from mlops_assets.data.contract import suite_digest
from mlops_assets.errors import EvidenceError, MlopsError
from mlops_assets.governance.authorship import authors_of
from mlops_assets.governance.changes import enter_changes
from mlops_assets.governance.evidence import Evidence, GateRecord, Subject, gate_objections, objections
from mlops_assets.registry.port import EVIDENCE_TAG, ModelVersion
from mlops_assets.registry.proof import Refused, read_evidence, write_evidence
from mlops_assets.resources import Platform
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.gate_rules import EVIDENT
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import RISKS, Rules
from mlops_assets.specs.references import project_files, source_of
from mlops_assets.stages.records import Evaluated, Registered, TrainedModel
from mlops_assets.stages.stage import (
    Result,
    actor_of,
    markdown_table,
    readable_errors,
    stage_asset,
    stage_key,
    started_by,
)
from mlops_assets.stages.stage_times import stage_times

# Evidence that would hold hardly longer is not written anew.
_RENEWED_AFTER = timedelta(days=1)
_SPECS = ("defs.yaml", "defs.yml")


def registered_version(spec: ModelSpec, rules: Rules, folder: Path) -> dg.AssetsDefinition:
    """Return the asset that registers a candidate; ``folder`` is the spec's."""

    @stage_asset(
        spec,
        "registered_version",
        kinds={"mlflow"},
        ins={"evaluated": dg.AssetIn(stage_key(spec, "evaluation"))},
        description="A version in MLflow with signed evidence; its tags tell its data, code and scores.",
    )
    def stage(context: dg.AssetExecutionContext, evaluated: Evaluated, platform: Platform) -> Result:
        trained = evaluated.trained
        with readable_errors():
            demanded = _with_consent_to_lower_risk(spec, rules, platform)
            evidence = _evidence(spec, demanded, folder, evaluated, platform, context)
            known = _registered(spec, evaluated, platform)
            if known is None or not _still_good(known, evidence, demanded, platform):
                write_evidence(platform.registry, trained.run_id, evidence, platform.signer)
                if known is not None:
                    platform.registry.set_tag(spec.name, known.version, EVIDENCE_TAG, evidence.digest)
            tags = {**_lineage_tags(spec, evaluated, context.run_id), EVIDENCE_TAG: evidence.digest}
            version = known or platform.registry.register(
                spec.name,
                trained.run_id,
                trained.candidate,
                tags,
                purpose=spec.purpose,
                summary=_summary(spec, evaluated),
            )
            if not _is_entered(version, platform):
                stand = {"spec": spec.digest, "policy": evidence.policy, "key": platform.verifier.fingerprint}
                enter_changes(platform.audit, spec.name, stand, actor_of(context), context.run_id)
                platform.audit.append(
                    "register",
                    spec.name,
                    actor=actor_of(context),
                    reason="every required gate passed",
                    evidence=evidence.digest,
                    version=version.version,
                    candidate=trained.candidate,
                    approvals_needed=demanded.approvals.needed,
                    run=context.run_id,
                    stand=stand,
                )
        return dg.MaterializeResult(
            value=Registered(evaluated=evaluated, version=version.version),
            data_version=dg.DataVersion(trained.candidate),
            metadata={
                "version": int(version.version),
                "candidate": trained.candidate,
                "evidence": evidence.digest,
                "evidence_holds_until": str(evidence.expires_at(rules)),
                "lineage": markdown_table([{"tag": k, "value": v} for k, v in sorted(version.tags.items())]),
                "mlflow_version": dg.MetadataValue.url(
                    f"{platform.mlflow_ui}/#/models/{spec.name}/versions/{version.version}"
                ),
            },
        )

    return stage


def _evidence(
    spec: ModelSpec,
    rules: Rules,
    folder: Path,
    evaluated: Evaluated,
    platform: Platform,
    context: dg.AssetExecutionContext,
) -> Evidence:
    """Return all that speaks for a candidate.

    Raises:
        MlopsError: It is not enough; the message names every gate that is missing, failed or out of date.
    """
    trained = evaluated.trained
    subject = subject_of(spec, evaluated.trained, platform)
    records: list[GateRecord] = []
    found: list[str] = []
    for gate in EVIDENT:
        try:
            record = platform.ledger.find(spec.name, subject.judged_by(gate), gate)
        except EvidenceError as error:
            found.append(str(error))
            continue
        if record is not None:
            records.append(record)
    unknown = {gate for gate in EVIDENT if any(f"gate {gate} " in said for said in found)}
    found += [
        o.message
        for o in gate_objections(tuple(records), subject, rules, rules)
        if not (o.kind == "missing_gate" and any(f"gate {gate} " in o.message for gate in unknown))
    ]
    found += _measured_otherwise(spec, folder, trained.candidate, records, platform)
    if outdated := outdated_comparison(spec, trained.candidate, records, platform):
        found.append(outdated)
    if found:
        said = f"{spec.name} candidate {trained.candidate[:12]} is refused: {'; '.join(found)}"
        platform.audit.append(
            "refuse",
            spec.name,
            actor=actor_of(context),
            reason=said,
            candidate=trained.candidate,
            run=context.run_id,
        )
        raise MlopsError(said)
    raw = trained.features.raw
    return Evidence(
        subject=subject,
        risk=spec.risk,
        owner=spec.owner,
        authors=tuple(sorted(_authors(spec, folder, trained, records, context.run))),
        rules=rules,
        gates=tuple(records),
        made_at=utc_now(),
        spec=spec.model_dump(mode="json"),
        facts={
            "as_of": raw.as_of.isoformat(),
            "window": f"{raw.start.isoformat()}/{raw.end.isoformat()}",
            "trained_until": trained.holdout_start.isoformat(),
            "rows": str(raw.rows),
            "rows_holdout": str(evaluated.rows),
            "runtime": trained.runtime,
            "mlflow_run": trained.run_id,
            "dagster_run": context.run_id,
            **stage_times(spec, context),
        },
    )


def _written(spec: ModelSpec, folder: Path) -> list[Path]:
    """Return the files that people wrote for this model: its spec, and the code behind what it names."""
    functions = (
        getattr(spec.data.source, "function", None),
        spec.data.feature_function,
        spec.training.function,
    )
    code = [file for named in (*functions, spec.training.estimator) if named for file in project_files(named)]
    beside = (*_SPECS, spec.training.model_file, spec.data.contract.suite)
    return [
        *(file for name in beside if name and (file := folder / name).exists()),
        *(source_of(function) for function in functions if function),
        *code,
    ]


def subject_of(spec: ModelSpec, trained: TrainedModel, platform: Platform) -> Subject:
    """Return what the evidence of a trained candidate is about."""
    lineage = platform.package(trained.run_id, trained.candidate).manifest.lineage
    return Subject(
        model=spec.name,
        candidate=trained.candidate,
        data=trained.features.raw.digest,
        features=trained.features.digest,
        feature_code=trained.features.code,
        code=lineage["code"],
        environment=lineage["environment"],
        spec=spec.digest,
        recipe=trained.recipe,
    )


def outdated_comparison(
    spec: ModelSpec, candidate: str, records: Sequence[GateRecord], platform: Platform
) -> str | None:
    """Return why a comparison does not count: it was made with a champion that no longer serves."""
    compared = next((r for r in records if r.gate == "champion_comparison"), None)
    champion = platform.champion(spec.name)
    if compared is None or (champion is not None and champion.candidate == candidate):
        return None
    then, now = compared.measurement.facts.get("champion"), champion.version if champion else None
    if then == now:
        return None
    return (
        f"gate champion_comparison compared with champion {then or 'none'}, but the champion is now "
        f"{now or 'none'}; evaluate again"
    )


def _measured_otherwise(
    spec: ModelSpec, folder: Path, candidate: str, records: Sequence[GateRecord], platform: Platform
) -> list[str]:
    """Return which gates measured under a spec that said something else, of a candidate to be promoted.

    A contract, a group or a metric that was looser while the gates looked would else go into the evidence as
    it stands afterwards. What a champion won by stays, whatever its spec says since.
    """
    champion = platform.champion(spec.name)
    if champion is not None and champion.candidate == candidate:
        return []
    suite = suite_digest(spec.data, folder)
    return [
        f"gate {record.gate} measured when the spec said something else; evaluate again"
        for record in records
        if record.spec != spec.digest
        or (record.gate == "data_contract" and record.measurement.facts.get("suite") != suite)
    ]


def _with_consent_to_lower_risk(spec: ModelSpec, rules: Rules, platform: Platform) -> Rules:
    """Return the rules and, if the spec declares less risk than the champion has, that one's approvals.

    A spec declares its own risk. To lower it is a decision of the people who had a say so far.

    Raises:
        Refused: The champion's evidence cannot be read, so nobody can tell its risk.
    """
    champion = platform.champion(spec.name)
    if champion is None:
        return rules
    risk = read_evidence(platform.registry, champion, platform.verifier).risk
    if RISKS.index(spec.risk) >= RISKS.index(risk):
        return rules
    return rules.model_copy(update={"approvals": platform.decisions.policy.tiers[risk].approvals})


def _authors(
    spec: ModelSpec, folder: Path, trained: TrainedModel, records: Sequence[GateRecord], run: dg.DagsterRun
) -> set[str]:
    """Return who wrote the model or started any run that it went through."""
    started = (started_by(run), trained.by, *(record.by for record in records))
    return {
        *authors_of(dict.fromkeys(_written(spec, folder))),
        *(name for names in started for name in names),
    }


def _registered(spec: ModelSpec, evaluated: Evaluated, platform: Platform) -> ModelVersion | None:
    trained, versions = evaluated.trained, platform.registry.versions(spec.name)
    same = (v for v in versions if (v.candidate, v.run_id) == (trained.candidate, trained.run_id))
    return next(same, None)


def _is_entered(version: ModelVersion, platform: Platform) -> bool:
    """Return whether the audit chain tells of a registration; a kill may have come before."""
    named = (version.version, version.candidate)
    entries = platform.audit.newest_first(("register",), version.model)
    return any((e.detail.get("version"), e.detail.get("candidate")) == named for e in entries)


def _still_good(version: ModelVersion, evidence: Evidence, rules: Rules, platform: Platform) -> bool:
    """Return whether a version's evidence can stay, so that running again changes nothing."""
    try:
        kept = read_evidence(platform.registry, version, platform.verifier)
    except Refused:
        return False
    subject = evidence.subject
    return (
        kept.subject == subject
        and kept.rules == rules
        and not objections(kept, subject.candidate, subject.model, rules, utc_now())
        and kept.expires_at(rules) >= evidence.expires_at(rules) - _RENEWED_AFTER
    )


def _summary(spec: ModelSpec, evaluated: Evaluated) -> str:
    """Return what a person wants to know of a version before all else."""
    metric = spec.evaluation.primary_metric
    figure = evaluated.metrics[metric]
    compared = evaluated.comparison
    return (
        f"As of {evaluated.trained.features.raw.as_of:%Y-%m-%d}: {metric} {figure.value:.4f} "
        f"[{figure.low:.4f}, {figure.high:.4f}] on {evaluated.rows:,} rows newer than all it learnt from; "
        + (f"beat version {compared.champion}" if compared.champion else "the first version")
    )


def _lineage_tags(spec: ModelSpec, evaluated: Evaluated, run_id: str) -> dict[str, str]:
    trained = evaluated.trained
    raw = trained.features.raw
    scores = {f"mlops.score.{name}": f"{figure.value:.6g}" for name, figure in evaluated.metrics.items()}
    return {
        "mlops.recipe": trained.recipe,
        "mlops.data": raw.digest,
        "mlops.features": trained.features.digest,
        "mlops.feature_code": trained.features.code,
        "mlops.as_of": raw.as_of.isoformat(),
        "mlops.window": f"{raw.start.isoformat()}/{raw.end.isoformat()}",
        "mlops.trained_until": trained.holdout_start.isoformat(),
        "mlops.runtime": trained.runtime,
        "mlops.risk": spec.risk,
        "mlops.owner": spec.owner,
        "mlops.dagster_run": run_id,
        "mlops.compared_with": evaluated.comparison.champion or "none",
        **scores,
    }
