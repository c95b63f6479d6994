"""Immutable Parquet files named by their content."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets import digests
from mlops_assets.errors import DataError
from mlops_assets.home import replacing, storage_errors

if TYPE_CHECKING:
    import pandas as pd


def write_snapshot(frame: "pd.DataFrame", place: Callable[[str], Path]) -> tuple[str, Path]:
    """Write ``frame`` under the name of its content, unless it is already there.

    Args:
        frame: The rows, in canonical order.
        place: Tells the path for a digest.

    Returns:
        The content digest and the path.

    Raises:
        DataError: A column holds what a table cannot, such as lists or values of several types.
        StorageError: The disk is full or the folder is not writable.
    """
    try:
        digest = digests.of_frame(frame)
    except (TypeError, ValueError) as error:
        reason = " ".join(str(part) for part in error.args)
        raise DataError(f"the rows cannot be kept as a table: {reason}") from error
    path = place(digest)
    if not path.exists():
        with storage_errors(path), replacing(path) as temporary:
            frame.to_parquet(temporary, index=False, compression="zstd")
        path.chmod(0o444)
    return digest, path


def read_snapshot(path: Path, digest: str) -> "pd.DataFrame":
    """Return the rows of a snapshot after making sure that they are the ones that were written.

    Raises:
        DataError: The file is gone or its content is not what its name says.
    """
    import pandas as pd

    if not path.exists():
        raise DataError(f"snapshot {path} is gone; run the lifecycle again to read the source anew")
    try:
        frame = pd.read_parquet(path)
        intact = digests.of_frame(frame) == digest
    except (OSError, TypeError, ValueError):
        intact = False
    if not intact:
        raise DataError(f"snapshot {path} was altered after it was written; delete it and run again")
    return frame
