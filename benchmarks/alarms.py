"""What the alarms promise, measured beside what else is in use.

python benchmarks/alarms.py [windows] [sequence] [streams] [real] [--scale SHARE]
"""

import argparse
import time

from trials import one_window


def main() -> None:
    sections = {"windows": one_window.report}
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("section", nargs="*", choices=[*sections, []], help="all if none is given")
    parser.add_argument("--scale", type=float, default=1.0, help="of the whole number of trials")
    asked = parser.parse_args()
    for name in asked.section or sections:
        started = time.perf_counter()
        sections[name](asked.scale)
        print(f"({name}: {time.perf_counter() - started:.0f} s)")


if __name__ == "__main__":
    main()
