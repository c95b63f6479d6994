"""What surrounds a training: installed packages and environment variables."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.governance.components import inventory

if TYPE_CHECKING:
    import pandas as pd


@contextmanager
def installed(name: str, version: str, licence: str) -> Iterator[None]:
    """Have one more distribution among those that are installed."""
    with tempfile.TemporaryDirectory() as folder:
        metadata = Path(folder) / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(
            f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nLicense-Expression: {licence}\n"
        )
        sys.path.insert(0, folder)
        inventory.cache_clear()
        try:
            yield
        finally:
            sys.path.remove(folder)
            inventory.cache_clear()


@contextmanager
def setting(**values: str) -> Iterator[None]:
    """Have some environment variables set."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def written(rows: "pd.DataFrame", file: Path) -> Iterator[None]:
    """Have some rows in a file."""
    rows.to_parquet(file, index=False)
    try:
        yield
    finally:
        file.unlink()
