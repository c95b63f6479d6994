"""A package is what the platform signed, or it is not loaded, and nothing of it runs."""

import itertools
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops_assets import digests
from mlops_assets.errors import PackageError
from mlops_assets.governance.signatures import Signer
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.training.manifest import Manifest
from mlops_assets.training.package import PackagedModel

MakeSpec = Callable[..., ModelSpec]
MakeRows = Callable[..., pd.DataFrame]
MakePackage = Callable[..., PackagedModel]

_number = itertools.count()


@pytest.fixture(scope="module")
def original(make_spec: MakeSpec, make_rows: MakeRows, make_package: MakePackage) -> PackagedModel:
    return make_package(make_spec(data={"features": ["a", "b"]}), make_rows())


@pytest.fixture
def copy(original: PackagedModel, tmp_path: Path) -> Path:
    """A copy of a signed package, to be spoilt."""
    return Path(shutil.copytree(original.folder, tmp_path / "package"))


@pytest.mark.parametrize("task", ["binary_classification", "multiclass_classification", "regression"])
@pytest.mark.parametrize("onnx", [True, False])
def test_what_was_written_is_what_is_opened(
    make_spec: MakeSpec, make_rows: MakeRows, make_package: MakePackage, signer: Signer, task: str, onnx: bool
) -> None:
    spec, rows = make_spec(task, data={"features": ["a", "b"]}), make_rows(task=task)
    written = make_package(spec, rows, onnx=onnx)
    opened = PackagedModel.open(written.folder, signer.verifier)
    assert opened.digest == written.digest
    assert opened.manifest == written.manifest
    assert opened.uses_onnx is onnx
    predicted = opened.predict(rows)
    np.testing.assert_array_equal(predicted, written.predict(rows))
    assert predicted.shape == ((400, 3) if task == "multiclass_classification" else (400,))
    reference = opened.reference()
    assert len(reference) == 200
    if task == "multiclass_classification":
        classes = np.array(opened.manifest.classes)
        assert (reference["prediction"] == classes[opened.predict(reference).argmax(axis=1)]).all()
        assert reference[[f"probability_{c}" for c in classes]].sum(axis=1).round(6).eq(1).all()
    else:
        np.testing.assert_array_equal(reference["prediction"], opened.predict(reference))


def test_both_forms_answer_alike(make_spec: MakeSpec, make_rows: MakeRows, make_package: MakePackage) -> None:
    spec = make_spec(training={"estimator": "sklearn.ensemble.HistGradientBoostingClassifier"})
    rows = make_rows()
    rows.loc[::5, "b"] = np.nan
    one, two = make_package(spec, rows), make_package(spec, rows, onnx=False)
    assert (one.uses_onnx, two.uses_onnx) == (True, False)
    np.testing.assert_allclose(one.predict(rows), two.predict(rows), atol=1e-5)


def test_the_same_content_has_the_same_name_and_other_content_another(
    make_spec: MakeSpec, make_rows: MakeRows, make_package: MakePackage, original: PackagedModel
) -> None:
    spec = make_spec(data={"features": ["a", "b"]})
    assert make_package(spec, make_rows()).digest == original.digest
    assert make_package(spec, make_rows(seed=1)).digest != original.digest


