"""Rows that are predicted together, of one request or of several."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from mlops_assets.serving.discretion import Entities
from mlops_assets.serving.rows import Rows
from mlops_assets.serving.table import Resident
from mlops_assets.serving.usual_requests import Checked, Decoded, Layout, Values


class Asked(Struct, frozen=True, gc=False):
    """What is known of a request besides its rows.

    Attributes:
        started: ``time.perf_counter()`` when the whole request was there.
        probe: Whether the platform itself asked.
        entities: Whom or what each row is about; None if nobody said.
        base: Id of its predictions; a new one if empty.
        arm: Which side of a traffic split answers it.
        traffic: Serial of the traffic record by which that was chosen; 0 if the traffic is not split.
        caller: Who asked.
    """

    started: float
    probe: bool = False
    entities: Entities | None = None
    base: str = ""
    arm: str = ""
    traffic: int = 0
    caller: str = ""


Request: TypeAlias = tuple[Rows | Decoded, Asked]
"""The rows of a request, and what else is known of it."""

ReadAgain: TypeAlias = Callable[[Resident], Rows | Checked]
"""Reads a request as another version takes it."""


class Batch(Struct, frozen=True, eq=False, gc=False):
    """Requests whose rows are predicted together.

    Attributes:
        values: The rows of all, one after the other, as the model takes them.
        requests: Each request. All have the same columns, and either all or none is the platform's own.
    """

    values: Values
    requests: Sequence[Request]

    @classmethod
    def of(cls, rows: Rows | Checked, asked: Asked) -> "Batch":
        """Return one request."""
        return cls(rows.values, [(rows, asked)])

    @property
    def layout(self) -> Layout | None:
        """How the columns lie in the rows of all requests, if that is known."""
        rows, _ = self.requests[0]
        return rows.layout if isinstance(rows, Decoded) else None

    @classmethod
    def joined(cls, batches: "Sequence[Batch]") -> "Batch":
        """Return the requests of some batches, which must have the same columns, in one."""
        if len(batches) == 1:
            return batches[0]
        values = [batch.values for batch in batches]
        return cls(_concatenated(values), [request for batch in batches for request in batch.requests])

    def part(self, places: Sequence[int]) -> "Batch":
        """Return the requests at some places."""
        if len(places) == len(self.requests):
            return self
        requests = [self.requests[place] for place in places]
        if len(self.values) == len(self.requests):  # each has one row
            return Batch(_taken(self.values, [*places]), requests)
        begins = [0, *accumulate(len(rows) for rows, _ in self.requests)]
        rows = [row for place in places for row in range(begins[place], begins[place + 1])]
        return Batch(_taken(self.values, rows), requests)

    def on(self, arm: str) -> "Batch":
        """Return it as one side of a traffic split is asked."""
        return self.asked(lambda asked: replace(asked, arm=arm))

    def later(self, seconds: float) -> "Batch":
        """Return it as if it had come later."""
        return self.asked(lambda asked: replace(asked, started=asked.started + seconds))

    def asked(self, otherwise: Callable[[Asked], Asked]) -> "Batch":
        """Return the same rows, asked otherwise."""
        return Batch(self.values, [(rows, otherwise(asked)) for rows, asked in self.requests])


def _taken(values: Any, rows: list[int]) -> Any:
    import numpy as np

    return values[rows] if isinstance(values, np.ndarray) else values.iloc[rows].reset_index(drop=True)


def _concatenated(values: list[Any]) -> Any:
    import numpy as np

    if isinstance(values[0], np.ndarray):
        return np.concatenate(values)
    import pandas as pd

    return pd.concat(values, ignore_index=True)
