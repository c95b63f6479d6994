"""What is kept of a window for the windows after it.

A window that is looked at again replaces what was kept of it, so that no window ever counts twice.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.monitoring.alarms.baseline import Figures
from mlops_assets.monitoring.estimation.audit import AuditedWindow, audit
from mlops_assets.monitoring.estimation.estimate import Estimate
from mlops_assets.monitoring.performance.labelled_blocks import LabelledBlocks
from mlops_assets.monitoring.performance.measured import Measured
from mlops_assets.monitoring.service.hours import ServiceHours

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Recent:
    """What only the next windows need.

    Attributes:
        figures: Of inputs and predictions; None without a baseline.
        hours: What happened at the endpoint; None if nobody waited for an answer.
    """

    figures: Figures | None = None
    hours: ServiceHours | None = None

    def to_bytes(self) -> bytes:
        """Return the one byte form."""
        figures = self.figures and (
            self.figures.start.isoformat(),
            self.figures.means.astype("<f4").tobytes(),
            self.figures.rows.astype("<i8").tobytes(),
        )
        return msgspec.msgpack.encode((_FORMAT, figures, self.hours and self.hours.to_bytes()))

    @classmethod
    def from_bytes(cls, content: bytes) -> "Recent":
        """Return what :meth:`to_bytes` wrote; nothing of another format."""
        import numpy as np

        form, figures, hours = msgspec.msgpack.decode(content)
        if form != _FORMAT:
            return cls()
        if figures is not None:
            start, means, rows = figures
            figures = Figures(
                datetime.fromisoformat(start),
                np.frombuffer(means, "<f4").astype("<f8"),
                np.frombuffer(rows, "<i8"),
            )
        return cls(figures, hours and ServiceHours.from_bytes(hours))


@dataclass(frozen=True, eq=False)
class Lasting:
    """What all later windows of the version need: a few hundred bytes.

    Attributes:
        blocks: Labelled rows by the day or hour; None if none was due.
        metrics: What was measured, once labels were due.
        estimates: What had been estimated before, as it was given out.
        kpis: Business figures of whole windows.
        stable: Whether nothing was found wrong with the labels' part.
    """

    blocks: LabelledBlocks | None = None
    metrics: Mapping[str, Measured] = field(default_factory=dict)
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    kpis: Mapping[str, float] = field(default_factory=dict)
    stable: bool = True

    def to_bytes(self) -> bytes:
        """Return the one byte form."""
        value = {
            "blocks": self.blocks and self.blocks.to_bytes(),
            "metrics": {name: asdict(each) for name, each in self.metrics.items()},
            "estimates": {name: asdict(each) for name, each in self.estimates.items()},
            "kpis": dict(self.kpis),
            "stable": self.stable,
        }
        return msgspec.msgpack.encode((_FORMAT, value))

    @classmethod
    def from_bytes(cls, content: bytes) -> "Lasting":
        """Return what :meth:`to_bytes` wrote; nothing of another format."""
        form, value = msgspec.msgpack.decode(content)
        if form != _FORMAT:
            return cls()
        value["blocks"] = value["blocks"] and LabelledBlocks.from_bytes(value["blocks"])
        value["metrics"] = {name: Measured(**each) for name, each in value["metrics"].items()}
        value["estimates"] = {name: Estimate(**each) for name, each in value["estimates"].items()}
        return cls(**value)


@dataclass(frozen=True, eq=False)
class History:
    """What is known of a version's windows before one, in order of time.

    Attributes:
        recent: The last ones, without a gap.
        lasting: All.
    """

    recent: Sequence[Recent] = ()
    lasting: Sequence[Lasting] = ()

    @property
    def figures(self) -> list[Figures]:
        """Figures of inputs and predictions of the last windows, without a gap."""
        found: list[Figures] = []
        for each in reversed(self.recent):
            if each.figures is None:
                break
            found.insert(0, each.figures)
        return found

    @property
    def hours(self) -> ServiceHours | None:
        """What happened at the endpoint in the last windows."""
        found: ServiceHours | None = None
        for each in self.recent:
            if each.hours is not None:
                found = each.hours if found is None else found.before(each.hours)
        return found

    @property
    def blocks(self) -> LabelledBlocks | None:
        """Labelled rows since the version serves."""
        return joined(each.blocks for each in self.lasting)

    def stable(self, metric: str) -> list[Measured]:
        """Return what a metric was measured to be while nothing was wrong."""
        return [each.metrics[metric] for each in self.lasting if each.stable and metric in each.metrics]

    def audited(self, metric: str) -> list[AuditedWindow]:
        """Return the windows in which a metric was estimated and then measured."""
        import math

        return [
            audit(each.estimates[metric], each.metrics[metric].value)
            for each in self.lasting
            if metric in each.estimates
            and metric in each.metrics
            and math.isfinite(each.metrics[metric].value)
        ]

    def kpi(self, name: str) -> list[float]:
        """Return a business figure of whole windows."""
        return [each.kpis[name] for each in self.lasting if name in each.kpis]


def joined(blocks: "Iterable[LabelledBlocks | None]") -> LabelledBlocks | None:
    """Return the labelled blocks of several windows, in order of time."""
    import numpy as np

    found = [each for each in blocks if each is not None and len(each)]
    if not found:
        return None
    names = [each.name for each in fields(LabelledBlocks)]
    parts: dict[str, Array] = {
        name: np.concatenate([getattr(each, name) for each in found]) for name in names
    }
    order = np.argsort(parts["starts"], kind="stable")
    return LabelledBlocks(**{name: part[order] for name, part in parts.items()})
