"""What becomes of sensitive columns before anything is written: kept, pseudonymised or left out."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Treatment = Literal["keep", "hash", "drop"]


class Pseudonyms:
    """Replaces values by pseudonyms: equal ones by equal ones, which nobody can compute without the secret.

    Args:
        secret: The log's secret.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, column: str, value: Any) -> str | None:
        """Return the pseudonym of a column's value: 32 hex digits; a missing value stays missing.

        A whole number has one pseudonym, however it is written (7 and 7.0).
        """
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        keyed = hashlib.blake2b(f"{column}\0{value!r}".encode(), key=self._secret, digest_size=16)
        return keyed.hexdigest()


class ColumnTreatment:
    """How one schema's columns are written.

    Args:
        columns: The columns, in the order of their values.
        treatments: What becomes of those that are not kept as they are.
        pseudonyms: Of the log.

    Attributes:
        columns: The columns that are written.
    """

    def __init__(
        self, columns: tuple[str, ...], treatments: Mapping[str, Treatment], pseudonyms: Pseudonyms
    ) -> None:
        self._pseudonyms = pseudonyms
        kept = [(i, name) for i, name in enumerate(columns) if treatments.get(name) != "drop"]
        self.columns = tuple(name for _, name in kept)
        self._kept = [(i, name if treatments.get(name) == "hash" else None) for i, name in kept]
        self._as_they_are = all(treatments.get(name, "keep") == "keep" for name in columns)

    def applied(self, values: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """Return what is written of values by column."""
        if self._as_they_are:
            return values
        return [
            values[i] if hashed is None else [self._pseudonyms.of(hashed, value) for value in values[i]]
            for i, hashed in self._kept
        ]
