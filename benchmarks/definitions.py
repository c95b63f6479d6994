"""What loading the definitions costs per model, beside the same number of plain Dagster assets.

    python benchmarks/definitions.py [MODELS ...]

Every run and every step process rebuilds the definitions, so this is paid thousands of times a day. The
peer is a component that builds as many assets and checks with no content, from a file of the same
length: what Dagster itself takes. Figures are CPU seconds of fresh processes, the median of three.
"""

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from fleet_project import write_project

_MEASURE = """
import sys, time, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
import dagster, mlops_assets.components
started = time.process_time()
import bench_fleet.definitions as loaded
loaded.defs.get_repository_def()
print(time.process_time() - started)
"""
_PEER = """
import dagster as dg

STAGES = ("a", "b", "c", "d", "e", "f", "g")


class Plain(dg.Component, dg.Resolvable, dg.Model):
    name: str
    text: dict

    def build_defs(self, context):
        def stage(index):
            upstream = [] if index == 0 else [dg.AssetKey([self.name, STAGES[index - 1]])]

            @dg.asset(key=[self.name, STAGES[index]], deps=upstream, group_name=self.name)
            def plain(): ...

            return plain

        def gate(index):
            @dg.asset_check(asset=dg.AssetKey([self.name, STAGES[index]]), name="gate", blocking=True)
            def check() -> dg.AssetCheckResult: ...

            return check

        return dg.Definitions(
            assets=[stage(i) for i in range(7)], asset_checks=[gate(i) for i in range(4)]
        )
"""


def write_peer(root: Path, models: int) -> Path:
    """Write a project of plain components with as many assets, checks and YAML lines."""
    write_project(root, models)
    (root / "bench_fleet" / "plain.py").write_text(_PEER)
    for file in (root / "bench_fleet" / "defs").rglob("model_*/defs.yaml"):
        attributes = file.read_text().split("attributes:\n")[1]
        name = file.parent.name
        indented = "".join(f"  {line}\n" for line in attributes.splitlines())
        file.write_text(f"type: bench_fleet.plain.Plain\nattributes:\n  name: {name}\n  text:\n{indented}")
    return root


def seconds(root: Path) -> float:
    """Return the median CPU time of loading a project in three fresh processes."""
    runs = (
        subprocess.run(
            [sys.executable, "-c", _MEASURE, str(root)], capture_output=True, text=True, check=True
        )
        for _ in range(3)
    )
    return statistics.median(float(run.stdout) for run in runs)


def main(sizes: list[int]) -> None:
    print(f"{'models':>7} {'ours s':>8} {'ms/model':>9} {'plain s':>8} {'ms/model':>9} {'ratio':>6}")
    for models in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            ours = seconds(write_project(Path(scratch) / "ours", models))
            plain = seconds(write_peer(Path(scratch) / "plain", models))
        print(
            f"{models:>7} {ours:>8.2f} {1000 * ours / models:>9.1f} {plain:>8.2f} "
            f"{1000 * plain / models:>9.1f} {ours / plain:>6.2f}"
        )


if __name__ == "__main__":
    main([int(n) for n in sys.argv[1:]] or [1, 100, 1000])
