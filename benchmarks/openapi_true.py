"""How much schemathesis finds that is not as the gateway's description, or the protocol's, says.

    python benchmarks/openapi_true.py [--cases N] [--examples N] [--seed N] [--report FILE]

A gateway process with five models (two classes with inputs of every type; the same with refused values,
treated columns and an entity; three classes; two regressions) is tried with every check there is, until N
requests were made each against its own description, against the Open Inference Protocol as the mlserver wheel
describes it, and against its own once more with an API key that opens one model. Exits with 1 if anything was
found; what it was is in the report.
"""

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from mlops_assets.home import Home, settle_libraries

settle_libraries()

from mlops_assets.specs.data_spec import Entity  # noqa: E402, libraries are settled first
from mlops_assets_tests.fleets import (  # noqa: E402
    Fleet,
    constant,
    diabetes,
    guarded,
    iris,
    serve,
    visits,
)
from mlops_assets_tests.serving.peers import dataplane  # noqa: E402
from mlops_assets_tests.serving.schemathesis_run import right_rows, run  # noqa: E402


@dataclass(frozen=True)
class Trial:
    """What is tried.

    Attributes:
        name: What it is called.
        document: The description.
        options: How; see :func:`run`.
    """

    name: str
    document: str
    options: dict[str, Any]


def main() -> int:
    asked = _arguments()
    trainings = {
        each.model: each for each in (visits(), guarded(), iris(), diabetes(), constant("unmoved", 1.0))
    }
    rows = {model: right_rows(training) for model, training in trainings.items()}
    found: list[str] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        fleet = Fleet(Home(folder / "home"))
        for model, training in trainings.items():
            entity = Entity(column="customer", log="hash") if model == "guarded" else None
            fleet.promote(model, fleet.add(training, entity=entity).version)
        described = folder / "dataplane.json"
        described.write_text(json.dumps(dataplane()))
        with serve(fleet) as running:
            own = f"{running.url}/openapi.json"
            found += _tried(Trial("its own description", own, {}), running.url, rows, folder, asked)
            protocol = Trial("the protocol's description", str(described), {})
            found += _tried(protocol, running.url, rows, folder, asked)
            key = fleet.key("somebody", "guarded")
            scoped = {"key": key, "hidden": [*rows.keys() - {"guarded"}]}
            found += _tried(
                Trial("its own, with a scoped key", own, scoped), running.url, rows, folder, asked
            )
    if asked.report is not None:
        asked.report.write_text("\n".join(found))
    return 1 if found else 0


def _tried(trial: Trial, url: str, rows: Any, folder: Path, asked: argparse.Namespace) -> list[str]:
    """Try with one seed after the other, tell what came of it, and return the reports of what was found."""
    cases, statuses, kinds, reports = 0, Counter[int](), Counter[str](), []
    began, seed = time.monotonic(), asked.seed
    while cases < asked.cases:
        found = run(
            trial.document,
            url,
            folder / f"{trial.name} {seed}",
            rows,
            examples=asked.examples,
            seed=seed,
            phases="coverage,fuzzing",
            **trial.options,
        )
        cases, seed = cases + found.cases, seed + 1
        statuses += found.statuses
        kinds += Counter(found.findings)
        if found.findings:
            reports.append(found.report)
    answers = ", ".join(f"{status}: {count:,}" for status, count in sorted(statuses.items()))
    minutes = (time.monotonic() - began) / 60
    print(f"{trial.name}: {cases:,} cases in {minutes:.1f} min, answered {answers}", flush=True)
    print(f"  found: {dict(kinds) or 'nothing'}", flush=True)
    return reports


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=20_000, help="requests of each trial")
    parser.add_argument("--examples", type=int, default=200, help="requests of each operation and round")
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument("--report", type=Path, help="file for what was found")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
