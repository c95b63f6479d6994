"""Stage 6: the version serves, after it has answered on the gateway as it did offline.

The gateway loads the version first, as the challenger, and is asked real hold-out rows; only if its
answers are those of the offline evaluation does the alias ``champion`` move. So both gates of this
stage judge the version on the very endpoint it is about to take over, before any client sees it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.data.snapshots import read_snapshot
from mlops_assets.errors import EndpointError, MlopsError
from mlops_assets.gates.endpoint import PARITY, SMOKE, check_parity, check_smoke, endpoint_checks
from mlops_assets.gates.gate import record_and_show
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.gateway_process import is_underway, running_gateway
from mlops_assets.registry.port import CHALLENGER, CHAMPION
from mlops_assets.registry.promotion import promote
from mlops_assets.resources import Platform
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.records import Deployed, Registered
from mlops_assets.stages.registered_version import require_admission
from mlops_assets.stages.stage import Result, readable_errors, stage_asset, stage_key
from mlops_assets.training.package import PackagedModel

if TYPE_CHECKING:
    import pandas as pd

_PARITY_ROWS = 1_000
_LOAD_SECONDS = 30.0


def deployed_endpoint(spec: ModelSpec) -> dg.AssetsDefinition:
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
            require_admission(spec, registered.evaluated, platform)
            with _endpoint(platform) as (gateway, where), _on_trial(spec, registered, platform):
                context.log.info("Version %s is tried on %s", registered.version, where)
                gateway.wait_for_version(spec.name, registered.version, timeout=_LOAD_SECONDS)
                package, rows = _holdout(spec, registered, platform)
                candidate = registered.evaluated.trained.candidate
                verdicts = (
                    check_smoke(gateway, spec, registered.version, rows),
                    check_parity(gateway, spec, registered.version, rows, package),
                )
                for verdict, name in zip(verdicts, (SMOKE, PARITY), strict=True):
                    shown = record_and_show(platform, spec, candidate, verdict)
                    yield shown._replace(check_name=name)
                if refused := [v for v in verdicts if not v.passed]:
                    raise MlopsError(
                        f"version {registered.version} is not promoted: "
                        + "; ".join(f"{v.gate}: {v.summary}" for v in refused)
                    )
                move = promote(platform.registry, spec.name, registered.version)
                # Not only if it moved just now: a kill may have come between the move and its entry.
                if platform.state.recorded_champion(spec.name) != move.champion:
                    platform.state.record_change(
                        "promote",
                        spec.name,
                        version=move.champion,
                        previous=move.previous,
                        dagster_run=context.run_id,
                    )
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


@contextmanager
def _endpoint(platform: Platform) -> Iterator[tuple[GatewayClient, str]]:
    """Yield the gateway to deploy to, or a temporary one if none runs on the embedded default."""
    url = platform.gateway_url
    if url is not None and not is_underway(platform.home):
        client = GatewayClient(url)
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
def _on_trial(spec: ModelSpec, registered: Registered, platform: Platform) -> Iterator[None]:
    """Have the gateway load the version aside, under the alias ``challenger``, which a failure takes away."""
    champion = platform.registry.by_alias(spec.name, CHAMPION)
    if champion is not None and champion.version == registered.version:
        yield
        return
    platform.registry.set_alias(spec.name, CHALLENGER, registered.version)
    try:
        yield
    except Exception:
        platform.registry.delete_alias(spec.name, CHALLENGER)
        raise


def _holdout(
    spec: ModelSpec, registered: Registered, platform: Platform
) -> "tuple[PackagedModel, pd.DataFrame]":
    """Return the packaged model and a spread of the hold-out rows it was evaluated on."""
    trained = registered.evaluated.trained
    package = platform.package(trained.run_id)
    raw = trained.features.raw
    rows = read_snapshot(platform.home.snapshot(spec.name, raw.digest), raw.digest)
    rows = rows[rows[spec.data.time_column] >= trained.holdout_start]
    step = max(1, len(rows) // _PARITY_ROWS)
    columns = dict.fromkeys([*(c.name for c in package.manifest.inputs), spec.data.time_column])
    return package, rows.iloc[::step][list(columns)].head(_PARITY_ROWS).reset_index(drop=True)
