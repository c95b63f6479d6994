"""Every run and every step imports us, so what is heavy loads where it is used and nowhere else."""

import subprocess
import sys

import pytest

HEAVY = (
    "mlflow", "evidently", "great_expectations", "sklearn", "pandas", "kubernetes", "scipy",
    "matplotlib", "onnxruntime", "skl2onnx", "pyarrow", "numba", "apprise",
)  # fmt: skip
CORE = (
    "specs.loading", "specs.scaffolding", "data.contract", "data.feature_verification", "data.features",
    "data.snapshots", "data.sources", "training.onnx_form", "training.package", "training.split",
    "training.trainer", "evaluation.comparison", "evaluation.quality", "evaluation.slices",
    "monitoring.assessment", "monitoring.drift", "monitoring.fleet_state",
    "monitoring.retraining.replay", "monitoring.windows", "monitoring.distances",
    "monitoring.profiles.profile", "monitoring.incidents.delivery", "monitoring.incidents.notifier",
    "monitoring.incidents.store",
    "monitoring.estimation.estimator", "monitoring.estimation.widening", "monitoring.reference",
    "monitoring.alarms.decision", "governance.audit_chain", "governance.signatures",
    "governance.evidence", "governance.release", "evaluation.robustness", "evaluation.explanations",
    "evaluation.fairness", "training.label_noise",
    "prediction_log.compaction", "prediction_log.log", "prediction_log.recorder",
    "registry.authority", "registry.mlflow_registry", "registry.promotion", "registry.training_run",
    "registry.reading", "governance.audit_reading", "training.rehearsal",
)  # fmt: skip


def loaded_after(code: str, *names: str) -> set[str]:
    """Return which of the named modules a fresh Python has loaded after running some code."""
    told = f"import sys; print(','.join(n for n in {names!r} if n in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{told}"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name for name in done.stdout.splitlines()[-1].split(",") if name}


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import mlops_assets.components", id="components"),
        pytest.param(
            "from mlops_assets.definitions import defs\ngetattr(defs, 'get_repository_def', defs)()",
            id="definitions, built",
        ),
        pytest.param("import mlops_assets.cli.main", id="command line"),
    ],
)
def test_definitions_load_without_anything_heavy(code: str) -> None:
    assert loaded_after(code, *HEAVY) == set()


def test_the_package_itself_knows_no_orchestrator() -> None:
    assert loaded_after("import mlops_assets", "dagster", "starlette", *HEAVY) == set()


def test_the_core_loads_without_orchestrator_web_framework_or_anything_heavy() -> None:
    code = "import " + ", ".join(f"mlops_assets.{module}" for module in CORE)
    assert loaded_after(code, "dagster", "starlette", "uvicorn", "sqlalchemy", "numpy", *HEAVY) == set()


def test_the_prediction_log_is_written_without_what_reads_it() -> None:
    code = "import mlops_assets.prediction_log.recorder, mlops_assets.prediction_log.prediction_ids"
    assert loaded_after(code, "numpy", "pydantic", "sqlite3", "starlette", *HEAVY) == set()


def test_the_gateway_knows_no_orchestrator() -> None:
    assert loaded_after("import mlops_assets.serving.app", "dagster", "mlflow", "evidently") == set()


def test_a_gateway_starts_without_what_it_may_never_need() -> None:
    code = "import mlops_assets.serving.server"
    heavy = [name for name in HEAVY if name != "onnxruntime"]
    assert loaded_after(code, "sqlalchemy", "httpx", "numpy", *heavy) == set()
