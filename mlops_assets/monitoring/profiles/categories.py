"""A bounded multiset of texts that merges exactly: the distribution of a categorical column."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

# A column with more different values is text or an identifier rather than a category.
MOST = 4096
_BUCKETS = 1024


@dataclass(frozen=True)
class Categories:
    """How often each text occurs; of too many, how often each of some buckets that their digests fall into.

    Like :class:`mlops_assets.monitoring.profiles.cells.Cells`, it depends on the texts alone and not on the
    order or grouping in which they came: more than :data:`MOST` of them never become fewer.

    Attributes:
        counts: Number of values by text; if folded, by the name of the bucket.
        folded: Whether there were too many texts.
    """

    counts: Mapping[str, int]
    folded: bool = False

    @classmethod
    def of(cls, counts: Mapping[str, int]) -> "Categories":
        """Return the categories of texts with their counts."""
        return cls({text: int(count) for text, count in counts.items()})._fitted()

    def merge(self, other: "Categories") -> "Categories":
        """Return the categories of both; in either order, the same."""
        folded = self.folded or other.folded
        left, right = (each._fold() if folded else each for each in (self, other))
        return Categories(Counter(left.counts) + Counter(right.counts), folded)._fitted()

    @cached_property
    def total(self) -> int:
        """Number of values."""
        return sum(self.counts.values())

    def __getitem__(self, text: str) -> int:
        return self.counts.get(text, 0)

    def beside(self, other: "Categories") -> tuple["Categories", "Categories"]:
        """Return both in one form, so that their counts can be compared name by name."""
        if self.folded == other.folded:
            return self, other
        return self._fold(), other._fold()

    def _fitted(self) -> "Categories":
        return self if self.folded or len(self.counts) <= MOST else self._fold()

    def _fold(self) -> "Categories":
        if self.folded:
            return self
        sums: Counter[str] = Counter()
        for text, count in self.counts.items():
            sums[bucket(text)] += count
        return Categories(sums, folded=True)


def bucket(text: str) -> str:
    """Return the name of the bucket that a text falls into."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return f"bucket {int.from_bytes(digest) % _BUCKETS}"
