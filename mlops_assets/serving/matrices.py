"""The usual request of a model of numbers, read straight into a matrix.

Nearly all requests are right and look alike, and for them pandas takes a hundred times as long as the model.
So they are decoded and checked as a whole. What does not fit, be it wrong or only unusual, is left to
:mod:`mlops_assets.serving.rows`, which knows every form and says what is wrong. A request that is read here
would be read there with the same result.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.serving.answer_form import PLAIN, AnswerForm, answer_form
from mlops_assets.serving.plausibility import outside, refusing
from mlops_assets.serving.rows import LARGEST, MAX_ROWS, Logged
from mlops_assets.specs.durations import naive_utc
from mlops_assets.specs.model_spec import Column
from mlops_assets.training.package import Manifest

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_NUMBERS = frozenset({float, type(None)})
_TRUTHS = _NUMBERS | {bool}
_FLOATS = frozenset({"FP64", "FP32", "FP16"})
_DATATYPES = {"number": _FLOATS, "integer": _FLOATS | {"INT64"}, "boolean": frozenset({"BOOL"})}
# Above this not every whole number is a float, and the log is to hold what was sent.
_EXACT = 2.0**53
_LAYOUTS_REMEMBERED = 64
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)

_Value = float | bool | str | None
_Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, eq=False)
class Decoded:
    """A request's rows, of which no value has been looked at.

    Attributes:
        layout: How the columns lie in the rows.
        rows: The rows as they were sent.
        numbers: The rows without their time.
        times: When each row's event happened, naive UTC, if the request tells.
        form: What is asked of the answer.
    """

    layout: "Layout"
    rows: _Rows
    numbers: _Rows
    times: Sequence[datetime] | None
    form: AnswerForm

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def sent(self) -> dict[str, list[Any]]:
        """The columns as they were sent."""
        by_column = map(list, zip(*self.rows, strict=True))
        return dict(zip(self.layout.columns, by_column, strict=True))

    @property
    def logged(self) -> "Logged":
        """The columns by name, for the log."""
        return self.layout.by_name, self.layout.sorted([*zip(*self.rows, strict=True)])


@dataclass(frozen=True, eq=False)
class Matrix(Decoded):
    """A request's rows, each value of which is right.

    Attributes:
        values: Numbers by row and input, in the signature's order, float64; missing ones are NaN.
    """

    values: "Array"


class MatrixReader:
    """Reads the requests of one version.

    Args:
        manifest: Declares the inputs, each a number, an integer or a boolean.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._names = tuple(column.name for column in manifest.inputs)
        self._time = manifest.time_column
        self._datatypes = {column.name: _DATATYPES[column.type] for column in manifest.inputs}
        self._datatypes.setdefault(self._time, frozenset({"BYTES"}))
        self._fits = _checks(manifest.inputs)
        self._layouts: dict[tuple[str, ...], Layout] = {}

    @classmethod
    def of(cls, manifest: Manifest) -> "MatrixReader | None":
        """Return a reader, or None for a model that takes more than numbers or computes features."""
        numeric = all(column.type in _DATATYPES for column in manifest.inputs)
        as_they_are = manifest.feature_names == tuple(column.name for column in manifest.inputs)
        return cls(manifest) if numeric and as_they_are and manifest.feature_function is None else None

    def read_mlflow(self, content: bytes) -> Matrix | None:
        """Return a request in one of MLflow's forms, or None if it has to be read otherwise."""
        return self._checked(self.decode_mlflow(content))

    def read_oip(self, sent: bytes | dict[str, Any]) -> Matrix | None:
        """Return a request of the Open Inference Protocol, or None if it has to be read otherwise.

        Args:
            sent: The body, or what it is once every tensor has its data.

        Raises:
            Refusal: 400: what is asked of the answer is not what the protocol says.
        """
        return self._checked(self.decode_oip(sent))

    def decode_mlflow(self, content: bytes) -> Decoded | None:
        """Return what :meth:`read_mlflow` does, before a value is looked at."""
        try:
            body = _mlflow.decode(content)
        except (msgspec.MsgspecError, RecursionError):
            return None
        given = [(name, form) for name in _FORMS if (form := getattr(body, name)) is not msgspec.UNSET]
        if len(given) != 1 or not given[0][1]:
            return None
        name, form = given[0]
        if name == "dataframe_split":
            return self._decoded(form.columns, form.data)
        if name == "dataframe_records":
            columns = tuple(form[0])
            rows = [tuple(record.values()) for record in form if tuple(record) == columns]
            return self._decoded(columns, rows) if len(rows) == len(form) else None
        return self._decoded(self._names, form)

    def decode_oip(self, sent: bytes | dict[str, Any]) -> Decoded | None:
        """Return what :meth:`read_oip` does, before a value is looked at."""
        try:
            body = _oip.decode(sent) if isinstance(sent, bytes) else msgspec.convert(sent, _OipBody)
        except (msgspec.MsgspecError, RecursionError):
            return None
        if not body.inputs:
            return None
        count = len(body.inputs[0].data)
        for tensor in body.inputs:
            if tensor.shape not in ((count,), (count, 1)) or len(tensor.data) != count:
                return None
            if tensor.datatype not in self._datatypes.get(tensor.name, ()):
                return None
        columns = tuple(tensor.name for tensor in body.inputs)
        rows = list(zip(*(tensor.data for tensor in body.inputs), strict=True))
        form = answer_form(body.id, body.outputs, body.parameters)
        return self._decoded(columns, rows, form)

    def values(self, layout: "Layout", numbers: _Rows) -> "Array | None":
        """Return rows, of one request or of several, as :attr:`Matrix.values`; None if one does not fit."""
        import numpy as np

        if not layout.holds_numbers(numbers):
            return None
        values = np.array(numbers, dtype="float64")
        if layout.places is not None:
            values = values[:, layout.places]
        return values if self._fits(values) else None

    def _checked(self, found: Decoded | None) -> Matrix | None:
        if found is None or (values := self.values(found.layout, found.numbers)) is None:
            return None
        return Matrix(found.layout, found.rows, found.numbers, found.times, found.form, values)

    def _decoded(self, columns: tuple[str, ...], rows: _Rows, form: AnswerForm = PLAIN) -> Decoded | None:
        layout = self._layouts.get(columns) or self._find_layout(columns)
        if layout is None or not 0 < len(rows) <= MAX_ROWS:
            return None
        if any(len(row) != len(columns) for row in rows):
            return None
        if (place := layout.time) is None:
            return Decoded(layout, rows, rows, None, form)
        times = _times([row[place] for row in rows])
        numbers = [(*row[:place], *row[place + 1 :]) for row in rows]
        return None if times is None else Decoded(layout, rows, numbers, times, form)

    def _find_layout(self, columns: tuple[str, ...]) -> "Layout | None":
        numbers = tuple(name for name in columns if name != self._time)
        if len(numbers) < len(columns) - 1 or sorted(numbers) != sorted(self._names):
            return None
        time = columns.index(self._time) if len(numbers) < len(columns) else None
        places = None if numbers == self._names else [numbers.index(name) for name in self._names]
        truths = [self._datatypes[name] is _DATATYPES["boolean"] for name in numbers]
        layout = Layout(columns, time, places, tuple(truths) if any(truths) else None)
        if len(self._layouts) < _LAYOUTS_REMEMBERED:
            self._layouts[columns] = layout
        return layout


