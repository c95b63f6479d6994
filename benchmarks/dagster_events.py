"""What Dagster's events cost in a pass that makes one asset for each of many models, in one step.

    python benchmarks/dagster_events.py [MODELS]

Ours is the embedded default, as :mod:`mlops_assets.home` configures it, and a step that knows its assets; the
peer is the same run on Dagster's own SQLite storage. Each runs in a process of its own, on a home of its own,
after a run of one model. What a run costs however few models it has is in the figures.
"""

import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

_COLUMNS = 25


def main(models: int) -> None:
    took = {}
    for which in ("ours", "peer"):
        with tempfile.TemporaryDirectory() as home:
            command = [sys.executable, __file__, str(models), which]
            done = subprocess.run(
                command, env={**os.environ, "MLOPS_HOME": home}, check=True, capture_output=True, text=True
            )
        took[which] = [float(figure) for figure in done.stdout.split()]
        wall, cpu = took[which]
        print(f"{models} models, {which}: {wall:.1f} ms of wall time a model, {cpu:.1f} ms of CPU")
    (ours, cpu), (peer, peers_cpu) = took["ours"], took["peer"]
    print(f"ratio {peer / ours:.1f} in wall time, {peers_cpu / cpu:.1f} in CPU; limits 12 ms and 10 ms")


def _measure(models: int, which: str) -> None:
    warnings.simplefilter("ignore")
    from mlops_assets.home import Home

    home = Home(Path(os.environ["MLOPS_HOME"]))
    os.environ.pop("DAGSTER_HOME", None)
    if which == "ours":
        home.prepare()
    else:
        home.dagster.mkdir()
        (home.dagster / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    os.environ.update(home.environment())

    import dagster as dg

    from mlops_assets.cli.project import quiet_dagster
    from mlops_assets.stages.step_outputs import settle_outputs

    keys = [dg.AssetKey([f"model_{n:04d}", "monitoring_report"]) for n in range(models)]

    @dg.multi_asset(
        specs=[dg.AssetSpec(key, skippable=True) for key in keys],
        partitions_def=dg.DailyPartitionsDefinition("2026-01-01"),
        can_subset=True,
    )
    def look(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        if which == "ours":
            settle_outputs(context)
        for key in sorted(context.selected_asset_keys):
            figures = {f"column_{n:02d}": 0.123456789 + n for n in range(_COLUMNS)}
            yield dg.MaterializeResult(asset_key=key, metadata={**figures, "drifted": "none"})

    job = dg.Definitions(assets=[look], jobs=[dg.define_asset_job("pass_", "*")]).resolve_job_def("pass_")
    with quiet_dagster(), dg.DagsterInstance.get() as instance:
        job.execute_in_process(instance=instance, partition_key="2026-01-01", asset_selection=keys[:1])
        started, cpu = time.perf_counter(), time.process_time()
        assert job.execute_in_process(instance=instance, partition_key="2026-01-02").success
        print((time.perf_counter() - started) * 1000 / models, (time.process_time() - cpu) * 1000 / models)


if __name__ == "__main__":
    if len(sys.argv) > 2:
        _measure(int(sys.argv[1]), sys.argv[2])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
