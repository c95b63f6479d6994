"""Two processes, which is what the machine of a benchmark has."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")

_PROCESSES = 2


def spread(work: Callable[..., Result], tasks: Sequence[tuple[Any, ...]]) -> list[Result]:
    """Return what work makes of each task, in their order."""
    with ProcessPoolExecutor(_PROCESSES) as processes:
        return list(processes.map(work, *zip(*tasks, strict=True)))


def trials(whole: int, scale: float) -> int:
    """Return a share of a number of trials, and enough of them for an error to be told."""
    return max(round(whole * scale), 2)
