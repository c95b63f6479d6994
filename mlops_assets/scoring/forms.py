"""Which form of a model scores a file: what serves, or the native one where that is much faster.

ONNX Runtime is far ahead on single rows, and behind scikit-learn on many rows of some models. So for a large
file both are timed on its first rows. They agree within single precision, or the package had no ONNX form.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from mlops_assets.errors import DataError
from mlops_assets.training.onnx_form import TOLERANCE
from mlops_assets.training.package import PackagedModel

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

FormName = Literal["onnx", "native"]

# Of fewer rows a scoring is done before scikit-learn is even imported.
MEASURED_FROM = 500_000
# So much faster the other form must be: what serves is preferred, and a near tie must not go now so, now so.
_WORTH_IT = 1.25
_TIMED_ROWS = 16_000
_ROUNDS = 4
# Of a slow model one round tells enough, and more would be a good part of its work.
_LONGEST_MEASURING = 0.2
_LEAST_ROWS_A_THREAD = 2_000


@dataclass(frozen=True)
class Choice:
    """A form, and why."""

    form: FormName
    says: str


class Form:
    """Predicts by one form of a package, on all cores; a context.

    Args:
        package: The package.
        form: Which form.
    """

    def __init__(self, package: PackagedModel, form: FormName) -> None:
        self._package, self._form = package, form
        self._pool = ThreadPoolExecutor(cores := len(os.sched_getaffinity(0)))
        # The native form uses all cores by itself, where its library can.
        self._slices = cores if form == "onnx" else 1

    def __enter__(self) -> "Form":
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown()

    def predict(self, rows: "Array | pd.DataFrame") -> "Array":
        """Return predictions as the package gives them.

        Raises:
            DataError: The feature function refuses the rows, or the model has no answer for them.
        """
        import numpy as np

        slices = max(1, min(self._slices, len(rows) // _LEAST_ROWS_A_THREAD))
        if slices == 1:
            return self._predicted(rows)
        bounds = [len(rows) * i // slices for i in range(slices + 1)]
        parts = [rows[low:high] for low, high in pairwise(bounds)]
        return np.concatenate(list(self._pool.map(self._predicted, parts)))

    def _predicted(self, rows: "Array | pd.DataFrame") -> "Array":
        import numpy as np
        import pandas as pd

        package, manifest = self._package, self._package.manifest
        try:
            if isinstance(rows, pd.DataFrame):
                features = package.view.compute(rows, manifest.feature_types)
                if self._form == "onnx" or not package.uses_onnx:
                    return package.predict_features(features)
            elif self._form == "onnx" or not package.uses_onnx:
                return package.predict_values(rows)
            else:
                features = pd.DataFrame(rows, columns=list(manifest.feature_names))
            raw = package.predict_natively(features)
        except DataError:
            raise
        except Exception as error:
            # It predicted real rows when it was loaded, so these rows are what it cannot take.
            said = f"the model cannot take these rows: {type(error).__name__}: {error}"
            raise DataError(said) from error
        return np.ascontiguousarray(raw[:, 1]) if manifest.task == "binary_classification" else raw


def form_named(name: str) -> FormName:
    """Return the form of a name.

    Raises:
        DataError: There is none.
    """
    if name not in get_args(FormName):
        raise DataError(f"there is no form {name!r}; a package has {' and '.join(get_args(FormName))}")
    return cast(FormName, name)


def served_form(package: PackagedModel) -> FormName:
    """Return the form that the gateway predicts with."""
    return "onnx" if package.uses_onnx else "native"


def choose(package: PackagedModel, rows: "Array | pd.DataFrame", total: int) -> Choice:
    """Return the form that is to score a file.

    Args:
        package: The package.
        rows: Its first rows, checked.
        total: About how many there are.
    """
    served = served_form(package)
    if served == "native":
        return Choice("native", "native, as it serves")
    if total < MEASURED_FROM:
        return Choice(
            "onnx", f"onnx, as it serves; fewer than {MEASURED_FROM:,} rows are not worth measuring"
        )
    import numpy as np

    sample = rows[:_TIMED_ROWS]
    times: list[tuple[float, float]] = []
    began = time.perf_counter()
    with Form(package, "onnx") as onnx, Form(package, "native") as native:
        try:
            # Interleaved, so that what else the machine does slows both.
            while len(times) < _ROUNDS and time.perf_counter() - began < _LONGEST_MEASURING:
                (expected, onnx_time), (found, native_time) = _timed(onnx, sample), _timed(native, sample)
                times.append((onnx_time, native_time))
        except DataError as error:
            return Choice("onnx", f"onnx, as it serves; the native form fails here ({error})")
    served_seconds, native_seconds = map(min, zip(*times, strict=True))
    difference = float(np.max(np.abs(found - expected) / np.maximum(1.0, np.abs(expected))))
    rates = f"{len(sample) / served_seconds:,.0f} rows/s, native {len(sample) / native_seconds:,.0f}"
    if not difference <= TOLERANCE:
        return Choice("onnx", f"onnx, as it serves; native differs by {difference:.1e} (onnx {rates})")
    if native_seconds * _WORTH_IT > served_seconds:
        return Choice("onnx", f"onnx, as it serves ({rates})")
    return Choice("native", f"native, which is faster (onnx {rates}) and differs by at most {difference:.1e}")


def _timed(form: Form, rows: "Array | pd.DataFrame") -> "tuple[Array, float]":
    """Return predictions, and how many seconds they took."""
    started = time.perf_counter()
    predicted = form.predict(rows)
    return predicted, time.perf_counter() - started
