"""Window after window: a hundred columns, of which five are shifted by a twentieth of a deviation."""

from collections.abc import Sequence

import numpy as np

from mlops_assets.monitoring.profiles.profile import Profile
from mlops_assets.monitoring.windows import LENGTH
from trials.columns import hundred, shifted
from trials.judges import Judge, against, evidently, ours, psi, tests
from trials.streams import FIRST, Windows
from trials.workers import spread, trials

_ROWS = 1000
_HISTORY, _NULLS, _SHIFTED = 60, 40, 30
_SHIFT = 0.05
_MOVED = (0, 1, 2, 3, 4)
_ENOUGH = 4
_ALPHA = 0.002
_STREAMS = 40

_JUDGES: dict[str, Judge] = {
    f"ours, alpha {_ALPHA}": ours("day", alpha=_ALPHA),
    "ours, alpha .01": ours("day", alpha=0.01),
    "Evidently's defaults": against(evidently),
    "PSI > .2": against(psi),
    "KS, chi2 + BH": against(tests),
}


def report(scale: float) -> None:
    """Print the table."""
    count = trials(_STREAMS, scale)
    print(
        f"\nWindow after window: 100 columns of {_ROWS:,} rows, {_HISTORY} windows of history, {_NULLS} in\n"
        f"which nothing is wrong, then 5 normal columns + {_SHIFT} sd; {count} streams.\n"
        "Aims: at most .2 % of null windows with any alarm; 4 of 5 columns named within 7 windows.\n\n"
        f"{'judge':22} {'null windows with any':>22} {'windows to 4 of 5':>22}"
    )
    found = spread(_trial, [(seed,) for seed in range(count)])
    for number, name in enumerate(_JUDGES):
        nulls, delays = zip(*[each[number] for each in found], strict=True)
        error = 200 * np.std(nulls, ddof=1) / len(nulls) ** 0.5
        never = sum(each > _SHIFTED for each in delays)
        after = f"{np.median(delays):.0f}" if never < len(delays) / 2 else f"> {_SHIFTED}"
        beside = f" ({never} never)" if never else ""
        print(f"{name:22} {100 * np.mean(nulls):14.2f} ± {error:.2f} % {after + beside:>21}", flush=True)


def _trial(seed: int) -> list[tuple[float, int]]:
    """Return for each judge the share of null windows with an alarm, and when 4 of 5 columns were named."""
    generator = np.random.default_rng([seed, 77])
    whole = _HISTORY + _NULLS + _SHIFTED
    windows: Windows = [
        (FIRST + number * LENGTH["day"], _profile(generator, number >= _HISTORY + _NULLS))
        for number in range(whole)
    ]
    found = []
    for judge in _JUDGES.values():
        watch = judge(windows[:_HISTORY])
        found.append(_scores([watch(windows[:end]) for end in range(_HISTORY + 1, whole + 1)]))
    return found


def _scores(named: Sequence[frozenset[str]]) -> tuple[float, int]:
    nulls, after = named[:_NULLS], named[_NULLS:]
    true = {_name(number) for number in _MOVED}
    known: set[str] = set()
    for number, columns in enumerate(after, start=1):
        known |= columns & true
        if len(known) >= _ENOUGH:
            return float(np.mean([bool(each) for each in nulls])), number
    return float(np.mean([bool(each) for each in nulls])), _SHIFTED + 1


def _profile(generator: np.random.Generator, wrong: bool) -> Profile:
    return Profile(
        {
            _name(number): kind.profile(
                shifted(kind, generator.standard_normal(_ROWS), _SHIFT if wrong and number in _MOVED else 0.0)
            )
            for number, kind in enumerate(hundred())
        }
    )


def _name(number: int) -> str:
    return f"{number:02} {hundred()[number].name}"
