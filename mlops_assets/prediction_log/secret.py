"""The secret of a prediction log, from which its ids and its pseudonyms are made."""

import hashlib
import os
from pathlib import Path

from mlops_assets.errors import StorageError
from mlops_assets.home import write_secret_once

_FILE = Path("keys", "prediction_log.key")


def secret_for(root: Path) -> bytes:
    """Return the secret of a home: ``MLOPS_PREDICTION_LOG_KEY``, else one that is made on first use.

    Gateways that share a log must share it.

    Args:
        root: The home.

    Raises:
        StorageError: The home cannot be written or read.
    """
    if given := os.environ.get("MLOPS_PREDICTION_LOG_KEY"):
        return hashlib.sha256(given.encode()).digest()
    file = root / _FILE
    if not file.exists():
        write_secret_once(file, os.urandom(32))
    try:
        return file.read_bytes()
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror}") from error
