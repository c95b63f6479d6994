"""Generate a project of many models, the input of the fleet benchmarks."""

import sys
from pathlib import Path

_SPEC = """\
type: mlops_assets.ModelLifecycle
attributes:
  name: model_{number:04d}
  owner: team:bench
  risk: minimal
  purpose: One of many generated models, to measure what a model costs.
  task: binary_classification
  data:
    source: {{type: python, function: "bench_fleet.source:load"}}
    time_column: at
    target: y
    features: [x1, x2, x3, {{name: x4, range: [0, 1], nullable: true}}, {{name: x5, type: string}}]
  training:
    estimator: sklearn.linear_model.LogisticRegression
  evaluation:
    primary_metric: roc_auc
    thresholds: {{roc_auc: {{min: 0.6}}}}
"""


def write_project(root: Path, models: int) -> Path:
    """Write a dg project with that many models and the fleet's automation; return its root."""
    package = root / "bench_fleet"
    (package / "defs" / "fleet").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "defs" / "__init__.py").touch()
    (root / "dg.toml").write_text('directory_type = "project"\n[project]\nroot_module = "bench_fleet"\n')
    (package / "defs" / "fleet" / "defs.yaml").write_text("type: mlops_assets.FleetAutomation\n")
    (package / "definitions.py").write_text(
        "from pathlib import Path\n"
        "from mlops_assets.components.defs_folder import load_defs_folder\n"
        "defs = load_defs_folder('bench_fleet.defs', Path(__file__).parent.parent)\n"
    )
    for number in range(models):
        folder = package / "defs" / f"model_{number:04d}"
        folder.mkdir()
        (folder / "defs.yaml").write_text(_SPEC.format(number=number))
    return root


if __name__ == "__main__":
    print(write_project(Path(sys.argv[1]), int(sys.argv[2])))
