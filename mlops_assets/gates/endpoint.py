"""Gates on the endpoint: it answers, and it answers what the offline evaluation computed."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.errors import EndpointError
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.stage import stage_key
from mlops_assets.training.package import PackagedModel
from mlops_assets.verdict import Verdict

if TYPE_CHECKING:
    import numpy as np
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
        answer = _ask(gateway, spec, version, rows.head(1))
        passed = bool(np.isfinite(answer).all())
        summary = f"version {version} answered {answer[0, 0]:.4f}"
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

    offline = package.predict(rows).reshape(len(rows), -1)
    batches = (rows.iloc[i : i + _BATCH] for i in range(0, len(rows), _BATCH))
    try:
        online = np.concatenate([_ask(gateway, spec, version, batch) for batch in batches])
        if online.shape != offline.shape:
            raise EndpointError(
                f"the gateway answers {online.shape[1]} figures a row where offline are {offline.shape[1]}"
            )
    except EndpointError as error:
        return Verdict(gate=PARITY, passed=False, summary=str(error), measured={"rows": len(rows)})
    distance = np.abs(online - offline).max(axis=1)
    apart = np.flatnonzero(~(distance <= TOLERANCE))
    return Verdict(
        gate=PARITY,
        passed=len(apart) == 0,
        summary=f"{len(rows) - len(apart):,} of {len(rows):,} rows agree within {TOLERANCE:g}",
        measured={"rows": len(rows), "largest_difference": float(np.nanmax(distance))},
        limits={"largest_difference": TOLERANCE},
        findings=[
            {"row": int(i), "online": _told(online[i]), "offline": _told(offline[i])} for i in apart[:5]
        ],
    )


def _ask(
    gateway: GatewayClient, spec: ModelSpec, version: str, rows: "pd.DataFrame"
) -> "np.ndarray[Any, Any]":
    """Return one line of figures for each row.

    Raises:
        EndpointError: The gateway refuses, answers for another version, or with what is no such table.
    """
    try:
        answers = gateway.infer(spec.name, rows, version=version, probe=True)
        predictions = answers.predictions.reshape(len(rows), -1)
    except (LookupError, TypeError, ValueError) as error:
        raise EndpointError(f"the gateway's answer cannot be read: {type(error).__name__}") from error
    if answers.version != version:
        raise EndpointError(f"the gateway answered with version {answers.version}, not {version}")
    if predictions.size == 0:
        raise EndpointError("the gateway's answer holds no prediction")
    return predictions


def _told(figures: "np.ndarray[Any, Any]") -> str:
    """Return a row's figures to the last digit, which is where they may differ."""
    return ", ".join(map(repr, figures.tolist()))
