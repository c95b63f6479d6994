"""Gates on the endpoint: it answers, and it answers what the offline evaluation computed."""

from typing import TYPE_CHECKING

import dagster as dg

from mlops_assets.errors import EndpointError
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.stage import stage_key
from mlops_assets.training.package import PackagedModel
from mlops_assets.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

SMOKE, PARITY = "smoke_test", "online_offline_parity"
TOLERANCE = 1e-9
_BATCH = 250


def endpoint_checks(spec: ModelSpec) -> list[dg.AssetCheckSpec]:
    """Return the specs of the checks that the deployment itself carries out."""
    key = stage_key(spec, "deployed_endpoint")
    return [
        dg.AssetCheckSpec(SMOKE, asset=key, blocking=True, description="The version answers a real row."),
        dg.AssetCheckSpec(
            PARITY,
            asset=key,
            blocking=True,
            description="The gateway's predictions from raw rows are those of the offline evaluation.",
        ),
    ]


def check_smoke(gateway: GatewayClient, spec: ModelSpec, version: str, rows: "pd.DataFrame") -> Verdict:
    """Return whether the version answers one real row over HTTP with a finite prediction."""
    import numpy as np

    try:
        answers = gateway.infer(spec.name, rows.head(1), version=version, probe=True)
        passed = len(answers.predictions) == 1 and bool(np.isfinite(answers.predictions).all())
        summary = f"version {answers.version} answered {answers.predictions.ravel()[0]:.4f}"
    except EndpointError as error:
        passed, summary = False, str(error)
    return Verdict(gate=SMOKE, passed=passed, summary=summary, measured={"rows": 1})


def check_parity(
    gateway: GatewayClient,
    spec: ModelSpec,
    version: str,
    rows: "pd.DataFrame",
    package: PackagedModel,
) -> Verdict:
    """Return whether online predictions equal offline ones, row by row."""
    import numpy as np

    offline = package.predict(rows)
    try:
        online = np.concatenate(
            [
                gateway.infer(spec.name, rows.iloc[i : i + _BATCH], version=version, probe=True).predictions
                for i in range(0, len(rows), _BATCH)
            ]
        )
    except EndpointError as error:
        return Verdict(gate=PARITY, passed=False, summary=str(error), measured={"rows": len(rows)})
    distance = np.abs(online - offline).reshape(len(rows), -1).max(axis=1)
    apart = np.flatnonzero(~(distance <= TOLERANCE))
    return Verdict(
        gate=PARITY,
        passed=len(apart) == 0,
        summary=f"{len(rows) - len(apart):,} of {len(rows):,} rows agree within {TOLERANCE:g}",
        measured={"rows": len(rows), "largest_difference": float(np.nanmax(distance))},
        limits={"largest_difference": TOLERANCE},
        findings=[{"row": int(i), "online": str(online[i]), "offline": str(offline[i])} for i in apart[:5]],
    )
