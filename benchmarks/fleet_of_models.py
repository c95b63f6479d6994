"""What hundreds of models in one gateway take, all of them in memory or only some.

    python benchmarks/fleet_of_models.py [MODELS [BOUND]]

Small models of numbers, as in benchmarks/gateway_start.py; 300 of them, and a bound of 30, unless told
otherwise. Memory is what the process takes for itself (PSS) after each model has answered once. A gateway of
one model stands beside it, so that what a further model takes can be told apart from what a gateway takes.
"""

import sys
import tempfile
from pathlib import Path

from gateway_start import Start, make_fleet, start_gateway, told


def main() -> None:
    """Measure and print."""
    models, bound = (int(given) for given in (*sys.argv[1:3], *["300", "30"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        one, many = Path(folder) / "one", Path(folder) / "many"
        make_fleet(one, 1)
        make_fleet(many, models)
        for root, number in ((one, 1), (many, models)):
            start_gateway(root, number)  # so that all others go on from what was kept
        single = told("1 model", [start_gateway(one, 1)])
        every = told(f"{models} models", [start_gateway(many, models)])
        bounded = told(f"{models} models, {bound} in memory", [_bounded(many, models, bound)])
    for name, start in (("all in memory", every), ("with the bound", bounded)):
        print(f"a further model takes {1000 * (start.memory - single.memory) / (models - 1):,.0f} kB, {name}")


def _bounded(root: Path, models: int, bound: int) -> Start:
    return start_gateway(root, models, "--most-models", str(bound))


if __name__ == "__main__":
    main()
