"""Gates on the endpoint: it answers, and it answers what the offline evaluation computed."""

from typing import TYPE_CHECKING, Any

import dagster as dg

from mlops_assets.errors import DataError, EndpointError
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.governance.approvals import ApprovalState
from mlops_assets.scoring.trial import scored_through_files
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.stage import stage_key
from mlops_assets.training.package import PackagedModel
from mlops_assets.verdict import Figure, Measurement

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SMOKE, PARITY, APPROVALS = "smoke_test", "online_offline_parity", "approvals"
_BATCH = 250
_DIFFERENCE = "largest difference of a prediction"
_OF_BATCH = "largest difference of a prediction in batch scoring"


def endpoint_checks(spec: ModelSpec) -> list[dg.AssetCheckSpec]:
    """Return the specs of the checks that the deployment itself carries out."""
    key = stage_key(spec, "deployed_endpoint")
    return [
        dg.AssetCheckSpec(
            APPROVALS, asset=key, blocking=True, description="The people whom the policy asks consent."
        ),
        dg.AssetCheckSpec(SMOKE, asset=key, blocking=True, description="The version answers a real row."),
        dg.AssetCheckSpec(
            PARITY,
            asset=key,
            blocking=True,
            description="What the gateway and batch scoring predict from raw rows is what was evaluated.",
        ),
    ]


def shown_approvals(state: ApprovalState, evidence: str) -> dg.AssetCheckResult:
    """Return what people decided as Dagster shows it."""
    return dg.AssetCheckResult(
        passed=state.approved,
        check_name=APPROVALS,
        severity=dg.AssetCheckSeverity.ERROR,
        description=state.summary,
        metadata={
            "evidence": evidence,
            "needed": state.needed,
            "given": state.given,
            "approved_by": ", ".join(state.approved_by) or "nobody",
            **({"rejected_by": ", ".join(state.rejected_by)} if state.rejected_by else {}),
            **({"does_not_count": "; ".join(state.objections)} if state.objections else {}),
        },
    )


def measure_smoke(gateway: GatewayClient, spec: ModelSpec, version: str, rows: "pd.DataFrame") -> Measurement:
    """Ask the version over HTTP for one real row; the answer has to be a finite prediction."""
    import numpy as np

    try:
        answer = _ask(gateway, spec, version, rows.head(1))
        failed = not np.isfinite(answer).all()
        said = f"version {version} answered {answer[0, 0]:.4f}"
    except EndpointError as error:
        failed, said = True, str(error)
    return _asked_once(failed, said)


def _asked_once(failed: bool, said: str) -> Measurement:
    figure = Figure(name="failed requests", value=int(failed), limit="max_failed", note=said)
    return Measurement(gate=SMOKE, summary=said, figures=(figure,))


def _not_compared(said: str) -> Measurement:
    unknown = Figure(name=_DIFFERENCE, value=None, limit="max_difference", note=said)
    return Measurement(gate=PARITY, summary=said, figures=(unknown,))


def measure_refused(version: str, reason: str) -> tuple[Measurement, ...]:
    """Return what is known of a version that the gateway would not load: it answers nothing.

    Args:
        version: The version.
        reason: The gateway's own words.
    """
    return _asked_once(True, reason), _not_compared(f"version {version} is not loaded")


def measure_parity(
    gateway: GatewayClient,
    spec: ModelSpec,
    version: str,
    rows: "pd.DataFrame",
    package: PackagedModel,
) -> Measurement:
    """Compare online predictions with offline ones, row by row."""
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
        return _not_compared(str(error))
    distance = np.abs(online - offline).max(axis=1)
    # Where a prediction is not a number, so is the difference, and that is the largest.
    furthest = np.argsort(-np.nan_to_num(distance, nan=np.inf), kind="stable")[:5]
    largest, same = float(distance[furthest[0]]), int((distance == 0).sum())
    in_batch, batch_note = _in_batch(package, rows, offline)
    return Measurement(
        gate=PARITY,
        summary=f"{same:,} of {len(rows):,} rows are the same to the last digit",
        figures=(
            Figure(name=_DIFFERENCE, value=largest, limit="max_difference"),
            Figure(name=_OF_BATCH, value=in_batch, limit="max_difference", note=batch_note),
            Figure(name="rows", value=len(rows)),
            Figure(name="rows that are the same", value=same),
        ),
        findings=tuple(
            {"row": int(i), "online": _told(online[i]), "offline": _told(offline[i])}
            for i in furthest
            if distance[i] != 0
        ),
    )


def _in_batch(
    package: PackagedModel, rows: "pd.DataFrame", offline: "np.ndarray[Any, Any]"
) -> tuple[float | None, str]:
    """Return how far batch scoring of the same rows, from a file to a file, is from offline predictions."""
    import numpy as np

    try:
        scored = scored_through_files(package, rows).reshape(len(rows), -1)
    except DataError as error:
        return None, str(error)
    return float(np.abs(scored - offline).max()), ""


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
