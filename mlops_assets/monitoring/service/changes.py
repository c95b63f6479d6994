"""A window's service beside the same hours before.

A window is a number of hours. It is held against the same hours of the days before (of the weeks before, if
the window is longer than a day), by weekday where there are four weeks of them: so a quiet Sunday is no
outage, and the hour of the nightly batch no trouble. How probable a difference is while nothing is wrong
follows from how much those stretches differ from each other. Holm's method keeps the probability of any false
alarm of a window at alpha.

Source: Hahn and Meeker, "Statistical Intervals" (1991), chapter 4, for one more observation; for Holm's
method see :mod:`mlops_assets.monitoring.holm`.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.monitoring.holm import holm
from mlops_assets.monitoring.service.hours import ServiceHours

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_COMPARED = ("p50", "p99")
# Less than this is no news: a fifth fewer requests, a tenth slower, a thousandth more failures.
LEAST = {"requests": 0.2, "p50": 0.1, "p99": 0.25, "failed": 0.001, "refused": 0.01}
# Weekdays are told apart in a history of so many weeks.
_WEEKS = 4
FEWEST_STRETCHES = 8


@dataclass(frozen=True)
class ServiceChange:
    """One figure of a window beside the same hours before.

    Attributes:
        figure: ``requests``, ``p50``, ``p99`` (of the latency), ``failed`` or ``refused``.
        now: What it is.
        usual: What it usually is in these hours.
        p_value: How probable such a difference is while nothing is wrong, for all figures together.
        alarm: Whether it is to be told as one: sure, large enough, and to the worse (fewer requests, too).
        told: In one sentence.
    """

    figure: str
    now: float
    usual: float
    p_value: float
    alarm: bool
    told: str


def service_changes(history: ServiceHours, window: ServiceHours, alpha: float) -> list[ServiceChange]:
    """Return how a window's service differs from that of the same hours before, alarms first.

    Args:
        history: Hours before the window, in which nothing was wrong.
        window: The window's hours.
        alpha: Probability of any false alarm.

    Returns:
        Nothing if the history has fewer than eight such stretches.
    """
    import numpy as np

    span = len(window)
    stride, weekdays = (24, 7) if span <= 24 else (24 * 7 * math.ceil(span / (24 * 7)), 1)
    until = round((window.start - history.start).total_seconds() / 3600)
    places = [place for place in range(until % stride, until, stride) if place + span <= len(history)]
    if not span or len(places) < FEWEST_STRETCHES:
        return []
    before = [_figures(history, place, span) for place in places]
    figures, chance = (np.column_stack(part) for part in zip(*before, strict=True))
    count = weekdays if len(places) >= _WEEKS * weekdays else 1
    days = np.array([place // stride for place in (*places, until)]) % count
    now, noise = _figures(window, 0, span)
    # How much hours with hardly a request vary by chance is told by how many are usual, not by how many came.
    noise[0] = np.nanmean(chance[0])
    usual, p_values = np.transpose(
        [
            _beside(now[place], noise[place], figures[place], chance[place], days)
            for place in range(len(_NAMES))
        ]
    )
    (adjusted,) = holm([p_values])
    found = [
        _change(name, float(now[place]), float(usual[place]), float(adjusted[place]), alpha)
        for place, name in enumerate(_NAMES)
        if np.isfinite(now[place]) and np.isfinite(usual[place])
    ]
    return sorted(found, key=lambda change: (not change.alarm, change.p_value))


def _beside(now: float, noise: float, before: "Array", chance: "Array", days: "Array") -> tuple[float, float]:
    """Return what is usual of a figure, and how probable so great a difference is while nothing is wrong.

    Args:
        now: The figure.
        noise: Its variance by chance alone.
        before: The same before, NaN where it is not known; shape (stretches,).
        chance: Variance of these by chance alone.
        days: Which weekday each is of, and after these the one that is judged; shape (stretches + 1,).
    """
    import numpy as np
    from scipy.special import stdtr

    known, today = np.isfinite(before), days[-1]
    own = known & (days[:-1] == today)
    count = len(np.unique(days[:-1][known]))
    if own.sum() < 2:  # of this weekday nothing is known by itself
        own, days, count = known, np.zeros_like(days), 1
    freedom = int(known.sum()) - count
    if freedom < FEWEST_STRETCHES - 1:
        return math.nan, 1.0
    weekday = days[:-1][known]
    mean = np.bincount(weekday, before[known]) / np.maximum(np.bincount(weekday), 1)
    spread = float(((before[known] - mean[weekday]) ** 2).sum()) / freedom
    usual_chance = float(chance[known].mean())
    # Chance is known without being estimated, and a stretch with fewer requests has more of it.
    variance = max(spread, usual_chance) * (1 + 1 / own.sum()) + max(noise - usual_chance, 0.0)
    usual = float(before[own].mean())
    p_value = 2 * float(stdtr(freedom, -abs(now - usual) / math.sqrt(variance)))
    return usual, 1.0 if math.isnan(p_value) else p_value


_NAMES = ("requests", *_COMPARED, "failed", "refused")


def _figures(hours: ServiceHours, first: int, span: int) -> "tuple[Array, Array]":
    """Return the figures of some hours together, and their variances by chance; NaN if half of it is unknown.

    Differences mean the same at any level: of logarithms, and of arcsines of roots of shares.
    """
    import numpy as np

    inside = slice(first, first + span)
    known = np.isfinite(hours.answered[inside])
    if 2 * known.sum() < span:
        return np.full(len(_NAMES), np.nan), np.full(len(_NAMES), np.nan)
    answered, failed, refused = (
        float(each[inside][known].sum()) for each in (hours.answered, hours.failed, hours.refused)
    )
    every, valid = answered + failed + refused, answered + failed
    found = [(math.log((every + 0.5) / known.sum()), 1 / (every + 0.5))]
    for name in _COMPARED:
        quantiles, errors = hours.latency_ms[name][inside], hours.latency_error[name][inside]
        told = np.isfinite(quantiles) & np.isfinite(errors) & (quantiles > 0)
        count = max(int(told.sum()), 1)
        mean = float(np.log(quantiles[told]).mean()) if 2 * count >= known.sum() and told.any() else math.nan
        found.append((mean, max(float((errors[told] ** 2).sum()) / count**2, 1e-6)))
    for part, whole in ((failed, valid), (refused, every)):
        share = 2 * math.asin(math.sqrt((part + 0.375) / (whole + 0.75)))
        found.append((share if whole else math.nan, 1 / max(whole, 1.0)))
    figures, variances = zip(*found, strict=True)
    return np.array(figures), np.array(variances)


def _change(name: str, now: float, usual: float, p_value: float, alpha: float) -> ServiceChange:
    if name in ("failed", "refused"):
        was, became = (math.sin(min(max(each, 0.0), math.pi) / 2) ** 2 for each in (usual, now))
        by, told = became - was, f"{became:.2%} of requests {name}, usually {was:.2%}"
        large = by >= LEAST[name]
    elif name == "requests":
        was, became = math.exp(usual), math.exp(now)
        by, told = became / was - 1, f"{became:,.0f} requests an hour, usually {was:,.0f}"
        large = by <= -LEAST[name]
    else:
        was, became = math.exp(usual), math.exp(now)
        by, told = became / was - 1, f"latency {name} {became:.3g} ms, usually {was:.3g} ms"
        large = by >= LEAST[name]
    return ServiceChange(name, became, was, p_value, large and p_value <= alpha, told)
