"""One asset for the prediction log of the whole fleet: compacted, and forgotten where its time is over."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg

from mlops_assets.prediction_log.compaction import compact
from mlops_assets.prediction_log.retention import Keeps, forget_old, has_work, unresolved
from mlops_assets.resources import Platform
from mlops_assets.specs.durations import naive_utc, parse_duration, utc_now
from mlops_assets.specs.policy_file import current_policy
from mlops_assets.stages.monitoring_report import KEEPS_PREDICTIONS
from mlops_assets.stages.stage import MONITORING, markdown_table, readable_errors

PREDICTION_LOG = dg.AssetKey(["fleet", "prediction_log"])
_JOB = "compact_prediction_log"
_CHECK = "nothing_lost"


@dg.asset(
    key=PREDICTION_LOG,
    group_name="fleet",
    kinds={"parquet"},
    description="What was asked, answered and learnt of all models, in Parquet; no longer than policy asks.",
    check_specs=[
        dg.AssetCheckSpec(
            _CHECK, asset=PREDICTION_LOG, description="No damaged segment waits to be looked at."
        )
    ],
)
def prediction_log(
    context: dg.AssetExecutionContext, platform: Platform
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    """Compact the log, then delete what it need not keep; safe to kill, and then to run again."""
    with readable_errors():
        folder, keeps, longest = platform.home.prediction_log, *_retention(context.repository_def)
        done = compact(folder) if folder.is_dir() else None
        deleted = forget_old(folder, keeps, utc_now(), longest)
        losses = unresolved(folder)
    yield dg.MaterializeResult(
        metadata={
            "segments": done.segments if done else 0,
            "rows": done.rows if done else 0,
            "losses": len(done.losses) if done else 0,
            "deleted_rows": sum(deleted.values()),
            "deleted": markdown_table([{"model": m, "rows": n} for m, n in deleted.items()]),
        }
    )
    found = [{"segment": x.segment, "offset": x.offset, "bytes": x.length, "why": x.reason} for x in losses]
    yield dg.AssetCheckResult(
        passed=not losses,
        check_name=_CHECK,
        description=(
            f"{len(losses)} parts of {folder / 'damaged'} could not be read; delete there what you have seen"
            if losses
            else "every record could be read"
        ),
        metadata={"losses": markdown_table(found)},
    )


def compaction_job() -> Any:
    """Return the job that makes the asset."""
    return dg.define_asset_job(
        _JOB,
        selection=dg.AssetSelection.assets(PREDICTION_LOG),
        executor_def=dg.in_process_executor,
        description="Turn finished segments of the prediction log into Parquet, and delete old days.",
    )


def compaction_schedule(job: Any, cron: str) -> dg.ScheduleDefinition:
    """Return the schedule of that job, which starts no run that would find nothing to do.

    Args:
        job: The job.
        cron: When it runs (UTC).
    """

    @dg.schedule(
        name=_JOB,
        job=job,
        cron_schedule=cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Compacts the prediction log of the fleet, and deletes what policy does not ask to keep.",
    )
    def schedule(context: dg.ScheduleEvaluationContext, platform: Platform) -> dg.RunRequest | dg.SkipReason:
        waiting = dg.RunsFilter(job_name=_JOB, statuses=[dg.DagsterRunStatus.QUEUED])
        if context.instance.get_runs_count(waiting):
            return dg.SkipReason("one is in the queue")
        keeps, _ = _retention(context.repository_def)
        if not has_work(platform.home.prediction_log, keeps, naive_utc(context.scheduled_execution_time)):
            return dg.SkipReason("nothing to compact or to delete, or it is being done")
        return dg.RunRequest()

    return schedule


def _retention(repository: dg.RepositoryDefinition | None) -> tuple[Keeps, timedelta]:
    """Return how long each model's rows are kept, and the longest that any is.

    What is about a model that is in no spec any more is kept as long as the strictest risk asks.
    """
    assert repository is not None
    graph = repository.asset_graph
    own = {
        key.path[0]: parse_duration(graph.get(key).metadata[KEEPS_PREDICTIONS])
        for key in graph.materializable_asset_keys
        if key.path[-1] == MONITORING
    }
    strictest = max(rules.retention.predictions for rules in current_policy().tiers.values())
    return lambda model: own.get(model, strictest), max([strictest, *own.values()])
