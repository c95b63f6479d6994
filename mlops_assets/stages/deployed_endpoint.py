"""Stage 6: the version serves, after it has answered on the gateway as it did offline.

The gateway loads the version first, as the challenger, and is asked real hold-out rows; only if its
answers are those of the offline evaluation does it go on. So both gates of this stage judge the version
on the very endpoint it is about to take over, before any client sees it. Then the alias ``champion``
moves, or, where the policy or the spec asks for it, a rollout begins at whose end it moves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.data.snapshots import read_snapshot
from mlops_assets.errors import EndpointError, MlopsError, VersionRefused
from mlops_assets.gates.endpoint import (
    endpoint_checks,
    measure_parity,
    measure_refused,
    measure_smoke,
    shown_approvals,
)
from mlops_assets.gates.gate import gate_record, shown
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.gateway_process import is_underway, running_gateway
from mlops_assets.governance.approvals import ApprovalState
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.traffic import Traffic, Yardsticks
from mlops_assets.prediction_log.prediction_ids import base_of
from mlops_assets.registry.port import CHALLENGER, EVIDENCE_TAG, ModelVersion
from mlops_assets.registry.proof import require_evidence
from mlops_assets.resources import Platform
from mlops_assets.rollout.plan import Step, steps
from mlops_assets.rollout.yardsticks import loss_scale, ms_per_row, nearly_all_below_ms, tenths
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.gate_rules import WEIGHED
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules
from mlops_assets.stages.records import Deployed, Registered
from mlops_assets.stages.registered_version import outdated_comparison
from mlops_assets.stages.stage import Result, actor_of, readable_errors, stage_asset, stage_key
from mlops_assets.training.package import PackagedModel
from mlops_assets.verdict import Measurement, judge

if TYPE_CHECKING:
    import pandas as pd

_PARITY_ROWS = 1_000
_LOAD_SECONDS = 30.0
_RECENT = timedelta(days=7)


def deployed_endpoint(spec: ModelSpec, rules: Rules) -> dg.AssetsDefinition:
    """Return the asset that promotes a version."""

    @stage_asset(
        spec,
        "deployed_endpoint",
        kinds={"mlflow", "http"},
        ins={"registered": dg.AssetIn(stage_key(spec, "registered_version"))},
        check_specs=endpoint_checks(spec),
        description="The version that serves. The alias champion moves; the one before stays loaded.",
    )
    def stage(
        context: dg.AssetExecutionContext, registered: Registered, platform: Platform
    ) -> Iterator[dg.AssetCheckResult | Result]:
        with readable_errors():
            version, evidence = _proven(spec, rules, registered, platform)
            state = platform.decisions.state(version, evidence, rules)
            yield shown_approvals(state, evidence.digest)
            if not state.approved:
                raise MlopsError(
                    f"version {version.version} is not promoted: {state.summary}; see mlops-assets approve"
                )
            with _endpoint(platform) as (gateway, where), _on_trial(version, platform):
                context.log.info("Version %s is tried on %s", version.version, where)
                package, rows = _holdout(spec, registered, platform)
                try:
                    gateway.wait_for_version(spec.name, version.version, timeout=_LOAD_SECONDS)
                    measured: tuple[Measurement, ...] = (
                        measure_smoke(gateway, spec, version.version, rows),
                        measure_parity(gateway, spec, version.version, rows, package),
                    )
                except VersionRefused as error:
                    measured = measure_refused(version.version, str(error))
                records = [gate_record(spec, rules, package.digest, m, context.run) for m in measured]
                verdicts = [judge(m, rules.gates.of(m.gate)) for m in measured]
                for verdict in verdicts:
                    yield shown(verdict, package.digest)
                if refused := [v for v in verdicts if not v.passed]:
                    why = "; ".join(f"{v.gate}: {v.summary}" for v in refused)
                    platform.audit.append(
                        "refuse",
                        spec.name,
                        actor=actor_of(context),
                        reason=why,
                        evidence=version.tags.get(EVIDENCE_TAG, ""),
                        version=version.version,
                        run=context.run_id,
                    )
                    raise MlopsError(f"version {version.version} is not promoted: {why}")
                by = {
                    "actor": actor_of(context),
                    "run": context.run_id,
                    "reason": _why(evidence, state),
                }
                champion = _rolled_out_beside(version, evidence, platform)
                if champion is not None:
                    yardsticks = _yardsticks(spec, rules, champion, platform)
                    traffic = platform.rollouts.begin(version, rules, records, yardsticks, **by)
                    yield _rolling_out(registered, champion, traffic, where)
                    return
                move = platform.authority.promote(version, rules, records, **by)
                followed = gateway.wait_for_champion(spec.name, move.champion, timeout=_LOAD_SECONDS)
        yield dg.MaterializeResult(
            value=Deployed(registered=registered, champion=move.champion, previous=move.previous),
            data_version=dg.DataVersion(registered.evaluated.trained.candidate),
            metadata={
                "champion": int(move.champion),
                "previous_champion": move.previous or "none",
                "moved": move.moved,
                "gateway_followed_after_seconds": followed,
                "tried_on": where,
                "runtime": package.manifest.runtime,
            },
        )

    return stage


def _proven(
    spec: ModelSpec, rules: Rules, registered: Registered, platform: Platform
) -> tuple[ModelVersion, Evidence]:
    """Return the version and its evidence, if that holds under today's rules and against today's champion.

    Raises:
        Refused: Says every reason why not.
        MlopsError: It is gone, or was compared with a champion that no longer serves.
    """
    version = platform.registry.version(spec.name, registered.version)
    if version is None:
        raise MlopsError(f"{spec.name} version {registered.version} is gone from the registry")
    digest = platform.package(version.run_id, version.candidate).digest
    evidence = require_evidence(
        platform.registry, version, digest, platform.verifier, lambda _: rules, utc_now()
    )
    if outdated := outdated_comparison(spec, digest, evidence.gates, platform):
        raise MlopsError(f"{spec.name} candidate {digest[:12]} is refused: {outdated}")
    return version, evidence


def _rolled_out_beside(version: ModelVersion, evidence: Evidence, platform: Platform) -> ModelVersion | None:
    """Return the champion beside which a version has to be rolled out, or None if it serves at once."""
    champion = platform.champion(version.model)
    if champion is None or champion.version == version.version or not steps(evidence.rules.rollout):
        return None
    return champion


def _yardsticks(spec: ModelSpec, rules: Rules, champion: ModelVersion, platform: Platform) -> Yardsticks:
    """Return what the outcomes of a rollout are measured by, as the champion was until now."""
    package, now = platform.package(champion.run_id, champion.candidate), utc_now()
    reference = package.reference()
    predicted = reference["prediction"].to_numpy()
    several = spec.task == "multiclass_classification"
    recent = platform.prediction_log.window(spec.name, now - _RECENT, now, now)
    took, slow = recent["latency_ms"], rules.gates.serving_budget.max_p99_ms
    return Yardsticks(
        classes=package.manifest.classes,
        slow_ms=nearly_all_below_ms(took.to_numpy(), slow),
        cost_ms=nearly_all_below_ms(ms_per_row(took, recent["prediction_id"].map(base_of)).to_numpy(), slow),
        edges=() if several else tenths(predicted),
        loss_scale=loss_scale(spec.task, reference[spec.data.target].to_numpy(), predicted),
    )


def _rolling_out(
    registered: Registered, champion: ModelVersion, traffic: Traffic, where: str
) -> dg.MaterializeResult[Deployed]:
    """Return the stage's result while the champion goes on serving beside a challenger."""
    return dg.MaterializeResult(
        value=Deployed(registered=registered, champion=champion.version, previous=None),
        data_version=dg.DataVersion(registered.evaluated.trained.candidate),
        metadata={
            "champion": int(champion.version),
            "challenger": int(traffic.challenger),
            "moved": False,
            "rollout": str(Step(traffic.percent, traffic.paired)),
            "tried_on": where,
        },
    )