def test_a_feature_function_travels_along(
    make_spec: MakeSpec,
    make_rows: MakeRows,
    make_package: MakePackage,
    signer: Signer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "packaged_features.py"
    file.write_text("def compute(rows):\n    return rows.assign(c=rows['a'] * rows['b'])\n")
    spec = make_spec(data={"features": ["a", "b"], "feature_function": "packaged_features:compute"})
    written = make_package(spec, make_rows())
    file.unlink()
    opened = PackagedModel.open(written.folder, signer.verifier)
    assert opened.manifest.feature_names == ("a", "b", "c")
    np.testing.assert_array_equal(opened.predict(make_rows()), written.predict(make_rows()))


def test_a_package_runs_where_the_project_is_not(
    make_spec: MakeSpec,
    make_rows: MakeRows,
    make_package: MakePackage,
    signer: Signer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = tmp_path / f"team_{next(_number)}"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "base.py").write_text("OFFSET = 3.0\ndef shift(x): return x + OFFSET\n")
    (package / "model.py").write_text(
        "from sklearn.linear_model import Ridge\n"
        "from sklearn.pipeline import make_pipeline\n"
        "from sklearn.preprocessing import FunctionTransformer\n"
        "from . import base\n"
        "class Shifted(Ridge):\n"
        "    def predict(self, X): return base.shift(super().predict(X))\n"
        "def train(features, target, params, seed):\n"
        "    return make_pipeline(FunctionTransformer(base.shift), Shifted()).fit(features, target)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    spec = make_spec("regression", data={"features": ["a", "b"]})
    spec = spec.model_copy(update={"training": type(spec.training)(function=f"{package.name}.model:train")})
    rows = make_rows(task="regression")
    written = make_package(spec, rows)
    assert not written.uses_onnx
    expected = written.predict(rows.head(3))
    key = tmp_path / "public.pem"
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key.write_bytes(signer.verifier._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    rows.head(3).to_parquet(tmp_path / "rows.parquet")
    elsewhere = subprocess.run(
        [
            sys.executable, "-c",
            "import sys, json, pandas as pd\nfrom pathlib import Path\n"
            "from mlops_assets.governance.signatures import Verifier\n"
            "from mlops_assets.training.package import PackagedModel\n"
            "package = PackagedModel.open(Path(sys.argv[1]), Verifier.for_home(Path('unused')))\n"
            "print(json.dumps(package.predict(pd.read_parquet(sys.argv[2])).tolist()))\n",
            str(written.folder), str(tmp_path / "rows.parquet"),
        ],
        env={**os.environ, "MLOPS_VERIFY_KEY": key.read_text(), "PYTHONPATH": ""},
        cwd=written.folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert elsewhere.returncode == 0, elsewhere.stderr
    assert json.loads(elsewhere.stdout) == expected.tolist()


class _Bomb:
    """Unpickling this makes a folder, which shows that code ran."""

    def __init__(self, sign: Path) -> None:
        self.sign = sign

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.sign),))


def test_a_malicious_pickle_does_not_run(copy: Path, signer: Signer, tmp_path: Path) -> None:
    sign = tmp_path / "code ran"
    payload = pickle.dumps(_Bomb(sign))
    pickle.loads(payload)
    assert sign.exists()  # so the payload would work
    sign.rmdir()
    (copy / "estimator.pkl").write_bytes(payload)
    with pytest.raises(
        PackageError, match=r"estimator\.pkl was altered after signing; the package is not loaded"
    ):
        PackagedModel.open(copy, signer.verifier)
    # Nor with a manifest that names the payload, which the thief cannot sign.
    manifest = json.loads((copy / "manifest.json").read_bytes())
    manifest["files"]["estimator.pkl"] = digests.of_bytes(payload)
    (copy / "manifest.json").write_bytes(digests.canonical_json(manifest))
    with pytest.raises(PackageError, match="not signed with the platform key"):
        PackagedModel.open(copy, signer.verifier)
    # Nor signed with another key.
    other = Signer.for_home(tmp_path / "thief")
    (copy / "manifest.sig").write_bytes(other.sign((copy / "manifest.json").read_bytes()))
    with pytest.raises(PackageError, match="not signed with the platform key"):
        PackagedModel.open(copy, signer.verifier)
    assert not sign.exists()


def test_a_pickle_exchanged_after_the_package_was_opened_does_not_run(
    make_spec: MakeSpec, make_rows: MakeRows, make_package: MakePackage, signer: Signer, tmp_path: Path
) -> None:
    written = make_package(make_spec(data={"features": ["a", "b"]}), make_rows(), onnx=False)
    opened = PackagedModel.open(written.folder, signer.verifier)
    sign = tmp_path / "code ran"
    (written.folder / "estimator.pkl").write_bytes(pickle.dumps(_Bomb(sign)))
    with pytest.raises(PackageError, match="was altered after signing"):
        opened.predict(make_rows())
    assert not sign.exists()


def test_a_file_the_manifest_does_not_name_is_never_read(
    copy: Path, signer: Signer, original: PackagedModel, tmp_path: Path
) -> None:
    assert original.uses_onnx
    (copy / "features.py").write_text("raise SystemExit('code ran')")
    opened = PackagedModel.open(copy, signer.verifier)
    assert len(opened.predict(opened.reference())) == 200


@pytest.mark.parametrize("name", ["estimator.pkl", "estimator.onnx", "reference.parquet"])
@pytest.mark.parametrize("how", ["flipped bit", "truncated", "gone"])
def test_any_spoilt_file_is_named(copy: Path, signer: Signer, name: str, how: str) -> None:
    file = copy / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(content if how == "flipped bit" else content[:-1])
    with pytest.raises(PackageError, match=name):
        PackagedModel.open(copy, signer.verifier)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.sig"])
def test_a_spoilt_manifest_or_signature_is_refused(copy: Path, signer: Signer, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[10] ^= 1
    for spoilt in (bytes(content), b"", bytes(content) * 2):
        (copy / name).write_bytes(spoilt)
        with pytest.raises(PackageError, match="not signed with the platform key; not loaded"):
            PackagedModel.open(copy, signer.verifier)
    (copy / name).unlink()
    with pytest.raises(PackageError, match="holds no packaged model"):
        PackagedModel.open(copy, signer.verifier)


def test_another_format_is_refused_with_what_to_do(copy: Path, signer: Signer) -> None:
    manifest = json.loads((copy / "manifest.json").read_bytes())
    content = digests.canonical_json({**manifest, "format": 99})
    (copy / "manifest.json").write_bytes(content)
    (copy / "manifest.sig").write_bytes(signer.sign(content))
    with pytest.raises(PackageError, match="retrain it with this version"):
        PackagedModel.open(copy, signer.verifier)


def test_what_the_log_keeps_travels_and_packages_of_before_keep_their_name(
    make_spec: MakeSpec, make_rows: MakeRows, make_package: MakePackage, signer: Signer
) -> None:
    features = ["a", {"name": "b", "log": "hash"}]
    spec = make_spec(data={"features": features, "entity": {"column": "who", "log": "hash"}})
    made = make_package(spec, make_rows())
    manifest = replace(made.manifest, entity=spec.data.entity)
    again = Manifest.from_bytes(manifest.to_bytes())
    assert again == manifest
    assert [column.log for column in again.inputs] == ["keep", "hash"]
    plain = make_package(make_spec(data={"features": ["a", "b"]}), make_rows())
    content = (plain.folder / "manifest.json").read_bytes()
    assert b"entity" not in content
    assert b"log" not in content
    assert Manifest.from_bytes(content).to_bytes() == content
