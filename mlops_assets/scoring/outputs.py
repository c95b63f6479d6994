"""The scored file: what is carried over, predictions, and what names each of them for ever."""

from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from mlops_assets.errors import DataError
from mlops_assets.prediction_log.prediction_ids import PredictionIds, row_id
from mlops_assets.training.manifest import Manifest
from mlops_assets.training.package import prediction_columns

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    Array = np.ndarray[Any, Any]

FileType = Literal["parquet", "csv"]

# Rows that share an id but for their number, as those of one request do.
ID_ROWS = 1_000
_NAMES = ("prediction", "model", "version", "prediction_id")


def file_type(out: Path) -> FileType:
    """Return what an output is written as.

    Raises:
        DataError: Its name does not tell, or it is a folder.
    """
    if out.is_dir():
        raise DataError(f"{out} is a folder; name a file to write")
    match out.suffix.lower():
        case ".parquet":
            return "parquet"
        case ".csv":
            return "csv"
    raise DataError(f"{out}: predictions are written as .parquet or .csv")


@dataclass(frozen=True)
class ScoredColumns:
    """Makes the output's columns.

    Args:
        manifest: Of the model.
        version: The version that scores.
        kept: Columns of the input that are carried over.
        ids: Makes prediction ids.
        ids_from: The time in the first of them, microseconds since 1970.
        content: Tells what they are ids of.
    """

    manifest: Manifest
    version: str
    kept: Sequence[str]
    ids: PredictionIds
    ids_from: int
    content: str

    def __post_init__(self) -> None:
        ours = [name for name in self.kept if name in _NAMES or name.startswith("probability_")]
        if ours:
            raise DataError(f"--keep {ours[0]}: the output has a column of that name already")

    def predicted(self, part: "pa.Table") -> "Array":
        """Return the predictions in a part, as the package gave them."""
        import numpy as np

        outputs = [part[name].to_numpy() for name in part.column_names[: part.num_columns - len(self.kept)]]
        return outputs[0] if len(outputs) == 1 else np.column_stack(outputs)

    def scored(self, part: "pa.Table", first: int) -> "pa.Table":
        """Return the output's rows for a part.

        Args:
            part: The part.
            first: Number of its first row, from 0; a multiple of :data:`ID_ROWS`.
        """
        import pyarrow as pa

        columns = prediction_columns(self.predicted(part), self.manifest)
        of_all = {"model": self.manifest.model, "version": self.version}
        return pa.table(
            {
                **{name: part[name] for name in self.kept},
                **{name: _array(values) for name, values in columns.items()},
                **{name: pa.repeat(value, len(part)) for name, value in of_all.items()},
                "prediction_id": self._ids(first, len(part)),
            }
        )

    def base(self, block: int) -> str:
        """Return the id of a block's first row, which those of the others begin with."""
        return self.ids.derived(self.manifest.model, self.ids_from + block, f"{self.content}/{block}")

    def _ids(self, first: int, rows: int) -> "pa.Array":
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        numbers = np.arange(first, first + rows)
        blocks, places = numbers // ID_ROWS, numbers % ID_ROWS
        low = first // ID_ROWS
        bases = pa.array([self.base(block) for block in range(low, int(blocks[-1]) + 1)])
        endings = pa.array([row_id("", row) for row in range(ID_ROWS)])
        return pc.binary_join_element_wise(
            bases.take(pa.array(blocks - low)), endings.take(pa.array(places)), ""
        )


def part_of(predicted: "Array", rows: "pa.Table", kept: Sequence[str]) -> "pa.Table":
    """Return what has to be remembered of some scored rows: predictions, and columns to carry over."""
    import pyarrow as pa

    by_row = predicted.reshape(len(predicted), -1)
    columns = {f"_{k}": pa.array(by_row[:, k]) for k in range(by_row.shape[1])}
    return pa.table({**columns, **{name: rows[name] for name in kept}})


class Writer:
    """Writes an output, table by table; a context.

    Args:
        file: Where to.
        kind: As what.
    """

    def __init__(self, file: Path, kind: FileType) -> None:
        self._file, self._kind = file, kind
        self._writer: Any = None

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if self._writer is None:
            return
        # Of a disk that is full it is told once.
        with suppress(Exception) if kind else nullcontext():
            self._writer.close()

    def write(self, table: "pa.Table") -> None:
        """Write rows; all tables have the columns of the first."""
        if self._writer is None:
            self._writer = self._opened(table)
        if self._kind == "parquet":
            self._writer.write_table(table, row_group_size=len(table))
        else:
            self._writer.write_table(table)

    def _opened(self, table: "pa.Table") -> Any:
        import pyarrow.csv as pc
        import pyarrow.parquet as pq

        if self._kind == "csv":
            return pc.CSVWriter(
                self._file, table.schema, write_options=pc.WriteOptions(quoting_style="needed")
            )
        # Every prediction id is another one, and most predictions are: a dictionary of them is no use.
        few = ["model", "version"]
        # Statistics of what is the same in each row cost a third of the writing and tell nothing.
        others = [name for name in table.column_names if name not in few]
        return pq.ParquetWriter(
            self._file, table.schema, compression="zstd", use_dictionary=few, write_statistics=others
        )


def _array(values: "Array") -> "pa.Array":
    """Return a column; class labels come as objects of one type."""
    import pyarrow as pa

    return pa.array(values.tolist() if values.dtype == object else values)
