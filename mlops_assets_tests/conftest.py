"""What the tests of the core share: small specs, and small packaged models that are real."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pytest

from mlops_assets.data.features import FeatureView, types_of
from mlops_assets.evaluation.fairness import group_columns
from mlops_assets.governance.signatures import Signer
from mlops_assets.home import settle_libraries
from mlops_assets.monitoring.performance.standard import FILE as STANDARD
from mlops_assets.monitoring.performance.standard import standard_of
from mlops_assets.monitoring.reference import FILE as REFERENCE
from mlops_assets.monitoring.reference import reference_of
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training import onnx_form
from mlops_assets.training.manifest import Manifest
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.package_writer import write_package
from mlops_assets.training.trainer import fit

# As in every process of the product; here before scikit-learn is imported, which is when it counts.
settle_libraries()

pytest_plugins = ["mlops_assets_tests.whole_processes", "mlops_assets_tests.lifecycles"]

# The same examples on every machine and every day: a red build is a change of ours.
hypothesis.settings.register_profile("repository", deadline=None, derandomize=True, max_examples=60)
hypothesis.settings.load_profile("repository")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow tests last, so that what breaks most often is heard of first.

    Of the slow ones the kills go first: they take longest, and no worker should end alone with them.
    """

    def place(item: pytest.Item) -> tuple[bool, bool]:
        slow = any(item.get_closest_marker(name) for name in ("slow", "browser"))
        return slow, item.path.parent.name != "faults"

    items.sort(key=place)


MakeSpec = Callable[..., ModelSpec]
MakePackage = Callable[..., PackagedModel]

_ESTIMATORS = {
    "binary_classification": ("sklearn.linear_model.LogisticRegression", "roc_auc"),
    "multiclass_classification": ("sklearn.linear_model.LogisticRegression", "accuracy"),
    "regression": ("sklearn.linear_model.LinearRegression", "mae"),
}


@pytest.fixture(scope="session")
def make_spec() -> MakeSpec:
    """Return a maker of small valid specs: ``make_spec(task, data={…}, training={…}, …)``."""

    def make(task: str = "binary_classification", **changes: Any) -> ModelSpec:
        estimator, metric = _ESTIMATORS[task]
        value: dict[str, Any] = {
            "name": changes.pop("name", "small"),
            "owner": "team:tests",
            "risk": "minimal",
            "purpose": "Stand for a team's model in a test.",
            "task": task,
            "data": {
                "source": {"type": "python", "function": "nowhere:load"},
                "time_column": "t",
                "target": "y",
                "features": ["a", {"name": "b", "nullable": True}],
            },
            "training": {"estimator": estimator},
            "evaluation": {"primary_metric": metric},
        }
        for part, change in changes.items():
            value[part] = {**value.get(part, {}), **change}
        return ModelSpec.model_validate(value)

    return make


@pytest.fixture(scope="session")
def make_rows() -> Callable[..., pd.DataFrame]:
    """Return a maker of rows that fit ``make_spec``: hourly, with a signal in ``a``."""

    def make(
        rows: int = 400, task: str = "binary_classification", seed: int = 0, start: str = "2024-01-01"
    ) -> pd.DataFrame:
        generator = np.random.default_rng(seed)
        a, b = generator.normal(size=rows), generator.normal(size=rows)
        score = 2 * a + generator.normal(size=rows)
        target: Any = score
        if task == "binary_classification":
            target = (score > 0).astype(int)
        elif task == "multiclass_classification":
            target = np.array(["low", "mid", "top"])[np.digitize(score, [-1, 1])]
        return pd.DataFrame(
            {
                "t": pd.date_range(start, periods=rows, freq="h").astype("datetime64[us]"),
                "a": a,
                "b": b,
                "y": target,
            }
        )

    return make


@pytest.fixture(scope="session")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return Signer.for_home(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="session")
def make_package(tmp_path_factory: pytest.TempPathFactory, signer: Signer) -> MakePackage:
    """Return a maker of packages: the spec's estimator, fitted on all rows before ``trained_until``."""

    def make(
        spec: ModelSpec,
        rows: pd.DataFrame,
        *,
        trained_until: Any = None,
        estimator: Any = None,
        onnx: bool = True,
        folder: Path | None = None,
        monitored: bool = False,
    ) -> PackagedModel:
        until = rows["t"].quantile(0.5) if trained_until is None else pd.Timestamp(trained_until)
        older = rows["t"] < until
        view = FeatureView.from_spec(spec.data)
        features = view.compute(rows)
        if estimator is None:
            estimator = fit(spec.training, spec.task, features[older], rows.loc[older, "y"])
        form, runtime = None, "native: asked for"
        if onnx:
            form, runtime = onnx_form.agreed_form(estimator, spec.task, features[~older])
        classes = () if spec.task == "regression" else tuple(np.asarray(estimator.classes_).tolist())
        manifest = Manifest(
            model=spec.name,
            task=spec.task,
            inputs=spec.data.features,
            feature_names=tuple(features.columns),
            feature_types=types_of(features),
            feature_function=view.function,
            classes=classes,
            runtime=runtime,
            time_column=spec.data.time_column,
            target=spec.data.target,
            lineage={"trained_until": until.isoformat()},
        )
        reference = rows.loc[~older, [*(c.name for c in spec.data.features), "y"]].reset_index(drop=True)
        folder = folder or tmp_path_factory.mktemp("package") / "package"

        def watched(draft: PackagedModel) -> dict[str, bytes]:
            metric, window = spec.evaluation.primary_metric, spec.monitoring.window
            of_inputs = reference_of(rows, rows["t"], ~older, draft.predict, manifest, window)
            unseen = rows[~older]
            standard = standard_of(
                unseen, unseen["t"], draft.predict, manifest, metric, group_columns(spec), window
            )
            return {REFERENCE: of_inputs.to_bytes(), STANDARD: standard.to_bytes()}

        further = watched if monitored else (lambda draft: {})
        return write_package(folder, estimator, view, manifest, form, reference, signer, further=further)

    return make
