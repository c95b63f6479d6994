"""The baseline of a model: what to follow of its columns, and how that went while it was stable."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.alarms.components import Components
from mlops_assets.monitoring.alarms.natural_variation import (
    FEWEST_WINDOWS,
    NaturalVariation,
)
from mlops_assets.monitoring.alarms.seen import Seen, by_others
from mlops_assets.monitoring.alarms.stable_history import estimate
from mlops_assets.monitoring.byte_form import ByteForm
from mlops_assets.monitoring.profiles.profile import Profile
from mlops_assets.monitoring.windows import Period, phase, phases

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_FORM = ByteForm("baseline", 2, "train the model again")


@dataclass(frozen=True, eq=False)
class Figures:
    """The figures of one window, those of all columns one after the other.

    Attributes:
        start: When the window starts.
        means: Shape (figures,); NaN where there were too few rows.
        rows: How many rows each is a mean of; shape (figures,).
    """

    start: datetime
    means: "Array"
    rows: "Array"


@dataclass(frozen=True, eq=False)
class Baseline:
    """What is followed of a model's columns, and how it varied from window to window of a stable history.

    Attributes:
        period: Length of the history's windows.
        components: What is followed of each column, by its name; the figures are in this order.
        history: The figures of each window, in order of time.
    """

    period: Period
    components: Mapping[str, Components]
    history: Sequence[Figures]

    @classmethod
    def of(cls, period: Period, windows: Sequence[tuple[datetime, Profile]]) -> "Baseline":
        """Return the baseline of a stable history.

        Args:
            period: Length of its windows.
            windows: Start and profile of each, in order of time; all of the same columns.

        Raises:
            ValueError: There are fewer than :data:`FEWEST_WINDOWS`.
        """
        if len(windows) < FEWEST_WINDOWS:
            raise ValueError(f"{len(windows)} windows; a history needs {FEWEST_WINDOWS}")
        whole = windows[0][1]
        for _, profile in windows[1:]:
            whole = whole.merge(profile)
        components = {name: Components.of(profile) for name, profile in sorted(whole.columns.items())}
        seen = {name: by_others([profile.columns.get(name) for _, profile in windows]) for name in components}
        history = [
            _figures(
                components, start, profile, {name: by_window[number] for name, by_window in seen.items()}
            )
            for number, (start, profile) in enumerate(windows)
        ]
        return cls(period, components, history)

    def figures(self, start: datetime, profile: Profile) -> Figures:
        """Return the figures of a window.

        Args:
            start: When it starts.
            profile: Its profile; a column that it lacks has no rows.
        """
        seen = {name: each.seen for name, each in self.components.items()}
        return _figures(self.components, start, profile, seen)

    @cached_property
    def natural_variation(self) -> NaturalVariation:
        """How much the figures vary while nothing is wrong."""
        import numpy as np

        means = np.column_stack([window.means for window in self.history])
        rows = np.column_stack([window.rows for window in self.history])
        return estimate(means, rows, self.phases_of([window.start for window in self.history]))

    def phases_of(self, starts: Sequence[datetime]) -> "Array":
        """Return the phase of windows in the pattern that repeats; shape (windows,)."""
        import numpy as np

        count = phases(self.period, len(self.history))
        return np.array([phase(start, self.period, count) for start in starts])

    @cached_property
    def weights(self) -> "Array":
        """How much of its column's attention each figure gets; shape (figures,)."""
        import numpy as np

        return np.concatenate([each.weights for each in self.components.values()])

    @cached_property
    def columns(self) -> "Array":
        """Number of the column that each figure is of; shape (figures,)."""
        import numpy as np

        return np.repeat(
            np.arange(len(self.components)), [len(each.names) for each in self.components.values()]
        )

    def to_bytes(self) -> bytes:
        """Return the one byte form of the baseline."""
        components = [(name, _written(each)) for name, each in self.components.items()]
        history = [
            (
                window.start.isoformat(),
                window.means.astype("<f8").tobytes(),
                window.rows.astype("<i8").tobytes(),
            )
            for window in self.history
        ]
        return _FORM.write(self.period, components, history)

    @classmethod
    def from_bytes(cls, content: bytes) -> "Baseline":
        """Return the baseline that :meth:`to_bytes` wrote.

        Raises:
            ValueError: These are no such bytes.
        """
        import numpy as np

        with _FORM.reading(content) as (period, components, history):
            return cls(
                period,
                {name: _read(each) for name, each in components},
                [
                    Figures(
                        datetime.fromisoformat(start),
                        np.frombuffer(means, "<f8"),
                        np.frombuffer(rows, "<i8"),
                    )
                    for start, means, rows in history
                ],
            )


def _figures(
    components: Mapping[str, Components], start: datetime, profile: Profile, seen: Mapping[str, Seen]
) -> Figures:
    import numpy as np

    found = []
    for name, each in components.items():
        if name in profile.columns:
            found.append(each.figures(profile.columns[name], seen[name]))
        else:
            found.append((np.full(len(each.names), np.nan), np.zeros(len(each.names), dtype=int)))
    means, rows = (np.concatenate(part) for part in zip(*found, strict=True))
    return Figures(start, means, rows)


def _written(components: Components) -> dict[str, Any]:
    seen = components.seen
    return {
        "names": components.names,
        "weights": components.weights,
        "shares": components.shares.astype("<f8").tobytes(),
        "range": (seen.low, seen.high),
        "texts": None if seen.texts is None else sorted(seen.texts),
        "edges": components.edges.astype("<f8").tobytes(),
        "mass": components.mass.astype("<f8").tobytes(),
        "categories": components.categories,
    }


def _read(fields: dict[str, Any]) -> Components:
    import numpy as np

    shares, edges, mass = (np.frombuffer(fields[name], "<f8") for name in ("shares", "edges", "mass"))
    low, high = fields["range"]
    texts = None if fields["texts"] is None else frozenset(fields["texts"])
    return Components(
        names=tuple(fields["names"]),
        weights=tuple(fields["weights"]),
        shares=shares,
        seen=Seen(low, high, texts),
        edges=edges,
        mass=mass,
        categories=tuple(fields["categories"]),
    )
