"""By which key the gateway knows the platform's own calls: smoke tests, parity, feedback, rollbacks.

Both sides read the same file of the home, or ``MLOPS_GATEWAY_KEY`` where they share none.
"""

import os
import secrets
from pathlib import Path

from mlops_assets.errors import AccessError, StorageError
from mlops_assets.home import write_secret_once

_FILE = Path("keys", "gateway.key")
_FEWEST_CHARACTERS = 32


def platform_key(root: Path) -> str:
    """Return the platform's key: ``MLOPS_GATEWAY_KEY``, else one that the home makes on first use.

    Args:
        root: The home.

    Raises:
        AccessError: ``MLOPS_GATEWAY_KEY`` is too short to be a secret.
        StorageError: The home cannot be written or read.
    """
    if given := os.environ.get("MLOPS_GATEWAY_KEY"):
        if len(given) < _FEWEST_CHARACTERS or not given.isascii() or not given.isprintable():
            raise AccessError(
                f"MLOPS_GATEWAY_KEY must be {_FEWEST_CHARACTERS} printable characters or more; "
                "openssl rand -hex 32 makes such a key"
            )
        return given
    file = root / _FILE
    if not file.exists():
        write_secret_once(file, secrets.token_hex(32).encode())
    try:
        return file.read_text()
    except OSError as error:
        raise StorageError(f"cannot read {file}: {error.strerror}") from error