class Layout:
    """How the columns of a request lie in its rows.

    Args:
        columns: In the order in which they were sent.
        time: Where the time stands in a row, if it is sent.
        places: Where each input stands among the other columns; None if they are in order.
        truths: Which of them are booleans; None if none is.

    Attributes:
        by_name: The columns, sorted.
        sorted: Sorts what belongs to the columns in the same way.
    """

    def __init__(
        self,
        columns: tuple[str, ...],
        time: int | None,
        places: list[int] | None,
        truths: tuple[bool, ...] | None,
    ) -> None:
        self.columns, self.time, self.places, self.truths = columns, time, places, truths
        self.by_name = tuple(sorted(columns))
        places_by_name = [columns.index(name) for name in self.by_name]
        self.sorted: Callable[[_Rows], _Rows] = itemgetter(*places_by_name) if len(columns) > 1 else tuple

    def holds_numbers(self, rows: _Rows) -> bool:
        """Return whether rows without their time hold numbers, and truth values only where they may."""
        if self.truths is None:
            return _NUMBERS.issuperset(map(type, chain.from_iterable(rows)))
        columns = zip(self.truths, zip(*rows, strict=True), strict=True)
        return all(
            (_TRUTHS if truth else _NUMBERS).issuperset(map(type, column)) for truth, column in columns
        )


def _checks(inputs: Sequence[Column]) -> Any:
    """Return a function that tells whether a matrix holds only what the inputs' declarations allow."""
    import numpy as np

    whole = [i for i, column in enumerate(inputs) if column.type == "integer"]
    truths = [i for i, column in enumerate(inputs) if column.type == "boolean"]
    required = [i for i, column in enumerate(inputs) if not column.nullable]
    refused = refusing(inputs)

    def fit(values: "Array") -> bool:
        # count_nonzero is what takes least of a few numbers.
        if np.count_nonzero(np.abs(values) > LARGEST):
            return False
        if required and np.count_nonzero(np.isnan(values)) and np.isnan(values[:, required]).any():
            return False
        if whole:
            numbers = values[:, whole]
            if ((numbers != np.floor(numbers)) & ~np.isnan(numbers) | (np.abs(numbers) > _EXACT)).any():
                return False
        if any(outside(column, values[:, place]).any() for place, column in refused):
            return False
        return not truths or bool(np.isin(values[:, truths], (0.0, 1.0)).all())

    return fit


def _times(values: Sequence[Any]) -> list[datetime] | None:
    """Return times that are written in the usual way."""
    if not all(isinstance(value, str) and _TIME.fullmatch(value) for value in values):
        return None
    try:
        return [naive_utc(datetime.fromisoformat(value)) for value in values]
    except ValueError:
        return None


class _Split(msgspec.Struct):
    columns: tuple[str, ...]
    data: list[list[_Value]]


class _MlflowBody(msgspec.Struct):
    dataframe_split: _Split | msgspec.UnsetType = msgspec.UNSET
    dataframe_records: list[dict[str, _Value]] | msgspec.UnsetType = msgspec.UNSET
    inputs: list[list[_Value]] | msgspec.UnsetType = msgspec.UNSET
    instances: list[list[_Value]] | msgspec.UnsetType = msgspec.UNSET


class _Tensor(msgspec.Struct):
    name: str
    shape: tuple[int, ...]
    datatype: str
    data: list[_Value]
    parameters: dict[str, Any] | None = None


class _OipBody(msgspec.Struct):
    inputs: list[_Tensor]
    id: str | None = None
    outputs: Any = None
    parameters: Any = None


_FORMS = _MlflowBody.__struct_fields__
_mlflow = msgspec.json.Decoder(_MlflowBody)
_oip = msgspec.json.Decoder(_OipBody)
