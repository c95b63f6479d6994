"""What all stages have in common: their key, group, owner, tags, and how errors read."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import dagster as dg
from pydantic_core import to_jsonable_python

from mlops_assets import digests
from mlops_assets.actor import EMAIL_TAG, USER_TAG, os_user
from mlops_assets.errors import DataError, MlopsError
from mlops_assets.specs.durations import parse_duration, parse_time, utc_now
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.version import __version__

Result: TypeAlias = dg.MaterializeResult[Any]

LIFECYCLE = (
    "raw_data",
    "validated_features",
    "trained_model",
    "evaluation",
    "registered_version",
    "deployed_endpoint",
)
MONITORING = "monitoring_report"
BATCH = "batch_scores"


def stage_key(spec: ModelSpec, stage: str) -> dg.AssetKey:
    """Return the asset key of a model's stage."""
    return dg.AssetKey([spec.name, stage])


def models_with(stage: str, repository: dg.RepositoryDefinition) -> set[str]:
    """Return the models that have a stage in a code location."""
    keys = repository.asset_graph.materializable_asset_keys
    return {key.path[0] for key in keys if key.path[-1] == stage}


def stage_config(stage: str, *models: str, **config: str) -> dict[str, Any]:
    """Return the run config that gives a stage of some models its config."""
    return {"ops": {f"{model}__{stage}": {"config": config} for model in models}}


def stage_asset(
    spec: ModelSpec, stage: str, *parts: Any, kinds: set[str], **more: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return the decorator that makes a function a stage, with all that stages have in common.

    Args:
        spec: The model's spec.
        stage: Name of the stage.
        *parts: What of the spec the stage depends on; a change of it is a new code version.
        kinds: What the stage uses, shown as badges.
        **more: Further arguments of ``dagster.asset``.
    """
    decorate: Callable[[Callable[..., Any]], dg.AssetsDefinition] = dg.asset(
        **_common(spec, stage, parts), kinds=kinds, io_manager_key="records", **more
    )
    return lambda function: decorate(with_known_signature(function))


def stage_spec(spec: ModelSpec, stage: str, *parts: Any, kinds: set[str], **more: Any) -> dg.AssetSpec:
    """Return the same of a stage that is made together with that of other models; see :func:`stage_asset`."""
    return dg.AssetSpec(**_common(spec, stage, parts), kinds=kinds, **more)


def _common(spec: ModelSpec, stage: str, parts: Sequence[Any]) -> dict[str, Any]:
    return {
        "key": stage_key(spec, stage),
        "group_name": spec.name,
        "owners": [spec.owner],
        "tags": {
            "mlops/model": spec.name,
            "mlops/risk": spec.risk,
            "mlops/task": spec.task,
            "mlops/stage": stage,
        },
        "code_version": digests.of_json([__version__, *to_jsonable_python(parts)])[:12],
    }


def with_known_signature(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with its signature written down.

    Dagster inspects the signature of each op some thirty times while definitions load, which with
    hundreds of models is a fifth of the loading time.
    """
    function.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
    return function


def actor_of(context: dg.AssetExecutionContext) -> str:
    """Return who started a run: the user its run coordinator stamped on it, else who runs the process."""
    return context.run.tags.get(USER_TAG) or os_user()


def started_by(run: dg.DagsterRun) -> tuple[str, ...]:
    """Return all names by which whoever started a run may be known."""
    return tuple(filter(None, [run.tags.get(USER_TAG) or os_user(), run.tags.get(EMAIL_TAG)]))


@contextmanager
def readable_errors() -> Iterator[None]:
    """Fail the step with one clear sentence for anything a user can cause or cure."""
    try:
        yield
    except MlopsError as error:
        raise dg.Failure(str(error), metadata={"kind": type(error).__name__}, allow_retries=False) from error


def asked_time(text: str) -> datetime:
    """Return the time a run's config names, now if it names none.

    Raises:
        DataError: It is not a time.
    """
    try:
        return parse_time(text) if text else utc_now()
    except ValueError as error:
        raise DataError(f"as_of: {error}") from error


def asked_window(text: str) -> dict[str, timedelta]:
    """Return what a run's config changes about the spec's data window: nothing if it is empty.

    Raises:
        DataError: It is not a duration.
    """
    try:
        return {"window": parse_duration(text)} if text else {}
    except ValueError as error:
        raise DataError(f"window: {error}") from error


def markdown_table(rows: Sequence[Mapping[Any, Any]]) -> dg.MarkdownMetadataValue:
    """Return flat records as a Markdown table for the UI."""
    if not rows:
        return dg.MetadataValue.md("*none*")
    names = list(rows[0])
    lines = ["| " + " | ".join(map(str, names)) + " |", "|" + " --- |" * len(names)]
    for row in rows:
        cells = (plain(row.get(name)).replace("|", "\\|") for name in names)
        lines.append("| " + " | ".join(cells) + " |")
    return dg.MetadataValue.md("\n".join(lines))


def plain(value: Any) -> str:
    """Return a value as a cell of a table shows it."""
    return (f"{value:.4g}" if isinstance(value, float) else str(value)).replace("\n", " ")


def rounded(value: float) -> float:
    """Return a number with the digits that are worth reading in the UI, which plots it."""
    return float(f"{value:.6g}")
