"""One fault upstream of 200 models: how many incidents come of it, and is the cause right?

    python benchmarks/incidents.py [SEEDS [FIRST]]

200 models on 25 shared sources are watched for 85 days, after 60 days of history, by the alarms of
``mlops_assets/monitoring/alarms`` on profiles of rows that vary from day to day as a whole source and as a
model, so that there are false alarms and missed ones. 30 faults are planted, one after the other and some at
once. Each day's alarms become incidents in a store. A fault is told right if exactly one incident holds all
alarms that began with it, and names it as the cause. Shares have Wilson's interval at 95 % over the
faults of all seeds.
"""

import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from outages.alarms import alarms_of
from outages.faults import Fault, begun, schedule
from outages.fleet import DAY, HISTORY, START, WATCHED, Model, fleet

from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.incidents.incident import Incident
from mlops_assets.monitoring.incidents.store import IncidentStore
from mlops_assets.specs.alert_rules import Alerts
from mlops_assets.specs.policy_file import load_policy

# A fault shows up to so many days after it began.
_LATEST = 7


@dataclass
class Outcome:
    """What came of one seed.

    Attributes:
        faults: For each fault its sort, how many incidents hold its alarms, and whether the cause is right.
        alarms: How many alarms were raised.
        incidents: How many incidents were opened and not merged.
        others: Of these, those without an alarm of any fault.
        pages: Incidents that paged.
        extra_pages: Of these, those that are not the one of a fault.
        seconds: Wall time of each pass that made incidents of alarms.
        misses: The faults that were not told right, and what was told instead.
    """

    faults: list[tuple[str, int, bool]] = field(default_factory=list)
    alarms: int = 0
    incidents: int = 0
    others: int = 0
    pages: int = 0
    extra_pages: int = 0
    seconds: list[float] = field(default_factory=list)
    misses: list[str] = field(default_factory=list)


def main(count: int, first: int) -> None:
    began = time.perf_counter()
    seeds = range(first, first + count)
    with ProcessPoolExecutor(min(count, os.cpu_count() or 1)) as pool:
        outcomes = list(pool.map(_of_seed, seeds))
    for seed, outcome in zip(seeds, outcomes, strict=True):
        print(f"seed {seed}: {_line([outcome])}", *outcome.misses, sep="\n")
    print()
    _table(outcomes)
    print(f"\n{time.perf_counter() - began:.0f} s in all")


def planted(seed: int) -> tuple[list[Model], list[Fault], dict[int, list[Alarm]]]:
    """Return a fleet, the faults upstream of it, and the alarms of each day."""
    generator = np.random.default_rng(seed)
    models = fleet(generator)
    faults: list[Fault] = []
    for planned in schedule(models, generator):
        fault, models = begun(planned, models)
        faults.append(fault)
    by_day: dict[int, list[Alarm]] = defaultdict(list)
    for model, own in zip(models, generator.spawn(len(models)), strict=True):
        for day, alarms in alarms_of(model, faults, own):
            by_day[day] += alarms
    return models, faults, by_day


def watched(models: list[Model], faults: list[Fault], by_day: dict[int, list[Alarm]]) -> Outcome:
    """Return what becomes of the alarms, pass by pass."""
    outcome = Outcome(alarms=sum(map(len, by_day.values())))
    rules = Alerts.model_validate(
        {
            **load_policy().alerts.model_dump(),
            "routes": ({"owner": "*", "severity": "page", "url_env": "PAGER"},),
        }
    )
    with tempfile.TemporaryDirectory() as folder:
        store = IncidentStore(f"sqlite:///{Path(folder) / 'fleet.db'}")
        for day in range(WATCHED):
            now = START + (HISTORY + day + 1) * DAY
            started = time.perf_counter()
            store.take_in(by_day.get(day, []), [model.watched(day) for model in models], rules, now)
            outcome.seconds.append(time.perf_counter() - started)
        _judge(outcome, store, faults, {model.name: model for model in models})
    return outcome


def _of_seed(seed: int) -> Outcome:
    return watched(*planted(seed))


