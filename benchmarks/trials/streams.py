"""Streams of windows: how days differ while nothing is wrong, and what may go wrong."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np

from mlops_assets.monitoring.profiles.profile import Profile
from mlops_assets.monitoring.windows import LENGTH, Period
from trials.columns import Kind, kinds, texts, twenty, zipf

Array = np.ndarray[Any, Any]
Windows = list[tuple[datetime, Profile]]

FIRST = datetime(2026, 1, 5)  # a Monday
QUARTER_DAYS = 91


@dataclass(frozen=True)
class Stream:
    """How the windows of a stream are drawn.

    Attributes:
        name: What it is called.
        history: How many windows of it are known to be stable.
        later: How many follow.
        period: Length of a window.
        columns: Their kinds.
        rows: Mean number of rows of each window; a function of the generator and the number of windows.
        level: What the windows' normal numbers are shifted by; shape (windows, columns).
        spread: What these are multiplied by.
    """

    name: str
    history: int = 60
    later: int = QUARTER_DAYS
    period: Period = "day"
    columns: Sequence[Kind] = field(default_factory=twenty)
    rows: Callable[[np.random.Generator, int], Array] = lambda _, windows: np.full(windows, 1000)
    level: Callable[[np.random.Generator, int, int], Array] = lambda _, windows, columns: np.zeros(
        (windows, columns)
    )
    spread: Callable[[np.random.Generator, int, int], Array] = lambda _, windows, columns: np.ones(
        (windows, columns)
    )


@dataclass(frozen=True)
class Shift:
    """What goes wrong.

    Attributes:
        name: What it is called.
        columns: Numbers of the columns that it happens to.
        values: The values of a window that it has happened to.
    """

    name: str
    columns: tuple[int, ...]
    values: Callable[[np.random.Generator, Kind, Array, int], Array]


def drawn(stream: Stream, seed: Sequence[int], shift: Shift | None = None, begins: int = 30) -> Windows:
    """Return the windows of a stream, those of its history first.

    Args:
        stream: How they are drawn.
        seed: Of the generator.
        shift: What goes wrong with it.
        begins: In which window after the history.
    """
    generator = np.random.default_rng(seed)
    windows, columns = stream.history + stream.later, len(stream.columns)
    rows = np.maximum(generator.poisson(stream.rows(generator, windows)), 1)
    level = stream.level(generator, windows, columns)
    spread = stream.spread(generator, windows, columns)
    names = [f"{number:02} {kind.name}" for number, kind in enumerate(stream.columns)]
    found = []
    for window in range(windows):
        since = window - stream.history - begins
        profiles = {}
        for number, kind in enumerate(stream.columns):
            normal = generator.standard_normal(rows[window]) * spread[window, number] + level[window, number]
            if shift and since >= 0 and number in shift.columns:
                values = shift.values(generator, kind, normal, since)
            else:
                values = kind.of(normal)
            profiles[names[number]] = kind.profile(values)
        found.append((FIRST + window * LENGTH[stream.period], Profile(profiles)))
    return found


def autoregression(
    generator: np.random.Generator, windows: int, columns: int, correlation: float, deviation: float
) -> Array:
    """Return stationary first-order autoregressions of such a standard deviation."""
    fresh = generator.standard_normal((windows, columns))
    fresh[1:] *= np.sqrt(1 - correlation**2)
    for window in range(1, windows):
        fresh[window] += correlation * fresh[window - 1]
    return fresh * deviation


def _days(correlation: float, deviation: float, share: float = 1.0) -> Callable[..., Array]:
    def level(generator: np.random.Generator, windows: int, columns: int) -> Array:
        found = autoregression(generator, windows, columns, correlation, deviation)
        return found * (generator.permutation(columns) < share * columns)

    return level


def _common(correlation: float, deviation: float) -> Callable[..., Array]:
    def level(generator: np.random.Generator, windows: int, columns: int) -> Array:
        factor = autoregression(generator, windows, 1, correlation, deviation)
        return factor * generator.normal(size=columns)

    return level


def _sum(*levels: Callable[..., Array]) -> Callable[..., Array]:
    return lambda *arguments: np.sum([level(*arguments) for level in levels], axis=0)


def _week(deviation: float) -> Callable[..., Array]:
    def level(generator: np.random.Generator, windows: int, columns: int) -> Array:
        pattern = generator.normal(0, deviation, (7, columns))
        return pattern[np.arange(windows) % 7]

    return level


def _year(amplitude: float) -> Callable[..., Array]:
    def level(generator: np.random.Generator, windows: int, columns: int) -> Array:
        begins = generator.uniform(0, 2 * np.pi, columns)
        return amplitude * np.sin(2 * np.pi * np.arange(windows)[:, None] / 365.25 + begins)

    return level


def _heavy_days(degrees: float, deviation: float) -> Callable[..., Array]:
    def level(generator: np.random.Generator, windows: int, columns: int) -> Array:
        drawn = generator.standard_t(degrees, (windows, columns))
        return drawn * deviation / (degrees / (degrees - 2)) ** 0.5

    return level


def _holidays(share: float, deviation: float) -> Callable[..., Array]:
    def level(generator: np.random.Generator, windows: int, columns: int) -> Array:
        then = generator.random(windows) < share
        concerned = generator.permutation(columns) < columns / 3
        return then[:, None] * generator.normal(0, deviation, columns) * concerned

    return level


def _volatility(generator: np.random.Generator, windows: int, columns: int) -> Array:
    return np.exp(autoregression(generator, windows, columns, 0.5, 0.1))


def _busy_and_idle(generator: np.random.Generator, windows: int) -> Array:
    weekend = np.arange(windows) % 7 >= 5
    return np.where(weekend, 100, np.exp(generator.uniform(np.log(100), np.log(5000), windows)))


def _growing(_: np.random.Generator, windows: int) -> Array:
    return np.geomspace(300, 3000, windows)


def _hours(_: np.random.Generator, windows: int) -> Array:
    return 1000 / 24 * (1 + 0.6 * np.sin(2 * np.pi * np.arange(windows) / 24))


def _by_the_hour(correlation: float, deviation: float) -> Callable[..., Array]:
    def level(generator: np.random.Generator, windows: int, columns: int) -> Array:
        return np.repeat(
            autoregression(generator, windows // 24 + 1, columns, correlation, deviation), 24, axis=0
        )[:windows]

    return level


def _rare() -> tuple[Kind, ...]:
    geometric = [texts(0.5 ** np.arange(count), f"{count} halving texts") for count in (4, 8, 12, 16)]
    return (*geometric, *(zipf(count, 1.5) for count in (10, 30, 100, 300))) * 2


def _heavy() -> tuple[Kind, ...]:
    return tuple(kinds()[name] for name in ("cauchy", "lognormal 2") * 10)


def nulls() -> Iterator[Stream]:
    """Yield streams in which nothing is wrong."""
    iid = Stream("independent rows")
    yield iid
    yield replace(iid, name="independent rows, 5,000 a day", rows=lambda _, windows: np.full(windows, 5000))
    yield replace(iid, name="independent rows, 365 days", history=365)
    for correlation, deviation, share in (
        (0.5, 0.05, 1.0),
        (0.5, 0.3, 1.0),
        (0.7, 0.1, 0.5),
        (0.7, 0.2, 1.0),
        (0.9, 0.1, 1.0),
        (0.9, 0.1, 0.5),
        (0.9, 0.3, 1.0),
    ):
        of = "" if share == 1 else ", half the columns"
        name = f"days: AR {correlation}, {deviation} sd{of}"
        yield replace(iid, name=name, level=_days(correlation, deviation, share))
    slow = _days(0.9, 0.1)
    yield replace(iid, name="days: AR 0.9, 0.1 sd, 365 days", history=365, level=slow)
    yield replace(iid, name="days: AR 0.95, 0.1 sd", level=_days(0.95, 0.1))
    yield replace(iid, name="days: one factor, AR 0.7, 0.2 sd", level=_common(0.7, 0.2))
    fast_and_slow = _sum(_days(0.2, 0.1), _days(0.97, 0.1))
    yield replace(iid, name="days: AR 0.2 and AR 0.97, 0.1 sd", level=fast_and_slow)
    yield replace(iid, name="days: AR 0.2 and AR 0.97, 365 days", history=365, level=fast_and_slow)
    yield replace(iid, name="week, 0.2 sd", level=_week(0.2))
    yield replace(iid, name="week, and AR 0.6, 0.1 sd", level=_sum(_week(0.2), _days(0.6, 0.1)))
    yield replace(
        iid, name="year, 0.3 sd, and AR 0.5, 365 days", history=365, level=_sum(_year(0.3), _days(0.5, 0.1))
    )
    yield replace(iid, name="heavy tails and volatility", columns=_heavy(), spread=_volatility)
    yield replace(iid, name="days: Student's t of 3 degrees, 0.1 sd", level=_heavy_days(3, 0.1))
    yield replace(iid, name="days: holidays, 0.5 sd in a third", level=_holidays(0.04, 0.5))
    yield replace(iid, name="100 to 5,000 rows, idle weekends", rows=_busy_and_idle)
    yield replace(
        iid, name="100 to 5,000 rows, and AR 0.7, 0.1 sd", rows=_busy_and_idle, level=_days(0.7, 0.1)
    )
    yield replace(iid, name="rows rise tenfold", rows=_growing)
    yield replace(iid, name="40 rows a day", rows=lambda _, windows: np.full(windows, 40))
    yield replace(iid, name="rare texts", columns=_rare())
    yield replace(iid, name="rare texts, and AR 0.7, 0.1 sd", columns=_rare(), level=_days(0.7, 0.1))


def hourly() -> Iterator[Stream]:
    """Yield streams of hours in which nothing is wrong, with as many rows a day as those of days."""
    some = twenty()[::2]
    hours = Stream("hours: independent rows", 28 * 24, 28 * 24, "hour", some, rows=_hours)
    yield hours
    yield replace(hours, name="hours: AR 0.7 by the day, 0.1 sd", level=_by_the_hour(0.7, 0.1))
    yield replace(hours, name="hours: AR 0.9 by the hour, 0.1 sd", level=_days(0.9, 0.1))


def shifts() -> Iterator[Shift]:
    """Yield what goes wrong."""
    five = (0, 3, 6, 9, 17)  # normal, t4, zero-inflated, lognormal, eight texts

    def mean(deviations: float) -> Callable[..., Array]:
        return lambda _, kind, normal, since: shifted_by(kind, normal, deviations)

    yield Shift("mean + 0.1 sd in 5 columns", five, mean(0.1))
    yield Shift("mean + 0.3 sd in 5 columns", five, mean(0.3))
    yield Shift("variance x 1.5 in one", (0,), lambda _, kind, normal, since: kind.of(normal * 1.5**0.5))
    yield Shift("one text's share + 6 points", (17,), _more_of_one)
    yield Shift("a tenth of the rows + 1 sd in one", (8,), _some_rows)
    yield Shift("another unit (x 2.54) in one", (10,), lambda _, kind, normal, since: 2.54 * kind.of(normal))
    yield Shift("5 % missing in one", (0,), _missing)
    yield Shift("20 % stuck at one value in one", (0,), _stuck)
    yield Shift(
        "slow: 0.3 sd within 60 days in 5",
        five,
        lambda _, kind, normal, since: shifted_by(kind, normal, 0.3 * min(since / 60, 1)),
    )


def shifted_by(kind: Kind, normal: Array, deviations: float) -> Array:
    from trials.columns import shifted

    return shifted(kind, normal, deviations)


def _more_of_one(generator: np.random.Generator, kind: Kind, normal: Array, _: int) -> Array:
    values = kind.of(normal)
    # Each row becomes the third text with such a probability that its share is greater by .06.
    share = float((values == 2).mean())
    values[generator.random(len(values)) < 0.06 / max(1 - share, 0.5)] = 2
    return values


def _some_rows(generator: np.random.Generator, kind: Kind, normal: Array, _: int) -> Array:
    return kind.of(normal + (generator.random(len(normal)) < 0.1))


def _missing(generator: np.random.Generator, kind: Kind, normal: Array, _: int) -> Array:
    return np.where(generator.random(len(normal)) < 0.05, np.nan, kind.of(normal))


def _stuck(generator: np.random.Generator, kind: Kind, normal: Array, _: int) -> Array:
    return np.where(generator.random(len(normal)) < 0.2, kind.of(np.array([0.3]))[0], kind.of(normal))
