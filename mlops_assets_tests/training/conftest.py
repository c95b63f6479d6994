"""Packages whose rows are kept in a home, so that they can be trained again."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.data.features import FeatureView, types_of
from mlops_assets.data.snapshots import write_snapshot
from mlops_assets.governance.environment import Environment
from mlops_assets.governance.signatures import Signer
from mlops_assets.home import Home
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training.manifest import Manifest
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.package_writer import write_package
from mlops_assets.training.trainer import fit

Keep = Callable[..., PackagedModel]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def keep(home: Home, signer: Signer, tmp_path: Path) -> Keep:
    """Return a maker of packages whose rows are kept in the home, as the stages do it."""

    def make(
        spec: ModelSpec,
        raw: pd.DataFrame,
        *,
        estimator: Any = None,
        features: str | None = None,
        code: Mapping[str, bytes] | None = None,
        installed: Environment | None = None,
        lineage: bool = True,
    ) -> PackagedModel:
        view = FeatureView(spec.data.features, features, "compute" if features else None)
        table, start = view.compute(raw), raw["t"].quantile(0.6)
        data, _ = write_snapshot(raw, lambda digest: home.snapshot(spec.name, digest))
        made, _ = write_snapshot(table, lambda digest: home.features(spec.name, digest))
        older = raw["t"] < start
        estimator = estimator or fit(spec.training, spec.task, table[older], raw.loc[older, "y"])
        told = {"data": data, "features": made, "trained_until": start.isoformat()}
        manifest = Manifest(
            model=spec.name,
            task=spec.task,
            inputs=spec.data.features,
            feature_names=tuple(table.columns),
            feature_types=types_of(table),
            feature_function=view.function,
            classes=() if spec.task == "regression" else tuple(np.asarray(estimator.classes_).tolist()),
            runtime="native: asked for",
            time_column="t",
            target="y",
            lineage=told if lineage else {},
        )
        reference = raw.loc[~older, ["a", "b", "y"]].reset_index(drop=True)
        return write_package(
            tmp_path / "package",
            estimator,
            view,
            manifest,
            None,
            reference,
            signer,
            environment=installed,
            code=code or {},
        )

    return make