def _why(evidence: Evidence, approvals: ApprovalState) -> str:
    """Return why a version that passed its gates takes over: whom it beat, and who consented."""
    compared = evidence.record("champion_comparison")
    held = {f.limit: f.value for f in compared.measurement.figures} if compared else {}
    sure = held.get(WEIGHED, held.get("confidence"))
    won = f"beats the champion with confidence {sure:.4f}" if sure else "passed its gates"
    return f"{won}; {approvals.summary}" if approvals.needed else won


@contextmanager
def _endpoint(platform: Platform) -> Iterator[tuple[GatewayClient, str]]:
    """Yield the gateway to deploy to, or a temporary one if none runs on the embedded default."""
    url = platform.gateway_url
    if url is not None and not is_underway(platform.home):
        client = platform.gateway_at(url)
        if client.live():
            yield client, url
            return
        if platform.gateway_is_required:
            raise EndpointError(f"the gateway {url} does not answer; start it or correct MLOPS_GATEWAY_URL")
    with running_gateway(platform.home) as client:
        yield (
            client,
            "a temporary gateway, because none is running; start one with mlops-assets serve",
        )


@contextmanager
def _on_trial(version: ModelVersion, platform: Platform) -> Iterator[None]:
    """Have the gateway load the version aside, under the alias ``challenger``, which a failure takes away."""
    champion = platform.champion(version.model)
    if champion is not None and champion.version == version.version:
        yield
        return
    platform.registry.set_alias(version.model, CHALLENGER, version.version)
    try:
        yield
    except Exception:
        platform.registry.delete_alias(version.model, CHALLENGER)
        raise


def _holdout(
    spec: ModelSpec, registered: Registered, platform: Platform
) -> "tuple[PackagedModel, pd.DataFrame]":
    """Return the packaged model and a spread of the hold-out rows it was evaluated on."""
    trained = registered.evaluated.trained
    package = platform.package(trained.run_id, trained.candidate)
    raw = trained.features.raw
    rows = read_snapshot(platform.home.snapshot(spec.name, raw.digest), raw.digest)
    rows = rows[rows[spec.data.time_column] >= trained.holdout_start]
    step = max(1, len(rows) // _PARITY_ROWS)
    columns = dict.fromkeys([*(c.name for c in package.manifest.inputs), spec.data.time_column])
    return package, rows.iloc[::step][list(columns)].head(_PARITY_ROWS).reset_index(drop=True)
