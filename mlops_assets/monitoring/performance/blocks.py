"""What an interval of a window rests on: parts of the window of which each is one observation.

Rows of one day have much in common, so days are left out as a whole. A window of a day has but one of them:
then its hours are taken, which says how the model did on that day and not how it does on days. Of a window
that has no hours either, the rows of each entity are kept together, and where nobody says whom rows are about
they count as independent. Which of these it was is told beside the figure.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.evaluation.block_jackknife import FEWEST_BLOCKS, numbered

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_MINUTE = 60_000_000
_LENGTHS = {"days": 24 * 60 * _MINUTE, "hours": 60 * _MINUTE, "stretches of five minutes": 5 * _MINUTE}
_PARTS = 50


@dataclass(frozen=True, eq=False)
class Blocks:
    """Which part of a window each row is in.

    Attributes:
        member: Number of each row's block, from 0; shape (n,).
        count: How many blocks there are.
        rests_on: What they are, for a person.
        ordered: Whether a block of a higher number is a later time.
    """

    member: "Array"
    count: int
    rests_on: str
    ordered: bool


def blocks_of(times: "Array", entities: "Array | None" = None) -> Blocks:
    """Return the blocks of a window: the longest of days, hours and five minutes of which there are five.

    Args:
        times: When each row's event happened; datetime64, shape (n,).
        entities: Number of whom or what each row is about, from 0, negative where nobody said; shape (n,).
            It counts where there are no five stretches of time.
    """
    import numpy as np

    microseconds = times.astype("datetime64[us]").astype("int64")
    for name, length in _LENGTHS.items():
        stretches = microseconds // length
        if (there := _distinct(stretches)) >= FEWEST_BLOCKS:
            member = numbered(stretches)
            return Blocks(member, _count(member), _stretches_told(name, there, _count(member)), True)
    if entities is not None:
        alone = entities < 0
        own = np.where(alone, entities.max(initial=0) + np.cumsum(alone), entities)
        if (there := _distinct(own)) >= FEWEST_BLOCKS:
            member = _dealt(own)
            told = f"{there:,} entities; what a time has in common is not in it"
            return Blocks(member, _count(member), told, False)
    member = _dealt(np.arange(len(times)))
    return Blocks(member, _count(member), f"{len(times):,} rows, as if no two had anything in common", False)


def _stretches_told(name: str, there: int, blocks: int) -> str:
    together = f", put together to {blocks}" if blocks < there else ""
    told = f"{there:,} {name}{together}"
    return told if name == "days" else f"{told}; what a whole day has in common is not in it"


def _dealt(codes: "Array") -> "Array":
    """Return the number of one of fifty parts for each row, the same for equal codes."""
    import numpy as np

    found, inverse = np.unique(codes, return_inverse=True)
    parts = np.random.default_rng(0).permutation(len(found)) % max(min(len(found), _PARTS), 1)
    return np.asarray(parts[inverse])


def _distinct(codes: "Array") -> int:
    import numpy as np

    return len(np.unique(codes))


def _count(member: "Array") -> int:
    return int(member.max(initial=-1)) + 1
