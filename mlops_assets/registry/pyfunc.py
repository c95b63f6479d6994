"""How plain MLflow loads a packaged model: ``mlflow.pyfunc.load_model`` gives what the gateway serves."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.data.columns import to_declared_types
from mlops_assets.governance.signatures import Verifier
from mlops_assets.home import Home
from mlops_assets.training.package import PackagedModel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


class _Model:
    def __init__(self, package: PackagedModel) -> None:
        self._package = package

    def predict(self, rows: "pd.DataFrame", params: Any = None) -> "np.ndarray[Any, Any]":
        """Return predictions for raw rows."""
        return self._package.predict(to_declared_types(rows, self._package.manifest.inputs))


def _load_pyfunc(path: str) -> _Model:
    """Open the package after verifying its signature; MLflow calls this by name."""
    verifier = Verifier.for_home(Home.from_environment().root)
    return _Model(PackagedModel.open(Path(path), verifier))
