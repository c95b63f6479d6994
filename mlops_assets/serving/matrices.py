"""The usual request of a model of numbers, read straight into a matrix.

Nearly all requests are right and look alike, and for them pandas takes a hundred times as long as the model.
So they are decoded and checked as a whole. What does not fit, be it wrong or only unusual, is left to
:mod:`mlops_assets.serving.rows`, which knows every form and says what is wrong. A request that is read here
would be read there with the same result.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec

from mlops_assets.serving.answer_form import PLAIN, AnswerForm, answer_form
from mlops_assets.serving.rows import LARGEST, MAX_ROWS
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
_ORDERS_REMEMBERED = 64
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)

_Value = float | bool | str | None
_Rows = Sequence[Sequence[Any]]


@dataclass(frozen=True, eq=False)
class Matrix:
    """A request's rows.

    Attributes:
        values: Numbers by row and input, in the signature's order, float64; missing ones are NaN.
        columns: The columns as they were sent.
        rows: The rows as they were sent.
        times: When each row's event happened, naive UTC, if the request tells.
        form: What is asked of the answer.
    """

    values: "Array"
    columns: tuple[str, ...]
    rows: _Rows
    times: Sequence[datetime] | None
    form: AnswerForm = PLAIN

    @property
    def sent(self) -> dict[str, list[Any]]:
        """The columns as they were sent, for the log."""
        by_column = map(list, zip(*self.rows, strict=True))
        return dict(zip(self.columns, by_column, strict=True))


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
        self._order = lru_cache(_ORDERS_REMEMBERED)(self._find_order)

    @classmethod
    def of(cls, manifest: Manifest) -> "MatrixReader | None":
        """Return a reader, or None for a model that takes more than numbers or computes features."""
        numeric = all(column.type in _DATATYPES for column in manifest.inputs)
        as_they_are = manifest.feature_names == tuple(column.name for column in manifest.inputs)
        return cls(manifest) if numeric and as_they_are and manifest.feature_function is None else None

    def read_mlflow(self, content: bytes) -> Matrix | None:
        """Return a request in one of MLflow's forms, or None if it has to be read otherwise."""
        try:
            body = _mlflow.decode(content)
        except (msgspec.MsgspecError, RecursionError):
            return None
        given = [(name, form) for name in _FORMS if (form := getattr(body, name)) is not msgspec.UNSET]
        if len(given) != 1 or not given[0][1]:
            return None
        name, form = given[0]
        if name == "dataframe_split":
            return self._matrix(form.columns, form.data)
        if name == "dataframe_records":
            columns = tuple(form[0])
            rows = [tuple(record.values()) for record in form if tuple(record) == columns]
            return self._matrix(columns, rows) if len(rows) == len(form) else None
        return self._matrix(self._names, form)

    def read_oip(self, sent: bytes | dict[str, Any]) -> Matrix | None:
        """Return a request of the Open Inference Protocol, or None if it has to be read otherwise.

        Args:
            sent: The body, or what it is once every tensor has its data.

        Raises:
            Refusal: 400: what is asked of the answer is not what the protocol says.
        """
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
        return self._matrix(columns, rows, form)

    def _matrix(self, columns: tuple[str, ...], rows: _Rows, form: AnswerForm = PLAIN) -> Matrix | None:
        import numpy as np

        order = self._order(columns)
        if order is None or not 0 < len(rows) <= MAX_ROWS:
            return None
        if any(len(row) != len(columns) for row in rows):
            return None
        times, numbers = None, rows
        if (place := order.time) is not None:
            times = _times([row[place] for row in rows])
            if times is None:
                return None
            numbers = [(*row[:place], *row[place + 1 :]) for row in rows]
        if not order.holds_numbers(numbers):
            return None
        values = np.array(numbers, dtype="float64")
        if order.places is not None:
            values = values[:, order.places]
        return Matrix(values, columns, rows, times, form) if self._fits(values) else None

    def _find_order(self, columns: tuple[str, ...]) -> "_Order | None":
        numbers = tuple(name for name in columns if name != self._time)
        if len(numbers) < len(columns) - 1 or sorted(numbers) != sorted(self._names):
            return None
        time = columns.index(self._time) if len(numbers) < len(columns) else None
        places = None if numbers == self._names else [numbers.index(name) for name in self._names]
        truths = [self._datatypes[name] is _DATATYPES["boolean"] for name in numbers]
        return _Order(time, places, tuple(truths) if any(truths) else None)


@dataclass(frozen=True)
class _Order:
    """How the columns of a request lie.

    Attributes:
        time: Where the time stands in a row, if it is sent.
        places: Where each input stands among the other columns; None if they are in order.
        truths: Which of them are booleans; None if none is.
    """

    time: int | None
    places: list[int] | None
    truths: tuple[bool, ...] | None

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

    def fit(values: "Array") -> bool:
        if (np.abs(values) > LARGEST).any():
            return False
        if required and np.isnan(values[:, required]).any():
            return False
        if whole:
            numbers = values[:, whole]
            if ((numbers != np.floor(numbers)) & ~np.isnan(numbers) | (np.abs(numbers) > _EXACT)).any():
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


class _OipBody(msgspec.Struct):
    inputs: list[_Tensor]
    id: str | None = None
    outputs: Any = None
    parameters: Any = None


_FORMS = _MlflowBody.__struct_fields__
_mlflow = msgspec.json.Decoder(_MlflowBody)
_oip = msgspec.json.Decoder(_OipBody)
