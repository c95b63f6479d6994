"""Models that were trained elsewhere: read as data, never as code.

A pickle runs whatever it names while it is read, so a model file from elsewhere is taken only in a form that
cannot: ONNX, a graph of known operations, or skops, a tree of types that is held against our own list before
anything is made of it. All other files are refused with what they would have run.

Source: "Restricting Globals" in Python's documentation of pickle (why no list makes unpickling of foreign
files safe); skops' documentation, "Secure persistence with skops".
"""

import importlib
import inspect
import io
import json
import pickletools
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import TrainingError
from mlops_assets.specs.tasks import Task

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_SHOWN = 10
# How skops keeps plain values, and arrays and random generators.
_VALUES = ("JsonNode", "ListNode", "TupleNode", "DictNode", "SetNode", "SliceNode", "TypeNode")
_ARRAYS = (
    "NdArrayNode",
    "MaskedArrayNode",
    "SparseMatrixNode",
    "RandomStateNode",
    "RandomGeneratorNode",
    "TypeNode",
)
# What skops makes by a call with arguments from the file, which therefore must be nothing else.
_CALLED = {
    "LossNode": ("sklearn._loss._loss", "sklearn.linear_model._sgd_fast"),
    "TreeNode": ("sklearn.tree._tree",),
}
# What scikit-learn is tested with, and fetches data with: it writes files, starts processes, asks the web.
_NO_MODELS = ("sklearn.utils._testing", "sklearn.datasets", "sklearn.externals")
_PLAIN = frozenset(
    f"builtins.{name}"
    for name in ("dict", "list", "tuple", "set", "str", "int", "float", "bool", "bytes", "slice", "NoneType")
)


def read_model(content: bytes, name: str, task: Task) -> Any:
    """Return the estimator that a model file holds.

    Args:
        content: The file.
        name: What it is called; it ends with ``.onnx`` or ``.skops``.
        task: What it is to predict.

    Raises:
        TrainingError: It is of another form, damaged, or holds types that are not on our list.
    """
    suffix = Path(name).suffix
    if suffix == ".onnx":
        return OnnxModel(content, name, task)
    if suffix == ".skops":
        return _from_skops(content, name)
    raise TrainingError(
        f"{name} is not read: a model from elsewhere has to be ONNX (.onnx) or skops (.skops)"
        + _what_it_would_run(content)
    )


