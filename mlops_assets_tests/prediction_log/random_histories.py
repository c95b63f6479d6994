"""Histories of requests of any form, which are compacted in between, and before by what came before."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from mlops_assets.prediction_log.catalogue import Catalogue
from mlops_assets.prediction_log.compaction import compact
from mlops_assets.prediction_log.input_columns import OUTPUT, rows_of
from mlops_assets.prediction_log.records import LABEL, RATING, SHADOW
from mlops_assets.prediction_log.tables import PREDICTIONS, to_json
from mlops_assets.prediction_log.typed_columns import plain
from mlops_assets_tests.prediction_log.histories import History
from mlops_assets_tests.prediction_log.json_values import KINDS, TEXTS

COLUMNS = ("a", "a.b", "version", "", "é\0")
VERSIONS = ("1", "2", "10")
_HOURS = st.sampled_from([0, 1, 5, 23, 24, 30, 48])
_PREDICTED = (
    st.floats(), st.integers(-9, 9) | st.floats(), st.lists(st.floats(), max_size=3), TEXTS, st.booleans(),
)  # fmt: skip
_VALUES = st.sampled_from([0, 1, 0.5, "yes", "no", None])


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what :meth:`History.answer` takes."""
    hours = draw(st.lists(_HOURS, min_size=1, max_size=4))

    def column(kinds: Sequence[st.SearchStrategy[Any]]) -> list[Any]:
        return draw(st.lists(draw(st.sampled_from(kinds)), min_size=len(hours), max_size=len(hours)))

    return {
        "times": hours,
        "version": draw(st.sampled_from(VERSIONS)),
        "arm": draw(st.sampled_from(["champion", "champion", "challenger", SHADOW])),
        "probe": draw(st.integers(0, 5)) == 0,
        "entities": draw(st.none() | st.just(["e", "f", "e", "f"][: len(hours)])),
        "columns": {name: column(KINDS) for name in draw(st.lists(st.sampled_from(COLUMNS), unique=True))},
        "outputs": column(_PREDICTED),
    }


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("answer"), requests()),
        st.tuples(st.just("answer"), requests()),
        st.tuples(st.just("label"), st.integers(0, 9), _VALUES, _HOURS, st.sampled_from([LABEL, RATING])),
        st.tuples(st.just("label entity"), st.sampled_from("ef"), _HOURS, _VALUES, _HOURS),
        st.just(("rotate",)),
        st.just(("compact",)),
        st.just(("as before",)),
    ),
    max_size=8,
)


def perform(history: History, steps: list[tuple[Any, ...]]) -> None:
    """Do what was drawn."""
    for step in steps:
        match step:
            case ("answer", request):
                history.answer(**request)
            case ("label", n, value, observed, kind) if len(history.served) > n:
                history.label((history.served[n].id, value, observed), kind=kind)
            case ("label entity", entity, time, value, observed):
                history.label_entity((entity, time, value, observed))
            case ("rotate",):
                history.rotate()
            case ("compact",):
                history.rotate()
                compact(history.folder)
            case ("as before",):
                as_before(history.folder)


def as_before(folder: Path) -> None:
    """Have a log's files of predictions in the form that they had before inputs were columns."""
    for file in Catalogue(folder).files(PREDICTIONS.name):
        table = pq.ParquetFile(folder / file.path).read()
        if "inputs" in table.column_names:
            continue
        before = {name: table[name] for name in PREDICTIONS.columns if name != "columns"}
        before["inputs"] = [to_json(row) for row in rows_of(table)]
        before["output"] = [to_json(value) for value in plain(table[OUTPUT])]
        pq.write_table(pa.table(before), folder / file.path)
