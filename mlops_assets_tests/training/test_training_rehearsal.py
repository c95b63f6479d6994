"""The rows that a gateway tries first are the reference's, to the last bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets.errors import PackageError
from mlops_assets.governance.signatures import Signer
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.rehearsal import REHEARSAL, REHEARSED_ROWS, Rehearsal

MakeSpec = Callable[..., Any]
MakePackage = Callable[..., PackagedModel]


@pytest.mark.parametrize("task", ["binary_classification", "multiclass_classification", "regression"])
def test_a_model_of_numbers_keeps_its_first_rows_apart(
    make_spec: MakeSpec,
    make_rows: Callable[..., pd.DataFrame],
    make_package: MakePackage,
    signer: Signer,
    task: str,
) -> None:
    rows = make_rows(task=task).assign(
        n=lambda r: (r["a"] * 10).round().astype("int64"), yes=lambda r: r["b"] > 0
    )
    inputs = ["a", "b", {"name": "n", "type": "integer"}, {"name": "yes", "type": "boolean"}]
    spec = make_spec(task, data={"features": inputs})
    package = PackagedModel.open(make_package(spec, rows).folder, signer.verifier)
    rehearsal = package.rehearsal
    assert rehearsal is not None
    first = package.reference().head(REHEARSED_ROWS)
    np.testing.assert_array_equal(rehearsal.matrix, first[["a", "b", "n", "yes"]].astype("float64"))
    predictions = [name for name in first if name.startswith("p") and first[name].dtype == "float64"]
    assert sorted(rehearsal.predictions) == sorted(predictions)
    for name, values in rehearsal.predictions.items():
        np.testing.assert_array_equal(values, first[name])
    np.testing.assert_array_equal(package.predict_values(rehearsal.matrix), package.predict(first))


def test_missing_values_are_kept_as_such(
    make_spec: MakeSpec, make_rows: Callable[..., pd.DataFrame], make_package: MakePackage
) -> None:
    rows = make_rows()
    rows.loc[::3, "b"] = np.nan
    spec = make_spec(training={"estimator": "sklearn.ensemble.HistGradientBoostingClassifier"})
    package = make_package(spec, rows)
    assert package.rehearsal is not None
    np.testing.assert_array_equal(
        package.rehearsal.matrix, package.reference()[["a", "b"]].head(REHEARSED_ROWS)
    )
    assert np.isnan(package.rehearsal.matrix).any()
    assert Rehearsal.from_bytes(package.rehearsal.to_bytes()).predictions == package.rehearsal.predictions


def test_a_model_that_takes_more_than_numbers_has_its_reference_only(
    make_spec: MakeSpec, make_rows: Callable[..., pd.DataFrame], make_package: MakePackage
) -> None:
    spec = make_spec(data={"features": ["a", "b"]})
    assert make_package(spec, make_rows(), onnx=False).rehearsal is None


def test_rows_that_were_altered_are_refused(
    make_spec: MakeSpec,
    make_rows: Callable[..., pd.DataFrame],
    make_package: MakePackage,
    signer: Signer,
    tmp_path: Path,
) -> None:
    spec = make_spec(data={"features": ["a", "b"]})
    package = make_package(spec, make_rows(), folder=tmp_path / "package")
    file = package.folder / REHEARSAL
    file.write_bytes(file.read_bytes().replace(b"0.", b"1."))
    with pytest.raises(PackageError, match=r"rehearsal\.json was altered after signing"):
        PackagedModel.open(package.folder, signer.verifier)
