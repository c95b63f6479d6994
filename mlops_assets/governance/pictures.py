"""Small pictures for documents: SVG in the page itself, in the page's own colours for light and dark.

What a picture shows stands beside it as text too; so it is hidden from screen readers, or has a title.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeGuard

from mlops_assets.governance.card_facts import Bar, CalibrationBin
from mlops_assets.verdict import Figure

if TYPE_CHECKING:
    from markupsafe import Markup

_BAR_WIDTH, _BAR_HEIGHT = 200, 18
_CURVE, _MARGIN = 300, 34
_SKETCH_WIDTH, _SKETCH_HEIGHT = 240, 56


def interval_bar(figure: Figure, low: float, high: float, reference: float | None) -> "Markup":
    """Return a figure and its interval on a scale, and a dashed line where all rows together are.

    Args:
        figure: The figure.
        low: Begin of the scale, shared by all figures that are to be compared.
        high: Its end.
        reference: The figure of all rows.
    """
    from markupsafe import Markup

    def at(value: float) -> float:
        share = (value - low) / (high - low) if high > low else 0.5
        return round(6 + share * (_BAR_WIDTH - 12), 1)

    middle = _BAR_HEIGHT / 2
    parts = [Markup('<line class="axis" x1="0" x2="{}" y1="{}" y2="{}"/>').format(_BAR_WIDTH, middle, middle)]
    if is_known(reference):
        place = at(reference)
        parts.append(
            Markup('<line class="all" x1="{}" x2="{}" y1="0" y2="{}"/>').format(place, place, _BAR_HEIGHT)
        )
    if is_known(figure.low) and is_known(figure.high):
        parts.append(
            Markup('<line class="interval" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                at(figure.low), at(figure.high), middle, middle
            )
        )
    if is_known(figure.value):
        parts.append(Markup('<circle class="point" cx="{}" cy="{}" r="4"/>').format(at(figure.value), middle))
    return _svg(_BAR_WIDTH, _BAR_HEIGHT, parts, "interval-bar")


def calibration_curve(bins: Sequence[CalibrationBin]) -> "Markup":
    """Return observed over predicted frequencies, with intervals; on the diagonal a probability is right.

    Both axes end a little above the largest value, so that rare events do not huddle in a corner.
    """
    from markupsafe import Markup

    top = _nice_top(max(max(b.predicted, b.observed, b.high or 0.0) for b in bins))
    inner = _CURVE - _MARGIN - 10

    def x(value: float) -> float:
        return round(_MARGIN + value / top * inner, 1)

    def y(value: float) -> float:
        return round(_CURVE - _MARGIN - value / top * inner, 1)

    most = max(b.rows for b in bins)
    parts = [Markup('<line class="all" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(x(0), y(0), x(top), y(top))]
    for step in range(5):
        value = top * step / 4
        parts.append(
            Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
                x(0), x(top), y(value), y(value)
            )
        )
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="end">{:.3g}</text>').format(
                x(0) - 5, y(value) + 4, value
            )
        )
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="middle">{:.3g}</text>').format(
                x(value), y(0) + 15, value
            )
        )
    for one in bins:
        if is_known(one.low) and is_known(one.high):
            parts.append(
                Markup('<line class="interval" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(
                    x(one.predicted), y(max(one.low, 0)), y(min(one.high, top))
                )
            )
        radius = round(3 + 4 * (one.rows / most) ** 0.5, 1)
        parts.append(
            Markup('<circle class="point" cx="{}" cy="{}" r="{}"><title>{}</title></circle>').format(
                x(one.predicted), y(one.observed), radius,
                f"predicted {one.predicted:.3f}, observed {one.observed:.3f}, {one.rows:,} rows",
            )
        )  # fmt: skip
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="middle">predicted</text>').format(x(top / 2), _CURVE - 4)
    )
    parts.append(Markup('<text x="{}" y="12">observed</text>').format(x(0) + 6))
    return _svg(_CURVE, _CURVE, parts, "calibration")


def histogram(bars: Sequence[Bar]) -> "Markup":
    """Return the sketch of a distribution; each bar's title tells its values and share."""
    from markupsafe import Markup

    highest = max(bar.share for bar in bars)
    width = _SKETCH_WIDTH / len(bars)
    parts = []
    for index, bar in enumerate(bars):
        height = round(bar.share / highest * (_SKETCH_HEIGHT - 2), 1) if highest else 0
        parts.append(
            Markup('<rect class="bar" x="{}" y="{}" width="{}" height="{}"><title>{}</title></rect>').format(
                round(index * width, 1), _SKETCH_HEIGHT - height, round(width - 1.5, 1), height,
                f"{bar.label}: {bar.share:.1%}",
            )
        )  # fmt: skip
    return _svg(_SKETCH_WIDTH, _SKETCH_HEIGHT, parts, "histogram", stretched=True)


def scale(figures: Sequence[Figure]) -> tuple[float, float]:
    """Return where a scale begins and ends that all figures and their intervals lie on."""
    values = [v for f in figures for v in (f.value, f.low, f.high) if is_known(v)]
    return (min(values), max(values)) if values else (0.0, 1.0)


def is_known(value: float | None) -> TypeGuard[float]:
    """Return whether there is a value that can be drawn."""
    return value is not None and math.isfinite(value)


def _nice_top(value: float) -> float:
    return next((top for top in (0.05, 0.1, 0.2, 0.4, 0.6, 0.8) if value <= top), 1.0)


def _svg(
    width: int, height: int, parts: Sequence["Markup"], kind: str, *, stretched: bool = False
) -> "Markup":
    from markupsafe import Markup

    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}" preserveAspectRatio="{}" aria-hidden="true">{}</svg>'
    ).format(kind, width, height, "none" if stretched else "xMinYMid", Markup("").join(parts))
