"""What other processes do with a home's event log: see ``test_event_log.py``."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagster as dg

from mlops_assets.home import Home


def opened() -> dg.DagsterInstance:
    """Return the instance of the home that the environment names."""
    return dg.DagsterInstance.from_config(str(Home.from_environment().dagster))


def say(instance: dg.DagsterInstance, run: str, what: object) -> None:
    """Write an event of a run."""
    instance.report_engine_event(str(what), run_id=run, job_name="job")


def said(instance: dg.DagsterInstance, run: str) -> list[str]:
    """Return the events of a run in order."""
    return [str(entry.get_dagster_event().message) for entry in instance.all_logs(run)]


def make(instance: dg.DagsterInstance, name: str) -> None:
    """Write that an asset was made, which goes to the index too."""
    instance.report_runless_asset_event(dg.AssetMaterialization(name))


def say_when_asked(run: str, asked: str, done: str) -> None:
    """Write an event for each byte that comes in one pipe, and say so in another."""
    instance = opened()
    with Path(asked).open("rb", buffering=0) as questions, Path(done).open("wb", buffering=0) as answers:
        count = 0
        while questions.read(1):
            say(instance, run, count)
            answers.write(b".")
            count += 1


def say_from_threads(run: str, who: str, threads: int, events: int) -> None:
    """Write events from several threads at once, and from a child that was forked after the first event."""
    with opened() as instance:
        say(instance, run, f"{who} begins")

        def write(thread: object) -> None:
            for n in range(events):
                say(instance, run, f"{who} {thread} {n}")
                make(instance, f"{who}_{thread}_{n}")

        with instance.event_log_storage.index_connection():
            # As when another thread writes at that moment: in the child nobody ends what it began.
            if (child := os.fork()) == 0:
                signal.alarm(60)
                write("child")
                os._exit(0)
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(write, range(threads)))
        assert os.waitpid(child, 0)[1] == 0
