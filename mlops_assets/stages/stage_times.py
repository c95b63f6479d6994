"""When the stages of a candidate were made, as Dagster has it: facts that go into its evidence."""

from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.stages.stage import LIFECYCLE, stage_key


def stage_times(spec: ModelSpec, context: dg.AssetExecutionContext) -> dict[str, str]:
    """Return for each stage up to the one that asks in which run it was made, from when to when, UTC.

    A stage whose run Dagster has forgotten is left out; the one that asks ends now.
    Times are whole seconds, as in evidence and releases.

    Returns:
        ``raw_data.run`` is a run's id, ``raw_data.time`` an ISO 8601 interval, and so on.
    """
    found: dict[str, str] = {}
    for stage, run, step in _steps(spec, context):
        (stats,) = context.instance.get_run_step_stats(run, [step]) or [None]
        if stats is not None and stats.start_time is not None:
            interval = f"{_utc(stats.start_time)}/{_utc(stats.end_time)}"
            found |= {f"{stage}.run": run, f"{stage}.time": interval}
    return found


def _steps(spec: ModelSpec, context: dg.AssetExecutionContext) -> Iterator[tuple[str, str, str]]:
    """Yield each stage with the run and the step that made what it handed on last."""
    for stage in LIFECYCLE:
        key = stage_key(spec, stage)
        if key == context.asset_key:
            yield stage, context.run_id, key.to_python_identifier()
            return
        made = context.instance.get_latest_materialization_event(key)
        if made is not None and made.step_key is not None:
            yield stage, made.run_id, made.step_key


def _utc(seconds: float | None) -> str:
    """Return seconds since 1970, or the present if None, as a time."""
    time = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return time.replace(tzinfo=None).isoformat(timespec="seconds")
