"""Looks at many models, in as many processes as there are processors: most of a look is Python.

A process takes seconds to start, so that a few models are looked at here. Whatever becomes of a process,
every model is looked at: here, if need be. What was found is written by the pass alone.
"""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TypeAlias

from mlops_assets.monitoring.assessment.assess import Looked
from mlops_assets.monitoring.assessment.subject import Span
from mlops_assets.resources import Platform
from mlops_assets.stages.fleet_look import FleetLook, WatchedModel

Look: TypeAlias = Callable[[], Looked]
"""Returns what a window says of a model, or raises what :meth:`FleetLook.at` does."""

# With fewer models a process it takes longer to start one than it saves.
_MODELS_A_PROCESS = 100
# Each has the libraries in memory, some 400 MB.
_MOST_PROCESSES = 8
# Looks that each process has before it, so that none waits while events are written.
_AHEAD = 4

# What the looks of this process share; only in one that was started for looks.
_shared: tuple[FleetLook, dict[str, WatchedModel], Span] | None = None


def looks(
    here: FleetLook, fleet: Sequence[WatchedModel], models: Sequence[WatchedModel], span: Span
) -> Iterator[tuple[WatchedModel, Look]]:
    """Yield the models in their order, each with the look at it, which may be under way already.

    Args:
        here: How this process looks.
        fleet: Every model; see :class:`FleetLook`.
        models: The models to look at.
        span: The window.
    """
    processes = min(_processors(), _MOST_PROCESSES, len(models) // _MODELS_A_PROCESS)
    if processes < 2:
        for model in models:
            yield model, partial(here.at, model, span)
        return
    # Not forked: a fork has this process' locks, held by threads that it does not have.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_begin, initargs=(fleet, span)) as pool:
        under_way: deque[tuple[WatchedModel, Look]] = deque()
        for model in models:
            under_way.append((model, _started(pool, model, partial(here.at, model, span))))
            if len(under_way) > _AHEAD * processes:
                yield under_way.popleft()
        yield from under_way


def _started(pool: ProcessPoolExecutor, model: WatchedModel, here: Look) -> Look:
    try:
        return partial(_result, pool.submit(_at, model.spec.name), here)
    except BrokenProcessPool:
        return here


def _result(there: "Future[Looked]", here: Look) -> Looked:
    try:
        return there.result()
    except BrokenProcessPool:  # one was killed, for its memory perhaps, and the others with it
        return here()


def _begin(fleet: Sequence[WatchedModel], span: Span) -> None:
    global _shared
    threading.Thread(target=_end_with_the_pass, name="end with the pass", daemon=True).start()
    _shared = FleetLook(Platform(), fleet), {model.spec.name: model for model in fleet}, span


def _end_with_the_pass() -> None:
    """End this process when the pass was killed, which can tell nobody: it would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _at(name: str) -> Looked:
    assert _shared is not None
    look, models, span = _shared
    return look.at(models[name], span)


def _processors() -> int:
    """Return how many processors this process may use, as far as the container lets it."""
    from joblib import cpu_count  # type: ignore[import-untyped]

    return int(cpu_count())
