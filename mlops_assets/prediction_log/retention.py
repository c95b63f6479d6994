"""How long the log remembers: what was written longer ago than a model's rules ask for is deleted.

What counts is when a row was written, and not when its event was: of events long ago there may be predictions
of today.
"""

import fcntl
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from mlops_assets.home import storage_errors
from mlops_assets.prediction_log.catalogue import Catalogue
from mlops_assets.prediction_log.compaction import DAMAGED, LOCK, forget
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.segments import Loss, Segment, segments_in

Keeps = Callable[[str], timedelta]
"""How long what is about a model is kept, by its name."""


def forget_old(folder: Path, keeps: Keeps, now: datetime, longest: timedelta) -> dict[str, int]:
    """Delete what is kept for longer than it has to be; safe to kill and to repeat.

    Args:
        folder: The log's folder.
        keeps: How long each model's rows are kept.
        now: The present, naive UTC.
        longest: How long damaged segments are kept, which may be about any model.

    Returns:
        How many rows were deleted, by model, of those of which some were.

    Raises:
        StorageError: The log cannot be written.
    """
    deleted = {}
    for model, limit in _due(folder, keeps, now):
        deleted[model] = forget(folder, model, limit)
    with storage_errors(folder):
        for segment in segments_in(folder / DAMAGED):
            if segment.begun < microseconds(now - longest):
                segment.path.unlink()
    return deleted


def has_work(folder: Path, keeps: Keeps, now: datetime) -> bool:
    """Return whether there is something to compact or to delete, and nobody is at it."""
    if not folder.is_dir() or _is_held(folder / LOCK):
        return False
    return any(map(_is_finished, segments_in(folder))) or bool(_due(folder, keeps, now))


def unresolved(folder: Path) -> list[Loss]:
    """Return the losses of which the damaged segment is still kept, to be looked at."""
    kept = {segment.name for segment in segments_in(folder / DAMAGED)}
    return [loss for loss in Catalogue(folder).losses() if loss.segment in kept]


def _due(folder: Path, keeps: Keeps, now: datetime) -> list[tuple[str, int]]:
    """Return the models that have files to delete, and the instant before which all of them was written."""
    oldest = sorted(Catalogue(folder).oldest().items())
    limits = [(model, last, microseconds(now - keeps(model))) for model, last in oldest]
    return [(model, limit) for model, last, limit in limits if last < limit]


def _is_finished(segment: Segment) -> bool:
    with segment.owned() as finished:
        return finished


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False
