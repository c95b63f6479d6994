"""The feature view: one function for training and serving, carried along as source code.

A model's features are computed by the team's function, or are the declared columns themselves. The
function's source file travels inside the packaged model, and both the offline stage and the gateway
run that copy, so what is served is what was trained, whatever has since changed in the project.
"""

import ast
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mlops_assets import digests
from mlops_assets.errors import DataError, SpecError
from mlops_assets.specs.data_spec import Column, Data
from mlops_assets.specs.references import is_installed, source_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class FeatureView:
    """How raw columns become features.

    Attributes:
        inputs: The raw columns, in declared order.
        source: Source code of the feature function's module; None if the inputs are the features.
        function: Name of the function in that module.
    """

    inputs: tuple[Column, ...]
    source: str | None = None
    function: str | None = None

    @classmethod
    def from_spec(cls, data: Data) -> "FeatureView":
        """Return the view a spec declares.

        Raises:
            SpecError: The feature function's module does not import, or imports project code, which
                would not travel with the model.
        """
        if data.feature_function is None:
            return cls(data.features)
        file = source_of(data.feature_function)
        function = data.feature_function.partition(":")[2]
        code = file.read_text(encoding="utf-8")
        _require_self_contained(code, file)
        return cls(data.features, code, function)

    @property
    def digest(self) -> str:
        """Digest of the inputs' declarations and of the code."""
        inputs = [c.model_dump(mode="json") for c in self.inputs]
        return digests.of_json({"inputs": inputs, "source": self.source, "function": self.function})

    def compute(self, rows: "pd.DataFrame", types: Mapping[str, str] = _NOTHING) -> "pd.DataFrame":
        """Return one row of features for each row of raw columns.

        Numeric features come as float32, the precision in which the model is served, and text as
        pandas' ``str``, the one type that also comes back from Parquet.

        Args:
            rows: Raw columns in their declared types.
            types: Type by feature, as :func:`types_of` tells it of many rows: a feature that is missing
                in all of a request's few rows does not tell its own.

        Raises:
            DataError: The function failed, returned other rows than it was given, or a feature is
                neither numbers nor text.
        """
        raw = in_order(rows, [c.name for c in self.inputs])
        if self.source is None:
            return _as_served(raw, types)
        try:
            features = _load(self.source, str(self.function))(raw.copy())
        except Exception as error:
            raise DataError(
                f"feature function {self.function} failed: {type(error).__name__}: {error}"
            ) from error
        _require_a_row_each(features, raw, str(self.function))
        return _as_served(features, types)


def in_order(frame: "pd.DataFrame", names: list[str]) -> "pd.DataFrame":
    """Return some columns, in an order; a frame that is just that is not picked anew, which takes long."""
    return frame if [*frame.columns] == names else frame[names]


def types_of(features: "pd.DataFrame") -> dict[str, str]:
    """Return the type of each feature that has a value in at least one row."""
    return {str(name): str(column.dtype) for name, column in features.items() if column.notna().any()}


def _require_a_row_each(features: Any, raw: "pd.DataFrame", function: str) -> None:
    import pandas as pd

    if not isinstance(features, pd.DataFrame):
        raise DataError(f"feature function {function} must return a DataFrame, not {type(features).__name__}")
    if len(features) != len(raw) or not features.index.equals(raw.index):
        raise DataError(
            f"feature function {function} returned {len(features)} rows for {len(raw)}; "
            "it must return one row for each, with the same index"
        )
    if features.columns.empty or features.columns.has_duplicates:
        raise DataError(f"feature function {function} must return columns, each under a name of its own")


def _as_served(features: "pd.DataFrame", types: Mapping[str, str]) -> "pd.DataFrame":
    import pandas as pd

    converted = {
        str(name): _served_column(str(name), column, types.get(str(name)))
        for name, column in features.items()
    }
    return pd.DataFrame(converted, index=features.index)


def _served_column(
    name: str, column: "pd.Series[Any]", known_type: str | None
) -> "pd.Series[Any] | np.ndarray[Any, Any]":
    import numpy as np
    import pandas as pd

    # Nearly all columns of a request are one of these two, and what follows takes long.
    if known_type == "float32" and isinstance(column.dtype, np.dtype) and column.dtype.kind in "biuf":
        return column.to_numpy(dtype="float32")
    if str(column.dtype) == known_type:
        return column
    if known_type is not None and column.isna().all():
        return pd.Series(float("nan"), index=column.index, dtype=known_type)
    if isinstance(column.dtype, pd.CategoricalDtype) or column.dtype == object:
        column = column.astype("object").infer_objects()
    if pd.api.types.is_numeric_dtype(column.dtype):
        return column.astype("float32")
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise DataError(f"feature {name!r} is a time; compute numbers from it in data.feature_function")
    if not isinstance(column.dtype, pd.StringDtype):
        kind = pd.api.types.infer_dtype(column, skipna=True)
        if kind == "decimal" or kind in ("integer", "boolean", "mixed-integer-float", "floating"):
            return column.astype("float32")
        if kind not in ("string", "empty"):
            raise DataError(f"feature {name!r} holds {kind} values; a feature is numbers or text")
    return column.astype("str")


_loaded: dict[str, Callable[..., Any]] = {}


def _load(source: str, function: str) -> Callable[..., Any]:
    """Return the function from ``source``, loaded under a name of its own.

    Two versions of one feature module live side by side in a gateway, so the module is known by
    its digest and never by the name it has in the project.
    """
    name = f"_mlops_features_{digests.of_bytes(source.encode())[:16]}"
    if (key := f"{name}:{function}") not in _loaded:
        spec = importlib.util.spec_from_loader(name, loader=None)
        assert spec is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        exec(compile(source, f"<{name}>", "exec"), module.__dict__)
        _loaded[key] = getattr(module, function)
    return _loaded[key]


def _require_self_contained(code: str, file: Path) -> None:
    for node in ast.walk(ast.parse(code)):
        imported: list[str] = []
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported = ["." if node.level else str(node.module)]
        for name in imported:
            if name == "." or not is_installed(name):
                raise SpecError(
                    f"{file}:{getattr(node, 'lineno', 1)}: a feature module travels with the model, so it "
                    f"may import installed libraries only, not project code ({name}); move what it "
                    "needs into this file"
                )
