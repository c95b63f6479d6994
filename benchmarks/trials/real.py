"""Real rows: weeks put in an order by lot, so that nothing can be wrong; weeks as they were; a control."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from real_series import negative_control, series
from series.shape import Series

from mlops_assets.monitoring.profiles.column import profiled
from mlops_assets.monitoring.profiles.profile import Profile
from trials.judges import Judge, against, evidently, ours, psi, tests
from trials.scores import alarms, with_error
from trials.streams import FIRST, Windows
from trials.workers import spread, trials

if TYPE_CHECKING:
    import pandas as pd

Array = np.ndarray[Any, Any]

_SERIES = (
    "bikes/washington", "traffic/minneapolis", "air/beijing", "flights/UA/EWR", "flights/B6/JFK",
    "flights/EV/LGA", "flights/DL/LGA",
)  # fmt: skip
_HISTORY, _LATER = 9, 13
_FEWEST_ROWS, _MOST_ROWS = 20, 2000
# So many days of a week have to be there.
_FEWEST_DAYS = 6
_ORDERS, _DEALT = 12, 12
_APART = 7
# What tells the season by its value moves with it.
_CALENDAR = frozenset({"month", "season", "year", "week", "day"})

_PEERS: dict[str, Judge] = {
    "Evidently": against(evidently),
    "PSI > .2": against(psi),
    "KS+BH": against(tests),
}


def report(scale: float) -> None:
    """Print the table."""
    count = trials(_ORDERS, scale)
    print(
        f"\nReal rows: windows with an alarm in {_LATER} weeks of days, after {_HISTORY} weeks of history.\n"
        f"By lot: weeks of the series in an order by lot, where any alarm is false ({count} orders).\n"
        "As they were: seasons change, and nobody knows what is false.\n"
        "Employment: people of 2015, then of 2018, dealt to days by lot; alarms from such an effect on.\n\n"
        f"{'series':19} {'weeks':13} {'quarters':>8} {'ours':>14} {'new ones':>14} "
        + " ".join(f"{name:>9}" for name in _PEERS)
    )
    by_lot = []
    for name in _SERIES:
        weeks = _weeks(_days(next(series([name]))))
        if len(weeks) < _HISTORY + _LATER:
            continue
        lots = [np.random.default_rng(seed).permutation(len(weeks)) for seed in range(count)]
        found = spread(_quarter, [(_in_order(weeks, lot[: _HISTORY + _LATER]),) for lot in lots])
        by_lot += found
        _print(name, "by lot", found)
        whole = range(0, len(weeks) - _HISTORY - _LATER + 1, _LATER)
        as_was = [(_in_order(weeks, np.arange(at, at + _HISTORY + _LATER)),) for at in whole][:count]
        _print("", "as they were", spread(_quarter, as_was))
    _print("all", "by lot", by_lot)
    deals = range(trials(_DEALT, scale))
    for least_effect in (0.0, 0.1):
        found = spread(_control, [(seed, least_effect) for seed in deals])
        _print("employment", f"least {least_effect} sd", found)


def _print(name: str, weeks: str, found: list[list[int]]) -> None:
    counts = np.array(found, dtype=float)
    others = " ".join(f"{each:9.1f}" for each in counts[:, 1:-1].mean(axis=0))
    print(
        f"{name:19} {weeks:13} {len(counts):8} {with_error(counts[:, 0]):>14} "
        f"{with_error(counts[:, -1]):>14} {others}",
        flush=True,
    )


def _quarter(days: Windows, least_effect: float = 0.0) -> list[int]:
    """Return for each judge how many windows had an alarm, and how many alarms of ours were new."""
    first = FIRST + timedelta(days=7 * _HISTORY)
    history = [each for each in days if each[0] < first]
    named = []
    for judge in (ours("day", least_effect=least_effect), *_PEERS.values()):
        watch = judge(history)
        named.append([watch(days[:end]) for end in range(len(history) + 1, len(days) + 1)])
    return [*(sum(map(bool, each)) for each in named), alarms(named[0], _APART)]


def _control(seed: int, least_effect: float) -> list[int]:
    """Return the same of people asked in 2015, dealt by lot to days, and then of those asked in 2018."""
    one, generator = negative_control(), np.random.default_rng(seed)
    years = [rows for _, rows in one.windows()]
    days: list[Profile] = []
    for rows, count in ((years[0], 7 * _HISTORY), (years[-1], 7 * _LATER)):
        day = generator.integers(0, count, len(rows))
        days += [_profile(one, rows[day == number]) for number in range(count)]
    dated = [(FIRST + timedelta(days=number), each) for number, each in enumerate(days)]
    return _quarter(dated, least_effect)


def _days(one: Series) -> dict[datetime, Profile]:
    dates = one.frame[one.time_column].dt.floor("D")
    return {
        date.to_pydatetime(): _profile(one, rows)
        for date, rows in one.frame.groupby(dates, sort=True)
        if len(rows) >= _FEWEST_ROWS
    }


def _weeks(days: dict[datetime, Profile]) -> list[list[Profile | None]]:
    """Return the days of weeks from Monday on, without those that lack more than a day."""
    monday, found = min(days), []
    monday += timedelta(days=-monday.weekday() % 7)
    while monday + timedelta(days=7) <= max(days):
        week = [days.get(monday + timedelta(days=day)) for day in range(7)]
        if sum(day is not None for day in week) >= _FEWEST_DAYS:
            found.append(week)
        monday += timedelta(days=7)
    return found


def _in_order(weeks: list[list[Profile | None]], order: Array) -> Windows:
    days = [day for number in order for day in weeks[number]]
    return [(FIRST + timedelta(days=number), day) for number, day in enumerate(days) if day is not None]


def _profile(one: Series, rows: "pd.DataFrame") -> Profile:
    import pyarrow as pa

    some = rows.iloc[:: -(-len(rows) // _MOST_ROWS)]
    return Profile(
        {
            name: profiled(
                pa.array(some[name], from_pandas=True), "string" if name in one.categorical else "number"
            )
            for name in one.features
            if name not in _CALENDAR
        }
    )
