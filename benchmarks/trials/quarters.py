"""Streams of a quarter: false alarms while nothing is wrong, and what goes wrong found, and when."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mlops_assets.monitoring.alarms.decision import QUARTER
from mlops_assets.monitoring.windows import LENGTH
from trials.judges import Judge, against, combination, evidently, ours, psi, tests
from trials.scores import alarms, poisson, with_error
from trials.streams import Shift, Stream, Windows, drawn, hourly, nulls, shifts
from trials.workers import spread, trials

_STREAMS, _SHIFTED = 16, 10
# The rates of peers are far apart and need no more streams to be told.
_OF_PEERS = 4
# A column that is named again within a week is the same alarm.
_APART = {"day": 7, "hour": 168}
_BEGINS, _AFTER = 14, 46
# Streams that things go wrong in.
_CALM = ("independent rows", "days: AR 0.7, 0.1 sd, half the columns", "days: AR 0.7, 0.2 sd")
_BUDGET = 1.0


def _judges(stream: Stream) -> dict[str, Judge]:
    return {
        "ours": ours(stream.period, budget=_BUDGET),
        "Evidently": against(evidently),
        "PSI > .2": against(psi),
        "KS+BH": against(tests),
        "comb.+BH": against(combination),
    }


def report(scale: float) -> None:
    """Print the table of stable streams."""
    count = trials(_STREAMS, scale)
    print(
        "\nFalse alarms a model-quarter: windows with any alarm, ± two standard errors. Last, with their\n"
        "95 % interval, alarms of ours that are new: no column was named in the week before.\n"
        f"{count} streams each, of 20 columns (hours: 10) and a history of 60 days (hours: 28) if not said\n"
        f"otherwise. Ours have a budget of {_BUDGET:.0f}; peers hold a window against the last 14 of it\n"
        f"(the first {_OF_PEERS} streams).\n\n"
        f"{'stream':42} {'ours':>13} {'Evidently':>9} {'PSI > .2':>8} {'KS+BH':>8} {'comb.+BH':>8}  new"
    )
    every = []
    for number, stream in enumerate([*nulls(), *hourly()]):
        found = spread(_quarter, [(number, seed) for seed in range(count)])
        every += found
        _print(stream.name, found)
    _print("all", every)


def _print(name: str, found: list[list[float]]) -> None:
    counts = np.array(found)
    others = " ".join(f"{each:8.1f}" for each in np.nanmean(counts[:, 1:-1], axis=0))
    mean, low, high = poisson(counts[:, -1])
    print(
        f"{name:42} {with_error(counts[:, 0]):>13}  {others}  {mean:.2f} [{low:.2f}, {high:.2f}]", flush=True
    )


def _quarter(number: int, seed: int) -> list[float]:
    """Return for each judge the windows of a quarter with an alarm, and for ours how many are new."""
    stream = [*nulls(), *hourly()][number]
    windows = drawn(stream, [seed, number])
    judges = list(_judges(stream).values())
    asked = judges if seed < _OF_PEERS else judges[:1]
    named = [_named(judge, stream, windows) for judge in asked]
    quarters = stream.later * LENGTH[stream.period] / QUARTER
    counts = [float(sum(bool(columns) for columns in each)) for each in named]
    counts += [np.nan] * (len(judges) - len(asked))
    return [each / quarters for each in (*counts, alarms(named[0], _APART[stream.period]))]


def _named(judge: Judge, stream: Stream, windows: Windows) -> list[frozenset[str]]:
    watch = judge(windows[: stream.history])
    return [watch(windows[:end]) for end in range(stream.history + 1, len(windows) + 1)]


def report_shifts(scale: float) -> None:
    """Print the table of planted faults."""
    count = trials(_SHIFTED, scale)
    print(
        f"\nPlanted after {_BEGINS} days, {_AFTER} days long, {count} streams each: share of the columns\n"
        "that are named at all, and after how many days the first is (median; - where mostly none is).\n"
    )
    names = [*_judges(Stream(""))]
    print(f"{'stream':15} {'what goes wrong':38} " + " ".join(f"{name:>13}" for name in names))
    every = list(shifts())
    for base in _CALM:
        label = base.removeprefix("days: ").removesuffix(" the columns").replace("independent rows", "iid")
        for number, shift in enumerate(every):
            some = np.array(spread(_shifted, [(base, number, seed) for seed in range(count)]))
            told = zip(some[:, :, 0].mean(axis=0), np.median(some[:, :, 1], axis=0), strict=True)
            delays = [
                f"{share:4.2f} {f'{delay:.0f} d' if delay <= _AFTER else '-':>6}" for share, delay in told
            ]
            print(
                f"{label[:15]:15} {shift.name:38} " + " ".join(f"{each:>13}" for each in delays), flush=True
            )


def _shifted(base: str, number: int, seed: int) -> list[tuple[float, float]]:
    """Return for each judge the share of wrong columns that it names, and when it names the first."""
    stream = replace(next(each for each in nulls() if each.name == base), later=_BEGINS + _AFTER)
    shift = list(shifts())[number]
    windows = drawn(stream, [seed, number, 1], shift, _BEGINS)
    return [_found(_named(judge, stream, windows)[_BEGINS:], shift) for judge in _judges(stream).values()]


def _found(named: Sequence[frozenset[str]], shift: Shift) -> tuple[float, float]:
    wrong = [f"{number:02} " for number in shift.columns]
    delays = [
        next(
            (after for after, columns in enumerate(named) if any(c.startswith(w) for c in columns)),
            _AFTER + 1,
        )
        for w in wrong
    ]
    return float(np.mean([delay <= _AFTER for delay in delays])), float(min(delays))
