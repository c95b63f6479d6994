"""Usual requests, decoded straight into rows.

Nearly all requests are right and look alike, and to read them value by value takes a hundred times as long as
the model. So they are decoded as a whole, of which :mod:`~mlops_assets.serving.matrices` and
:mod:`~mlops_assets.serving.frames` make what the model takes. What does not fit, be it wrong or only unusual,
is left to :mod:`mlops_assets.serving.rows`, which knows every form and says what is wrong. A request that is
read here would be read there with the same result.
"""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import orjson

from mlops_assets.serving.answer_form import PLAIN, AnswerForm, answer_form
from mlops_assets.serving.mlflow_forms import MLFLOW_FORMS
from mlops_assets.serving.rows import MAX_ROWS, Logged
from mlops_assets.specs.data_spec import ColumnType
from mlops_assets.specs.durations import naive_utc
from mlops_assets.training.manifest import Manifest

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

_FLOATS = frozenset({"FP64", "FP32", "FP16"})
_TEXT, _WHOLE = frozenset({"BYTES"}), frozenset({"INT64"})
_DATATYPES: dict[ColumnType, frozenset[str]] = {
    "number": _FLOATS,
    "integer": _FLOATS | _WHOLE,
    "boolean": frozenset({"BOOL"}),
    "string": _TEXT,
    "datetime": _TEXT,
}
_LAYOUTS_REMEMBERED = 64
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?", re.ASCII)

_Value = int | float | bool | str | None
_TEXTS = frozenset({str, type(None)})
Values: TypeAlias = "np.ndarray[Any, Any] | pd.DataFrame"
"""What a model predicts from: its inputs as numbers, float64, in the signature's order, missing ones NaN; or
a frame of its raw columns in their declared types."""

RowsSent = Sequence[Sequence[Any]]


