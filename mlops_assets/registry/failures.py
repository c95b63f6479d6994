"""What went wrong with a registry, in one clear line, whoever read it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from mlops_assets.errors import MlopsError, RegistryError
from mlops_assets.home import storage_failure

_PASSWORD = re.compile(r"(?<=://)[^/@\s]*@")
_UNREACHABLE = ("Max retries exceeded", "Connection refused", "timed out", "Name or service not known")

_SPOILED = ("file is not a database", "database disk image is malformed")


@contextmanager
def registry_errors(uri: str, *passed: type[Exception]) -> Iterator[None]:
    """Turn any failure into a :class:`RegistryError` of one line, without passwords.

    Args:
        uri: Where the registry is.
        passed: What is no failure of the registry.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, (MlopsError, *passed)):
            raise
        reason = storage_failure(error) or _reason(error)
        raise RegistryError(f"model registry {_PASSWORD.sub('', uri)}: {reason}") from error


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if any(sign in text for sign in _UNREACHABLE):
        return "cannot be reached; start it or correct MLFLOW_TRACKING_URI"
    if "unable to open database file" in text:
        return "the database file cannot be opened; check MLOPS_HOME and its permissions"
    if any(sign in text for sign in _SPOILED):
        return "the database file is damaged or is none; put it back from a backup"
    return _PASSWORD.sub("", " ".join(text.split()))[:300]