class OnnxModel:
    """An ONNX graph as an estimator: one matrix of features in, probabilities or values out.

    Args:
        form: The graph.
        name: Name of its file, for errors.
        task: What it predicts.
    """

    def __init__(self, form: bytes, name: str, task: Task) -> None:
        self.form, self.task, self._session = form, task, None
        self._opened(name)
        if task != "regression":
            self.classes_ = self._classes()

    def predict(self, features: "pd.DataFrame") -> "np.ndarray[Any, Any]":
        """Return values, or the likeliest classes; shape (n,)."""
        if self.task == "regression":
            return self._run(features).reshape(-1)
        best: np.ndarray[Any, Any] = self.classes_[self._run(features).argmax(axis=1)]
        return best

    def predict_proba(self, features: "pd.DataFrame") -> "np.ndarray[Any, Any]":
        """Return the classes' probabilities, shape (n, classes)."""
        return self._run(features)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the session behind, which cannot be kept."""
        return {**self.__dict__, "_session": None}

    def _opened(self, name: str = "the graph") -> Any:
        from mlops_assets.training.onnx_form import open_session

        if self._session is None:
            try:
                session = open_session(self.form)
            except Exception as error:  # onnxruntime raises many kinds for what is no graph
                said = str(error).splitlines()[0]
                raise TrainingError(f"{name} is no ONNX graph that can be run: {said}") from error
            if len(session.get_inputs()) != 1:
                raise TrainingError(f"{name} takes {len(session.get_inputs())} inputs, and not one matrix")
            self._session = session
        return self._session

    def _run(self, features: "pd.DataFrame") -> "np.ndarray[Any, Any]":
        import numpy as np

        session = self._opened()
        (takes,) = session.get_inputs()
        width = takes.shape[-1]
        if isinstance(width, int) and width != features.shape[1]:
            raise TrainingError(f"the graph takes {width} features, and the spec gives {features.shape[1]}")
        found = session.run(None, {takes.name: features.to_numpy(dtype="float32")})[-1]
        if isinstance(found, list):  # one dictionary of probabilities for each row, as converters write it
            found = [[row[label] for label in sorted(row)] for row in found]
        return np.asarray(found, dtype="float64")

    def _classes(self) -> "np.ndarray[Any, Any]":
        """Return the classes in the order of their probabilities: by number, as the target has them."""
        import numpy as np
        import pandas as pd

        width = self._opened().get_inputs()[0].shape[-1]
        if not isinstance(width, int):
            raise TrainingError("the graph does not tell how many features it takes")
        probabilities = self._run(pd.DataFrame(np.zeros((1, width), dtype="float32")))
        if probabilities.ndim != 2:
            raise TrainingError("the last output of the graph is no probability of each class")
        return np.arange(probabilities.shape[1])


def _from_skops(content: bytes, name: str) -> Any:
    import skops.io

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            schema = json.loads(archive.read("schema.json"))
    except (zipfile.BadZipFile, KeyError, ValueError) as error:
        raise TrainingError(f"{name} is no skops file: {error}") from error
    named = dict.fromkeys(_nodes(schema))
    foreign = sorted({".".join(kind) for loader, *kind in named if not _is_allowed(loader, *kind)})
    if foreign:
        raise TrainingError(f"{name} is not read: it holds types that are not on the list: {_some(foreign)}")
    try:
        return skops.io.loads(content, trusted=sorted({".".join(kind) for _, *kind in named}))
    except Exception as error:  # of many kinds, for what is damaged
        raise TrainingError(f"{name} cannot be read: {type(error).__name__}: {error}") from error


def _nodes(schema: Any) -> Iterator[tuple[str, str, str]]:
    """Yield how each part of a skops file would be made, and the module and name of what it would be."""
    if isinstance(schema, dict):
        if "__class__" in schema or "__loader__" in schema:
            yield str(schema.get("__loader__")), str(schema.get("__module__")), str(schema.get("__class__"))
        for part in schema.values():
            yield from _nodes(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from _nodes(part)


def _is_allowed(loader: str, module: str, name: str) -> bool:
    if module == "builtins":
        return loader in _VALUES and f"{module}.{name}" in _PLAIN
    found = _class_of(module, name)
    if found is None:
        return False
    if not found.__module__.startswith("sklearn."):
        return loader in _ARRAYS and issubclass(found, _array_types())
    if loader in _CALLED:
        return found.__module__ in _CALLED[loader]
    return loader in ("ObjectNode", "TypeNode") and not found.__module__.startswith(_NO_MODELS)


def _class_of(module: str, name: str) -> type[Any] | None:
    """Return the class that a skops file names, if a library it may come from defines it.

    Its name says nothing: these libraries' modules hold functions, too, that start processes and delete
    folders, and classes that are not their own.
    """
    library, *below = module.split(".")
    # A __main__ is a program, which runs when it is imported.
    if library not in ("numpy", "scipy", "sklearn") or any(part.startswith("__") for part in below):
        return None
    try:
        found = getattr(importlib.import_module(module), name, None)
    except Exception:  # there is no such module, or it is none that can be imported here
        return None
    own = inspect.isclass(found) and found.__module__.partition(".")[0] == library
    return found if own else None


def _array_types() -> tuple[type[Any], ...]:
    import numpy as np
    import scipy.sparse as sp

    generators = np.random.RandomState, np.random.Generator, np.random.BitGenerator
    return np.ndarray, np.generic, np.dtype, sp.spmatrix, sp.sparray, *generators


def _what_it_would_run(content: bytes) -> str:
    """Return what a pickle names, without reading it; of other files nothing."""
    names: list[str] = []
    strings: list[str] = []
    try:
        for code, argument, _ in pickletools.genops(content):
            if code.name == "GLOBAL":
                names.append(str(argument).replace(" ", "."))
            elif code.name == "STACK_GLOBAL" and len(strings) > 1:
                names.append(".".join(strings[-2:]))
            elif isinstance(argument, str):
                strings.append(argument)
    except Exception:  # no pickle, or only its beginning: what was found so far is told
        pass
    return f"; as a pickle it would run {_some(list(dict.fromkeys(names)))}" if names else ""


def _some(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