class Layout:
    """How the columns of a request lie in its rows.

    Args:
        columns: In the order in which they were sent.
        inputs: Columns that the model takes, in its order.

    Attributes:
        places: Where each column stands in a row.
        by_name: The columns, sorted.
        sorted: Sorts what belongs to the columns in the same way.
    """

    def __init__(self, columns: tuple[str, ...], inputs: tuple[str, ...]) -> None:
        self.places = {name: place for place, name in enumerate(columns)}
        self.by_name = tuple(sorted(columns))
        self.sorted = self._picking(self.by_name)
        self._inputs = None if columns == inputs else self._picking(inputs)

    def inputs_of(self, rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
        """Return of each row what the model takes, in its order."""
        return list(rows) if self._inputs is None else [self._inputs(row) for row in rows]

    def picked(self, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Sequence[Any]]:
        """Return of each row some columns, in the order of their names."""
        return [*map(self._picking(names), rows)]

    def _picking(self, names: Sequence[str]) -> Callable[[Sequence[Any]], Sequence[Any]]:
        """Return what picks some columns' values from those of all."""
        places = [self.places[name] for name in names]
        if len(places) > 1:
            return itemgetter(*places)
        return lambda values: [values[place] for place in places]


class Decoded(msgspec.Struct, eq=False, gc=False):
    """A request's rows, of which hardly a value has been looked at.

    Attributes:
        layout: How the columns lie in the rows.
        rows: The rows as they were sent.
        times: When each row's event happened, naive UTC, if the request tells.
        form: What is asked of the answer.
    """

    layout: Layout
    rows: RowsSent
    times: Sequence[datetime] | None
    form: AnswerForm
    _logged: Logged | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> list[Any] | None:
        """Return a column as it was sent, or None if it was not."""
        place = self.layout.places.get(name)
        return None if place is None else [row[place] for row in self.rows]

    @property
    def logged(self) -> Logged:
        """The columns by name, for the log; those of each arm that answers are the same."""
        if self._logged is None:
            self._logged = self.layout.by_name, self.layout.sorted([*zip(*self.rows, strict=True)])
        return self._logged


class Checked(Decoded, eq=False, gc=False, kw_only=True):
    """A request's rows, each value of which is right.

    Attributes:
        values: What the model predicts from.
    """

    values: Values


class Reader(ABC):
    """Reads the usual requests of one version.

    Args:
        manifest: Declares the inputs.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._names = tuple(column.name for column in manifest.inputs)
        self._time = manifest.time_column
        self._entity = manifest.entity.column if manifest.entity else None
        self._datatypes = {
            self._time: _TEXT,
            **({self._entity: _TEXT | _WHOLE} if self._entity else {}),
            **{column.name: _DATATYPES[column.type] for column in manifest.inputs},
        }
        self._layouts: dict[tuple[str, ...], Layout] = {}

    @abstractmethod
    def values(self, layout: Layout, rows: RowsSent) -> "Values | None":
        """Return what the model predicts from; None if a row does not fit, whichever.

        Args:
            layout: How the columns lie in the rows.
            rows: The rows of one request, or of several that have the same layout.
        """

    def read_mlflow(self, content: bytes) -> Checked | None:
        """Return a request in one of MLflow's forms, or None if it has to be read otherwise."""
        return self._checked(self.decode_mlflow(content))

    def read_oip(self, sent: bytes | dict[str, Any]) -> Checked | None:
        """Return a request of the Open Inference Protocol, or None if it has to be read otherwise.

        Args:
            sent: The body, or what it is once every tensor has its data.

        Raises:
            Refusal: 400: what is asked of the answer is not what the protocol says.
        """
        return self._checked(self.decode_oip(sent))

    def decode_mlflow(self, content: bytes) -> Decoded | None:
        """Return what :meth:`read_mlflow` does, before values are looked at."""
        # A decoder that checks types takes longer than to check them after it.
        try:
            body = orjson.loads(content)
        except orjson.JSONDecodeError:
            return None
        given = [form for form in MLFLOW_FORMS if form in body] if type(body) is dict else []
        if len(given) != 1:
            return None
        form, sent = given[0], body[given[0]]
        if form == "dataframe_records":
            return self._decoded_records(sent) if _is_list_of(dict, sent) else None
        columns, rows = self._names, sent
        if form == "dataframe_split":
            if type(sent) is not dict or not _is_list_of(str, sent.get("columns")):
                return None
            columns, rows = tuple(sent["columns"]), sent.get("data")
        return self._decoded(columns, rows) if _is_list_of(list, rows) else None

    def _decoded_records(self, records: list[dict[str, Any]]) -> Decoded | None:
        columns = tuple(records[0])
        rows = [tuple(record.values()) for record in records if tuple(record) == columns]
        return self._decoded(columns, rows) if len(rows) == len(records) else None

    def decode_oip(self, sent: bytes | dict[str, Any]) -> Decoded | None:
        """Return what :meth:`read_oip` does, before values are looked at."""
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
            # What is to be a number is looked at later, all tensors at once.
            if tensor.datatype in _TEXT and not _TEXTS.issuperset(map(type, tensor.data)):
                return None
            if tensor.datatype in _WHOLE and not _are_whole(tensor.data):
                return None
        columns = tuple(tensor.name for tensor in body.inputs)
        rows = list(zip(*(tensor.data for tensor in body.inputs), strict=True))
        form = answer_form(body.id, body.outputs, body.parameters)
        return self._decoded(columns, rows, form)

    def _checked(self, found: Decoded | None) -> Checked | None:
        if found is None or (values := self.values(found.layout, found.rows)) is None:
            return None
        return Checked(found.layout, found.rows, found.times, found.form, values=values)

    def _decoded(self, columns: tuple[str, ...], rows: RowsSent, form: AnswerForm = PLAIN) -> Decoded | None:
        layout = self._layouts.get(columns) or self._find_layout(columns)
        if layout is None or not 0 < len(rows) <= MAX_ROWS:
            return None
        if {*map(len, rows)} != {len(columns)}:
            return None
        if (place := layout.places.get(self._time)) is None:
            return Decoded(layout, rows, None, form)
        times = _times([row[place] for row in rows])
        return None if times is None else Decoded(layout, rows, times, form)

    def _find_layout(self, columns: tuple[str, ...]) -> Layout | None:
        more = {self._time, self._entity}.difference(self._names)
        if len({*columns}) < len(columns) or {*columns}.difference(more) != {*self._names}:
            return None
        layout = Layout(columns, self._names)
        if len(self._layouts) < _LAYOUTS_REMEMBERED:
            self._layouts[columns] = layout
        return layout


def _is_list_of(kind: type, value: Any) -> bool:
    """Return whether a value is a list that holds something, and nothing of another type."""
    return type(value) is list and {*map(type, value)} == {kind}


def _are_whole(values: Iterable[Any]) -> bool:
    return all(value is None or (type(value) is int and -(2**63) <= value < 2**63) for value in values)


def _times(values: Sequence[Any]) -> list[datetime] | None:
    """Return times that are written in the usual way."""
    if not all(isinstance(value, str) and _TIME.fullmatch(value) for value in values):
        return None
    try:
        return [naive_utc(datetime.fromisoformat(value)) for value in values]
    except ValueError:
        return None


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


_oip = msgspec.json.Decoder(_OipBody)
