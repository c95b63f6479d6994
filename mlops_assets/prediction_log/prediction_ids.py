"""Ids of predictions: they sort by time, cannot be guessed, and prove that we gave them out.

An id is 14 hex digits of microseconds since 1970, 12 at random and 8 that authenticate the rest and the
model's name under the log's secret. So a gateway tells a wrong id without looking anything up. A checksum
would find typing errors as well, but who knows one id with its checksum can compute others.
"""

import hashlib
import os
import re
import time

_TIME, _RANDOM, _TAG = 14, 12, 8
_BODY = _TIME + _RANDOM
_FORM = re.compile(rf"([0-9a-f]{{{_BODY}}})([0-9a-f]{{{_TAG}}})(?:-[1-9][0-9]{{0,8}})?")
_AT_ONCE = 512

# Asking the system for random bytes one id at a time would take longer than all the rest.
_random: list[str] = []
# A forked worker would give out the ids of its parent.
os.register_at_fork(after_in_child=_random.clear)


def asked_at(prediction_id: str) -> int | None:
    """Return when a prediction was asked for, microseconds since 1970; None if the id does not tell."""
    return int(prediction_id[:_TIME], 16) if _FORM.fullmatch(prediction_id) else None


class PredictionIds:
    """Gives out ids, and knows its own; safe to share between threads.

    Args:
        secret: The log's secret; see :func:`mlops_assets.prediction_log.secret.secret_for`.
    """

    def __init__(self, secret: bytes) -> None:
        self._keyed = hashlib.blake2b(key=secret, digest_size=_TAG // 2, person=b"prediction ids")
        self._derived = hashlib.blake2b(key=secret, digest_size=_RANDOM // 2, person=b"derived ids")
        self._of_model: dict[str, hashlib.blake2b] = {}

    def new(self, model: str) -> str:
        """Return a new id for a request to a model; see :func:`row_id` for its further rows."""
        try:
            random = _random.pop()
        except IndexError:
            random = _refill()
        body = f"{time.time_ns() // 1000:014x}{random}"
        return body + self._tag(model, body)

    def derived(self, model: str, at: int, content: str) -> str:
        """Return the id that a content has whenever it is asked for, such as rows of a file that stays.

        Args:
            model: Model name.
            at: The time in the id, microseconds since 1970; has to be the same each time, too.
            content: Tells what the id is of.
        """
        own = self._derived.copy()
        own.update(f"{model}\0{content}".encode())
        body = f"{at:014x}{own.hexdigest()}"
        return body + self._tag(model, body)

    def given_out(self, prediction_id: str, model: str) -> bool:
        """Return whether an id, of a request or one of its rows, was made here for this model."""
        match = _FORM.fullmatch(prediction_id)
        return match is not None and self._tag(model, match[1]) == match[2]

    def _tag(self, model: str, body: str) -> str:
        keyed = self._of_model.get(model)
        if keyed is None:
            keyed = self._keyed.copy()
            keyed.update(model.encode() + b"\0")
            if len(self._of_model) < 10_000:  # names come from clients, too
                self._of_model[model] = keyed
        tag = keyed.copy()
        tag.update(body.encode())
        return tag.hexdigest()


def row_id(base: str, row: int) -> str:
    """Return the id of a request's row: the first has the request's own, the others a number more."""
    return f"{base}-{row}" if row else base


def row_ids(base: str, rows: int) -> list[str]:
    """Return the ids of all of a request's rows, of which there is at least one."""
    return [base, *[f"{base}-{row}" for row in range(1, rows)]]


def base_of(prediction_id: str) -> str:
    """Return the id of the request that a row's id belongs to."""
    return prediction_id.partition("-")[0]


def _refill() -> str:
    digits = os.urandom(_AT_ONCE * _RANDOM // 2).hex()
    _random.extend(digits[i : i + _RANDOM] for i in range(_RANDOM, len(digits), _RANDOM))
    return digits[:_RANDOM]