def _judge(outcome: Outcome, store: IncidentStore, faults: list[Fault], models: dict[str, Model]) -> None:
    incidents = [
        each
        for each in store.incidents(states=("open", "acknowledged", "resolved"))
        if each.merged_into is None
    ]
    first = {each.id: [stream.first for stream in store.streams(each.id)] for each in incidents}
    told: set[int] = set()
    due: set[int] = set()
    for fault in faults:
        of_it = [
            each
            for each in incidents
            if any(_is_due_to(alarm, fault, models[alarm.model]) for alarm in first[each.id])
        ]
        right = len(of_it) == 1 and of_it[0].cause.suspect in fault.suspects
        outcome.faults.append((fault.name, len(of_it), right))
        told |= {each.id for each in of_it if each.cause.suspect in fault.suspects}
        due |= {each.id for each in of_it}
        if not right:
            outcome.misses += _told(fault, of_it)
    outcome.incidents = len(incidents)
    outcome.others = sum(each.id not in due for each in incidents)
    outcome.pages = sum(each.severity == "page" for each in incidents)
    outcome.extra_pages = sum(each.severity == "page" and each.id not in told for each in incidents)


def _told(fault: Fault, incidents: list[Incident]) -> list[str]:
    """Return what became of a fault that was not told right."""
    (suspect, *_) = fault.suspects
    said = f"  {fault.name} at {suspect.place}, days {fault.begin} to {fault.end}:"
    return [said, *(f"    {each.severity}: {each.title}; hit {len(each.cause.hit)}" for each in incidents)]


def _is_due_to(alarm: Alarm, fault: Fault, model: Model) -> bool:
    day = (alarm.start - START).days - HISTORY
    return (
        fault.begin <= day < fault.begin + _LATEST and fault.hits(model) and alarm.subject in fault.subjects
    )


def _line(outcomes: list[Outcome]) -> str:
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    right = sum(each[2] for each in faults)
    return (
        f"{right} of {len(faults)} faults are one incident with the right cause; "
        f"{sum(o.incidents for o in outcomes)} incidents of {sum(o.alarms for o in outcomes):,} alarms, "
        f"{sum(o.others for o in outcomes)} without a fault; "
        f"{sum(o.extra_pages for o in outcomes)} extra pages of {sum(o.pages for o in outcomes)}"
    )


def _table(outcomes: list[Outcome]) -> None:
    faults = [fault for outcome in outcomes for fault in outcome.faults]
    print(f"{'fault':<22} {'faults':>6} {'right':>6} {'unseen':>6} {'several':>7} {'wrong cause':>11}")
    for name, count in sorted(Counter(each[0] for each in faults).items()):
        of_it = [each for each in faults if each[0] == name]
        unseen, several = sum(each[1] == 0 for each in of_it), sum(each[1] > 1 for each in of_it)
        right = sum(each[2] for each in of_it)
        wrong = count - right - unseen - several
        print(f"{name:<22} {count:>6} {right:>6} {unseen:>6} {several:>7} {wrong:>11}")
    right = sum(each[2] for each in faults)
    low, high = _wilson(right, len(faults))
    print(f"{'all':<22} {len(faults):>6} {right:>6}   {right / len(faults):.1%} ({low:.1%} to {high:.1%})")
    seen = [each for each in faults if each[1]]
    one = sum(each[1] == 1 for each in seen)
    low, high = _wilson(one, len(seen))
    print(f"of those that raised an alarm, in one incident: {one / len(seen):.1%} ({low:.1%} to {high:.1%})")
    quarters = len(outcomes) * WATCHED / 91.3
    for what, counts in (
        ("incidents without a fault", [o.others for o in outcomes]),
        ("extra pages", [o.extra_pages for o in outcomes]),
    ):
        total = sum(counts)
        error = 1.96 * max(total, 1) ** 0.5 / quarters
        print(f"{what} a quarter: {total / quarters:.1f} ± {error:.1f}, on 200 models of 10 teams")
    seconds = [second for outcome in outcomes for second in outcome.seconds]
    print(f"a pass: median {np.median(seconds) * 1000:.0f} ms, longest {max(seconds) * 1000:.0f} ms")


def _wilson(count: int, of: int) -> tuple[float, float]:
    """Return Wilson's interval of a share at 95 %."""
    z, share = 1.96, count / of
    centre = (share + z * z / (2 * of)) / (1 + z * z / of)
    half = z / (1 + z * z / of) * (share * (1 - share) / of + z * z / (4 * of * of)) ** 0.5
    return centre - half, centre + half


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:]]
    main(*numbers, *(3, 0)[len(numbers) :])
