"""What a budget buys: the least shift that a day, a week and four weeks show."""

from dataclasses import replace

import numpy as np

from mlops_assets.monitoring.alarms.baseline import Baseline, Figures
from mlops_assets.monitoring.alarms.decision import alpha_of, movements
from trials.streams import Shift, Stream, drawn, shifted_by
from trials.workers import spread, trials

_HISTORIES = 6
_HISTORY, _LATER = 60, 28
_SPANS = {"a day": 1, "a week": 7, "four weeks": 28}
_BUDGETS = ((4, 1), (1, 1), (1, 20), (1, 200))
_SHIFTS = {
    1_000: (0.02, 0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.14, 0.16, 0.18, 0.2, 0.25, 0.3),
    10_000: (0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.1, 0.12),
}
_MOVED = (0, 8)  # both normal
_MOSTLY = 0.8


def report(scale: float) -> None:
    """Print the table."""
    count = trials(_HISTORIES, scale)
    print(
        f"\nThe least of some shifts that is named in {_MOSTLY:.0%} of windows, of two normal columns\n"
        f"of twenty, by how many windows show it: {count} histories of {_HISTORY} days, independent rows.\n\n"
        f"{'rows':>7} {'a quarter':>9} {'models':>7} " + " ".join(f"{name:>10}" for name in _SPANS)
    )
    for rows, sizes in _SHIFTS.items():
        found = np.mean(spread(_named, [(rows, seed) for seed in range(count)]), axis=0)
        for number, (budget, models) in enumerate(_BUDGETS):
            least = [
                next((f"{by} sd" for by, share in zip(sizes, each, strict=True) if share >= _MOSTLY), "-")
                for each in found[:, number].T
            ]
            print(f"{rows:7,} {budget:9} {models:7} " + " ".join(f"{each:>10}" for each in least), flush=True)


def _named(rows: int, seed: int) -> list[list[list[float]]]:
    """Return the share of looks that name the columns; by shift, budget, span."""
    stream = Stream("", history=_HISTORY, later=0, rows=lambda _, windows: np.full(windows, rows))
    baseline = Baseline.of("day", drawn(stream, [seed, rows]))
    later = replace(stream, history=0, later=_LATER)
    found = []
    for number, by in enumerate(_SHIFTS[rows]):
        shift = Shift("", _MOVED, lambda _, kind, normal, __, by=by: shifted_by(kind, normal, by))
        windows = drawn(later, [seed, rows, number + 1], shift, begins=0)
        figures = [baseline.figures(*window) for window in windows]
        looks = [
            [_share(baseline, figures, span, alpha_of(budget, "day", models)) for span in _SPANS.values()]
            for budget, models in _BUDGETS
        ]
        found.append(looks)
    return found


def _share(baseline: Baseline, figures: list[Figures], span: int, alpha: float) -> float:
    """Return in which share of looks at so many windows the columns are named."""
    said = [
        movement.alarm
        for end in range(span, _LATER + 1, span)
        for movement in movements(baseline, "day", figures[end - span : end], alpha, least_effect=0.0)
        if int(movement.column[:2]) in _MOVED
    ]
    return float(np.mean(said))
