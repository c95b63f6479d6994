"""One window at a time: a hundred columns, of which five are shifted by a twentieth of a deviation."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from mlops_assets.monitoring.profiles.profile import Profile
from mlops_assets.monitoring.windows import LENGTH
from trials.columns import hundred, shifted
from trials.judges import Judge, against, combination, evidently, ours, psi, tests
from trials.streams import FIRST, Windows
from trials.workers import spread, trials

_HISTORY = 30
_SHIFT = 0.05


@dataclass(frozen=True)
class Size:
    """How much is tried with so many rows.

    Attributes:
        histories: How many histories are drawn.
        nulls: How many windows after each in which nothing is wrong.
        shifted: How many in which five columns are shifted.
    """

    histories: int
    nulls: int
    shifted: int


_SIZES = {1_000: Size(24, 40, 12), 10_000: Size(12, 30, 8), 100_000: Size(4, 6, 2)}
# More distinct values tell the judges no more, and take gigabytes.
_CELLS = 4096
# The first five are normal; the others are of nine kinds (see trials.columns).
_MOVED = {"normal": (0, 1, 2, 3, 4), "mixed": (0, 26, 38, 50, 90)}

_JUDGES: dict[str, Judge] = {
    "ours": ours("day", alpha=0.05),
    "Evidently's defaults": against(evidently),
    "PSI > .2": against(psi),
    "KS, chi2 + BH": against(tests),
    "combination + BH": against(combination),
}


def report(scale: float) -> None:
    """Print the table."""
    print(
        f"\nOne window at a time: 100 columns, {_HISTORY} windows of history, 5 columns + {_SHIFT} sd,\n"
        "alpha .05. Peers hold a window against the last 14 of the history. Aims: at most .06 false\n"
        "columns in a null window; recall of normal columns at least .85 of 10,000 rows, 1.0 of 100,000.\n\n"
        f"{'rows':>7} {'judge':22} {'false, null':>15} {'recall, normal':>14} {'recall, mixed':>13} "
        f"{'false beside':>12}"
    )
    for rows, size in _SIZES.items():
        found = spread(_trial, [(rows, seed) for seed in range(trials(size.histories, scale))])
        for number, name in enumerate(_JUDGES):
            figures = np.array([each[number] for each in found])
            mean, error = figures.mean(axis=0), 2 * figures.std(axis=0, ddof=1) / len(figures) ** 0.5
            print(
                f"{rows:7,} {name:22} {mean[0]:7.3f} ± {error[0]:.3f} {mean[1]:7.2f} ± {error[1]:.2f} "
                f"{mean[2]:6.2f} ± {error[2]:.2f} {mean[3]:12.3f}",
                flush=True,
            )


def _trial(rows: int, seed: int) -> list[list[float]]:
    """Return for each judge false columns a null window, recall of normal and mixed, false ones beside."""
    generator, size = np.random.default_rng([rows, seed]), _SIZES[rows]
    days = (FIRST + number * LENGTH["day"] for number in count())

    def windows(number: int, moved: Sequence[int] = ()) -> Windows:
        return [(next(days), _profile(generator, rows, moved)) for _ in range(number)]

    history, nulls = windows(_HISTORY), windows(size.nulls)
    shifted_ones = {moved: windows(size.shifted, moved) for moved in _MOVED.values()}
    found = []
    for judge in _JUDGES.values():
        watch = judge(history)
        figures = [np.mean([len(watch([window])) for window in nulls])]
        beside = []
        for moved, shifted_windows in shifted_ones.items():
            true = {_name(number) for number in moved}
            named = [watch([window]) for window in shifted_windows]
            figures.append(np.mean([len(columns & true) / len(true) for columns in named]))
            beside += [len(columns - true) for columns in named]
        found.append([*map(float, figures), float(np.mean(beside))])
    return found


def _profile(generator: np.random.Generator, rows: int, moved: Sequence[int]) -> Profile:
    return Profile(
        {
            _name(number): kind.profile(
                shifted(kind, generator.standard_normal(rows), _SHIFT if number in moved else 0.0)
            )
            for number, kind in enumerate(hundred())
        }
    ).at_most(_CELLS)


def _name(number: int) -> str:
    return f"{number:02} {hundred()[number].name}"
