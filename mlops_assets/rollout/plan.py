"""The steps by which a version comes to serve, and who answers at each."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from zlib import crc32

from mlops_assets.specs.rollout_rules import RolloutRules

_ALL_BITS = 2**32 - 1
_PERCENT = 100 / 2**32


@dataclass(frozen=True)
class Step:
    """A stretch of a rollout.

    Attributes:
        percent: How much of the traffic the challenger answers.
        paired: Whether the arm that does not answer is asked too, unseen: then both are compared on the
            same requests.
    """

    percent: int
    paired: bool

    def __str__(self) -> str:
        if self.percent == 0:
            return "shadow"
        return "all of the traffic, the champion in shadow" if self.paired else f"canary {self.percent} %"


def steps(rules: RolloutRules) -> tuple[Step, ...]:
    """Return the steps of a rollout, the first first; none if the version serves at once.

    After the last step the version is promoted.
    """
    return tuple(_steps(rules))


def _steps(rules: RolloutRules) -> Iterator[Step]:
    if rules.strategy == "shadow" or rules.shadow:
        yield Step(0, paired=True)
    if rules.strategy == "canary":
        for percent in sorted(rules.canary):
            yield Step(percent, paired=False)
    if rules.strategy == "blue_green":
        yield Step(100, paired=True)


class Split:
    """Who sees the challenger.

    The same entity falls into the same place throughout a rollout, so a person who has seen the challenger
    goes on seeing it as its share grows. Another rollout has another salt and sends others ahead.

    Source: Dietzfelbinger and others, "A Reliable Randomized Algorithm for the Closest-Pair Problem",
    Journal of Algorithms 25 (1997), for multiply-shift hashing. A checksum alone is linear, so that the
    places by one salt would follow from those by another.

    Args:
        salt: The rollout's own.
    """

    def __init__(self, salt: str) -> None:
        self.salt = salt
        self._factor = int.from_bytes(blake2b(salt.encode(), digest_size=4).digest()) | 1

    def place(self, key: str) -> float:
        """Return where an entity falls, from 0 to below 100.

        Args:
            key: The entity's; a request's id where nobody is to be recognised.
        """
        return (crc32(key.encode()) * self._factor & _ALL_BITS) * _PERCENT

    def is_challengers(self, key: str, percent: float) -> bool:
        """Return whether the challenger answers an entity, at its share of the entities."""
        return self.place(key) < percent
