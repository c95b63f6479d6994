"""Processes that begin at the same moment, for what must hold however many begin together."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

_Argument = TypeVar("_Argument")
_Result = TypeVar("_Result")


_ready: Any = None


def together(function: Callable[[_Argument], _Result], arguments: Sequence[_Argument]) -> list[_Result]:
    """Return ``function`` of each argument, computed in as many processes, none ahead of the others.

    They are spawned and not forked: a fork of a process with threads may inherit a lock that nobody
    will ever release.
    """
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(len(arguments))
    with ProcessPoolExecutor(len(arguments), context, initializer=_meet_at, initargs=(ready,)) as pool:
        return list(pool.map(_call, [function] * len(arguments), arguments))


def _meet_at(barrier: Any) -> None:
    global _ready
    _ready = barrier


def _call(function: Callable[[_Argument], _Result], argument: _Argument) -> _Result:
    # Here all that the function needs is imported, which takes longer than what is to collide.
    _ready.wait()
    return function(argument)
