"""Performance over windows as inline SVG: a sparkline for a table's row, a chart for a model's page.

What is drawn is said in words, too, in the drawing's title.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import NamedTuple

from mlops_assets.serving.fleet_page.layout import number

_SPARK = (120, 24)
_CHART = (860, 240)
_MARGIN = (64, 12, 28)  # left, top and right, bottom
_TICKS = 4
Interval = tuple[float, float]


class Point(NamedTuple):
    """One window as it is drawn.

    Attributes:
        end: When the window ends.
        measured: The metric on labels; None if not measured.
        estimated: The metric before labels; None if not estimated.
        measured_within: The interval of what was measured.
        estimated_within: The interval of what was estimated.
        harm: Whether it showed harm.
    """

    end: datetime
    measured: float | None = None
    estimated: float | None = None
    measured_within: Interval | None = None
    estimated_within: Interval | None = None
    harm: bool = False


@dataclass(frozen=True)
class _Scale:
    """Where values and windows are on a drawing."""

    low: float
    high: float
    count: int
    left: float
    top: float
    width: float
    height: float

    def x(self, index: int) -> float:
        return self.left + self.width * (index / (self.count - 1) if self.count > 1 else 0.5)

    def y(self, value: float) -> float:
        bounded = self.low if value < self.low else self.high if value > self.high else value
        return self.top + self.height * (self.high - bounded) / (self.high - self.low)


def sparkline(metric: str, points: Sequence[Point]) -> str:
    """Return a metric's course in a line's height: measured solid, estimated dashed; harm is a dot."""
    values = list(_values(points))
    if not values:
        return ""
    width, height = _SPARK
    scale = _scale(values, len(points), 2, 2, width - 4, height - 4)
    return (
        f'<svg role="img" width="{width}" height="{height}"><title>{escape(in_words(metric, points))}</title>'
        f"{_line('e', scale, [p.estimated for p in points])}{_line('m', scale, [p.measured for p in points])}"
        f"{''.join(_dot('harm', scale, i, p.measured, 3) for i, p in enumerate(points) if p.harm)}</svg>"
    )


def chart(metric: str, points: Sequence[Point]) -> str:
    """Return a metric's course with its intervals, an axis of values and one of days."""
    values = [*_values(points), *_bounds(points)]
    if not values:
        return ""
    width, height = _CHART
    left, edge, bottom = _MARGIN
    scale = _scale(values, len(points), left, edge, width - left - edge, height - edge - bottom)
    whiskers = "".join(
        f'<path class="band" d="M{scale.x(i):.1f} {scale.y(p.measured_within[0]):.1f}V'
        f'{scale.y(p.measured_within[1]):.1f}"/>'
        for i, p in enumerate(points)
        if p.measured_within
    )
    dots = "".join(
        _dot("harm" if p.harm else "dot", scale, i, p.measured, 4 if p.harm else 2.5)
        + _dot("edot", scale, i, p.estimated, 2.5)
        for i, p in enumerate(points)
    )
    return (
        f'<svg role="img" viewBox="0 0 {width} {height}" width="100%" style="max-width:{width}px">'
        f"<title>{escape(in_words(metric, points))}</title>{_axes(scale, points)}"
        f"{_estimated_band(scale, points)}{whiskers}"
        f"{_line('e', scale, [p.estimated for p in points])}{_line('m', scale, [p.measured for p in points])}"
        f"{dots}</svg>"
    )


def in_words(metric: str, points: Sequence[Point]) -> str:
    """Return a metric's course in words."""
    measured = [p.measured for p in points if p.measured is not None and math.isfinite(p.measured)]
    estimated = [p.estimated for p in points if p.estimated is not None and math.isfinite(p.estimated)]
    harmed = sum(p.harm for p in points)
    windows = f"{len(points)} windows" if len(points) > 1 else "1 window"
    told = [f"{metric} over {windows} to {points[-1].end:%Y-%m-%d}"]
    for name, values in (("measured", measured), ("estimated", estimated)):
        if values:
            told.append(f"{name} {number(min(values))} to {number(max(values))}, last {number(values[-1])}")
    return "; ".join([*told, *([f"harm in {harmed}"] if harmed else [])])


def _values(points: Iterable[Point]) -> Iterable[float]:
    return (v for p in points for v in (p.measured, p.estimated) if v is not None and math.isfinite(v))


def _bounds(points: Iterable[Point]) -> Iterable[float]:
    within = (each for p in points for each in (p.measured_within, p.estimated_within) if each)
    return (bound for each in within for bound in each if math.isfinite(bound))


def _scale(
    values: Sequence[float], count: int, left: float, top: float, width: float, height: float
) -> _Scale:
    low, high = min(values), max(values)
    room = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return _Scale(low - room, high + room, count, left, top, width, height)


def _line(kind: str, scale: _Scale, values: Sequence[float | None]) -> str:
    """Return a line through the values there are, broken where there is none.

    Written out, and in whole pixels: a page has two thousand of these.
    """
    across = scale.width / (scale.count - 1) if scale.count > 1 else 0.0
    left = scale.left if across else scale.x(0)
    bottom, down = scale.top + scale.height, scale.height / (scale.high - scale.low)
    path, joined = [], False
    for index, value in enumerate(values):
        if value is None or not math.isfinite(value):
            joined = False
            continue
        x, y = int(left + across * index + 0.5), int(bottom - down * (value - scale.low) + 0.5)
        # A point that stands alone is a short stroke, or nobody would see it.
        path.append(f"L{x} {y}" if joined else f"M{x} {y}h1")
        joined = True
    return f'<path class="{kind}" d="{"".join(path)}"/>' if path else ""


def _dot(kind: str, scale: _Scale, index: int, value: float | None, radius: float) -> str:
    if value is None or not math.isfinite(value):
        return ""
    return f'<circle class="{kind}" cx="{scale.x(index):.1f}" cy="{scale.y(value):.1f}" r="{radius}"/>'


def _estimated_band(scale: _Scale, points: Sequence[Point]) -> str:
    """Return what is estimated lies between, a rectangle a window."""
    half, drawn = scale.width / max(scale.count - 1, 1) / 2, []
    for index, point in enumerate(points):
        if point.estimated_within:
            bottom, top = map(scale.y, point.estimated_within)
            left = max(scale.x(index) - half, scale.left)
            right = min(scale.x(index) + half, scale.left + scale.width)
            drawn.append(
                f'<rect class="eband" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
                f'height="{bottom - top:.1f}"/>'
            )
    return "".join(drawn)


def _axes(scale: _Scale, points: Sequence[Point]) -> str:
    right = scale.left + scale.width
    drawn = []
    for tick in range(_TICKS + 1):
        value = scale.low + (scale.high - scale.low) * tick / _TICKS
        y = scale.y(value)
        drawn.append(f'<path class="axis" d="M{scale.left} {y:.1f}H{right}"/>')
        drawn.append(f'<text x="{scale.left - 8}" y="{y + 4:.1f}" text-anchor="end">{number(value)}</text>')
    baseline = scale.top + scale.height + 18
    for index, anchor in {0: "start", len(points) // 2: "middle", len(points) - 1: "end"}.items():
        at = f"{points[index].end:%Y-%m-%d}"
        drawn.append(f'<text x="{scale.x(index):.1f}" y="{baseline:.1f}" text-anchor="{anchor}">{at}</text>')
    return "".join(drawn)
