"""What an idle tick of the retraining sensor costs, for a fleet that has all been assessed.

    python benchmarks/sensor.py [MODELS]

The peer is one sensor per model, as many projects have it, each asking Dagster's event log for its
own model's newest monitoring report. Seconds of wall time in one process, the median of seven.
"""

import os
import sys
import tempfile
import warnings
from datetime import datetime
from pathlib import Path

from fleet_project import write_project
from timing import median_seconds

_ROUNDS = 7


def main(models: int) -> None:
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["MLOPS_HOME"] = f"{scratch}/home"
        root = write_project(Path(scratch) / "fleet", models)
        sys.path.insert(0, str(root))
        import bench_fleet.definitions as loaded
        import dagster as dg

        from mlops_assets.home import Home
        from mlops_assets.monitoring.assessment.record import Assessment
        from mlops_assets.resources import RESOURCES, Platform

        home = Home.from_environment().prepare()
        os.environ.update(home.environment())
        names = [f"model_{n:04d}" for n in range(models)]
        state = Platform().state
        for name in names:
            last = state.record_assessment(
                Assessment(
                    model=name,
                    version="1",
                    as_of=datetime(2026, 1, 2),
                    start=datetime(2026, 1, 1),
                    end=datetime(2026, 1, 2),
                    served=1000,
                    labelled=1000,
                    metrics={"roc_auc": (0.7, 0.68, 0.72)},
                    drift=[
                        {"column": f"x{i}", "method": "psi", "score": 0.1, "threshold": 0.2, "drifted": False}
                        for i in range(20)
                    ],
                )
            )
        with dg.DagsterInstance.get() as instance:
            for name in names:
                instance.report_runless_asset_event(
                    dg.AssetMaterialization(dg.AssetKey([name, "monitoring_report"]))
                )
            sensor = loaded.defs.resolve_sensor_def("retraining")

            def ours() -> None:
                with dg.build_sensor_context(
                    instance=instance, cursor=str(last), definitions=loaded.defs, resources=RESOURCES
                ) as context:
                    assert not sensor.evaluate_tick(context).run_requests

            def peer() -> None:
                for name in names:
                    instance.get_latest_materialization_event(dg.AssetKey([name, "monitoring_report"]))

            took, peers = median_seconds(ours, _ROUNDS), median_seconds(peer, _ROUNDS)
    print(f"{models} models: idle tick {took * 1000:.1f} ms; one question per model {peers * 1000:.0f} ms; ")
    print(f"ratio {peers / took:.0f}; limit 300 ms, used {took / 0.3:.1%}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
