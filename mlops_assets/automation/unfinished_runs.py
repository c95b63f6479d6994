"""Runs that wait or are at work."""

from collections.abc import Sequence

import dagster as dg

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def unfinished_runs(instance: dg.DagsterInstance) -> Sequence[dg.DagsterRun]:
    """Return the runs of all jobs that wait or are at work."""
    return instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))
