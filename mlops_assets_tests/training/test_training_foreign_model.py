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
from onnx import TensorProto, helper
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


def keeping_weights_in(file: str, inside: bool) -> bytes:
    """Return a graph whose weights are the bytes of a file, in the graph itself or in a branch of it."""
    weights = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[3, 1])
    weights.data_location = TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", "0"), ("length", "3")):
        weights.external_data.add(key=key, value=value)
    matrix = helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 3])
    out = helper.make_tensor_value_info("values", TensorProto.FLOAT, [None, 1])
    nodes = [
        helper.make_node("Cast", ["w"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["features", "numbers"], ["values"]),
    ]
    graph = helper.make_graph(nodes, "weighted", [] if inside else [matrix], [out], [weights])
    if inside:
        chosen = [helper.make_node("If", ["always"], ["values"], then_branch=graph, else_branch=graph)]
        always = helper.make_tensor("always", TensorProto.BOOL, [], [True])
        graph = helper.make_graph(chosen, "choosing", [matrix], [out], [always])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("file", ["weights.bin", "keys/platform_ed25519.pem", "../weights.bin"])
def test_an_onnx_graph_whose_weights_are_in_another_file_is_refused(
    file: str, inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would not be among what was judged and signed; and might be no weights but the platform's key."""
    folder = tmp_path / "project"
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(b"key")
    monkeypatch.chdir(folder)
    with pytest.raises(TrainingError, match=r"score\.onnx is no ONNX graph that can be run"):
        read_model(keeping_weights_in(file, inside), "score.onnx", "regression")


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


def calling(loader: str, module: str, name: str, argument: str) -> Any:
    """Return a change of a skops file that has its reader call something with a text."""
    text = {"__module__": "builtins", "__class__": "str", "__loader__": "JsonNode", "is_json": True}
    arguments = {"__module__": "builtins", "__class__": "tuple", "__loader__": "TupleNode", "__id__": 901}
    node = {
        "__module__": module,
        "__class__": name,
        "__loader__": loader,
        "__id__": 900,
        "__reduce__": {"args": {**arguments, "content": [{**text, "content": json.dumps(argument)}]}},
        "content": {**text, "content": "{}", "__id__": 902},
    }

    def change(schema: Any) -> Any:
        schema["content"]["content"]["extra"] = node
        schema["content"]["key_types"]["content"].append({**text, "__loader__": "TypeNode"})
        return schema

    return change


@pytest.mark.parametrize("loader", ["LossNode", "TreeNode", "ObjectNode", "TypeNode"])
@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sklearn.utils._testing", "assert_run_python_script_without_output"),
        ("sklearn.utils._testing", "TempMemmap"),
        ("sklearn.datasets", "clear_data_home"),
        ("sklearn.datasets._base", "import_module"),
        ("sklearn.datasets._base", "Path"),
        ("numpy.testing", "runstring"),
        ("numpy.f2py", "run_main"),
        ("numpy.f2py.__main__", "main"),
        ("scipy.sparse", "load_npz"),
    ],
)
def test_what_a_library_can_do_but_no_model_is_made_of_is_refused(
    loader: str, module: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = skops.io.dumps(LogisticRegression().fit(ROWS, LABELS))
    script = "import pathlib; pathlib.Path('this_ran').mkdir()"
    poisoned = rewritten(content, calling(loader, module, name, script))
    with pytest.raises(TrainingError, match=f"not on the list: {module}.{name}"):
        read_model(poisoned, "score.skops", "binary_classification")
    assert not list(tmp_path.iterdir())


def test_a_loss_is_made_by_nothing_but_a_loss() -> None:
    content = skops.io.dumps(LogisticRegression().fit(ROWS, LABELS))
    poisoned = rewritten(content, calling("LossNode", "sklearn.pipeline", "Pipeline", "[]"))
    with pytest.raises(TrainingError, match=r"not on the list: sklearn\.pipeline\.Pipeline"):
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
