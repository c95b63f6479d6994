"""What can go wrong, in words for the person who has to mend it.

Every error a user can cause or cure is an :class:`MlopsError`: the command line prints its message
as one line and exits with 2, a Dagster step fails with it as its description. Anything else is a
bug of ours and keeps its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class MlopsError(Exception):
    """Base of all errors whose message says what is wrong, where, and what to do."""


class SpecError(MlopsError):
    """A spec is wrong; the message holds one ``file:line: problem`` per line."""


class DataError(MlopsError):
    """The source did not deliver what the spec declares."""


class TrainingError(MlopsError):
    """The estimator could not be built or fitted as declared."""


class PackageError(MlopsError):
    """A packaged model is missing, altered, unsigned or unreadable."""


class EvidenceError(MlopsError):
    """A statement that something rests on is missing, forged, out of date or about something else."""


class ApprovalError(MlopsError):
    """A human decision cannot be signed, read or judged: a wrong key, a malformed record."""


class RegistryError(MlopsError):
    """The model registry cannot be reached or refused."""


class EndpointError(MlopsError):
    """The gateway cannot be reached or did not do what a promotion needs."""


class VersionRefused(EndpointError):
    """The gateway will not load a version; the message is its reason."""


class RolloutError(MlopsError):
    """A rollout cannot be begun, moved on or ended as asked."""


class StorageError(MlopsError):
    """The home folder cannot be written: full disk, missing rights."""


class AccessError(MlopsError):
    """Who may call the gateway is not declared, or not as it can be read."""


class AuditError(MlopsError):
    """An audit entry cannot be written as it is."""


class ExportError(MlopsError):
    """A model cannot be exported as it was asked for."""


class StreamError(MlopsError):
    """A stream is not there, or not as it can be used."""


class StreamLost(StreamError):
    """A stream cannot be reached; it may come back."""


class AccuracyLost(ExportError):
    """The smaller form of a model predicts too differently; the message holds the figures."""


class IncidentError(MlopsError):
    """There is no such incident, or it cannot be changed as asked."""


class BusyError(MlopsError):
    """Another process holds what this one needs."""


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)`` for the closest known name, or nothing."""
    close = get_close_matches(wrong, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""
