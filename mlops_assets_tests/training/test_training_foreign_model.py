"""A model from elsewhere answers as it did there, or is refused with what it would have run."""

import io
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mlops_assets.errors import TrainingError
from mlops_assets.specs.model_spec import Training
from mlops_assets.training.foreign_model import read_model
from mlops_assets.training.onnx_form import convert
from mlops_assets.training.trainer import fit

ROWS = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 3)).astype("float32"), columns=list("abc"))
LABELS = (ROWS["a"] > 0).astype(int) + (ROWS["b"] > 1)
MODELS = [
    LogisticRegression(),
    HistGradientBoostingClassifier(max_iter=3),
    RandomForestClassifier(3, random_state=0),
    make_pipeline(StandardScaler(), LogisticRegression()),
]


class Harmful:
    def __reduce__(self) -> Any:
        return os.mkdir, ("this_ran",)


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_a_skops_file_answers_as_it_did_where_it_was_made(model: Any) -> None:
    model.fit(ROWS, LABELS)
    read = read_model(skops.io.dumps(model), "score.skops", "multiclass_classification")
    assert (read.predict_proba(ROWS) == model.predict_proba(ROWS)).all()


@pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)
def test_an_onnx_graph_answers_as_the_model_it_was_made_of(model: Any) -> None:
    model.fit(ROWS.to_numpy(), LABELS)
    read = read_model(convert(model, 3), "score.onnx", "multiclass_classification")
    np.testing.assert_allclose(read.predict_proba(ROWS), model.predict_proba(ROWS.to_numpy()), atol=1e-5)
    assert (pickle.loads(pickle.dumps(read)).predict(ROWS) == model.predict(ROWS.to_numpy())).mean() > 0.99
    with pytest.raises(TrainingError, match="takes 3 features, and the spec gives 2"):
        read.predict(ROWS[["a", "b"]])


def test_an_onnx_graph_of_values_is_a_regression() -> None:
    model = LinearRegression().fit(ROWS.to_numpy(), ROWS["a"] * 3 + 1)
    read = read_model(convert(model, 3), "score.onnx", "regression")
    np.testing.assert_allclose(read.predict(ROWS), ROWS["a"] * 3 + 1, atol=1e-4)


@pytest.mark.parametrize("write", [pickle.dump, joblib.dump], ids=["pickle", "joblib"])
@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model.onnx", "model.skops"])
def test_a_pickle_under_any_name_is_refused_and_does_not_run(
    write: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = io.BytesIO()
    write({"model": Harmful()}, file)
    with pytest.raises(TrainingError, match=name) as refused:
        read_model(file.getvalue(), name, "regression")
    if name.endswith(("pkl", "joblib")):
        assert "it would run posix.mkdir" in str(refused.value)
    assert not (tmp_path / "this_ran").exists()


def test_types_that_are_not_on_the_list_are_named() -> None:
    harmful = make_pipeline(FunctionTransformer(func=os.system), LogisticRegression())
    content = skops.io.dumps(harmful)
    with pytest.raises(TrainingError, match=r"types that are not on the list: (os|posix)\.system"):
        read_model(content, "score.skops", "binary_classification")


def rewritten(content: bytes, change: Any) -> bytes:
    """Return a skops file with another schema."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for item in old.infolist():
            body = old.read(item)
            new.writestr(
                item, json.dumps(change(json.loads(body))) if item.filename == "schema.json" else body
            )
    return out.getvalue()


@pytest.mark.parametrize(
    "loader", ["OperatorFuncNode", "MethodNode", "PartialNode", "FunctionNode", "ReduceNode"]
)
@pytest.mark.parametrize(
    "kind", [("operator", "attrgetter"), ("sklearn.utils", "check_array"), ("builtins", "eval")]
)
def test_nodes_that_call_something_are_refused_whatever_they_name(loader: str, kind: tuple[str, str]) -> None:
    content = skops.io.dumps(LogisticRegression().fit(ROWS, LABELS))
    module, name = kind
    call = {"__module__": module, "__class__": name, "__loader__": loader, "__id__": 1}
    poisoned = rewritten(content, lambda schema: {**schema, "content": {**schema["content"], "extra": call}})
    with pytest.raises(TrainingError, match=f"not on the list: {module}.{name}"):
        read_model(poisoned, "score.skops", "binary_classification")


@given(st.binary(max_size=300), st.sampled_from(["m.onnx", "m.skops", "m.pkl", "m"]))
def test_whatever_a_file_holds_it_is_read_or_refused(content: bytes, name: str) -> None:
    with pytest.raises(TrainingError):
        read_model(content, name, "regression")


def test_a_spec_can_name_a_model_file_beside_it(tmp_path: Path) -> None:
    model = LogisticRegression().fit(ROWS, LABELS > 0)
    (tmp_path / "score.skops").write_bytes(skops.io.dumps(model))
    training = Training.model_validate({"model_file": "score.skops"})
    found = fit(training, "binary_classification", ROWS, LABELS, tmp_path)
    assert (found.predict_proba(ROWS) == model.predict_proba(ROWS)).all()
    with pytest.raises(TrainingError, match=r"other\.skops cannot be read: No such file"):
        fit(Training.model_validate({"model_file": "other.skops"}), "regression", ROWS, LABELS, tmp_path)


@pytest.mark.parametrize("name", ["/etc/score.onnx", "../score.onnx", "a/../../score.skops", "score.pkl"])
def test_a_model_file_lies_beside_the_spec_and_is_of_a_safe_form(name: str) -> None:
    with pytest.raises(ValueError, match="model_file"):
        Training.model_validate({"model_file": name})
