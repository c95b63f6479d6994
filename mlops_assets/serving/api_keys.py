"""API keys: who has which, for what and until when, in one file that holds no key.

A key is 256 random bits, so its plain SHA-256 is kept: there is nothing to guess that a slow or salted hash
would make slower to guess, and a gateway hashes the key of every request. Whoever reads the file can call
nothing with it. A digest is looked up and not compared: how long that takes tells something of a digest that
nobody can choose, and nothing of a key.
"""

import hashlib
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from mlops_assets.errors import AccessError
from mlops_assets.home import in_turn, write_atomically
from mlops_assets.serving.callers import PLATFORM, UNLIMITED, Caller, Limits

PREFIX = "mlops_"
_BYTES = 32
_MODE = 0o600
_RESERVED = f"{PLATFORM.name!r} is the platform itself; name the caller otherwise"

Right = Literal["predict", "feedback", "see"]
Name = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
Scope = Annotated[str, msgspec.Meta(pattern=r"^(\*|[A-Za-z0-9_][A-Za-z0-9_.-]*)$")]
_Time = Annotated[datetime, msgspec.Meta(tz=True)]


class StoredKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One key of a caller.

    Attributes:
        id: Names the key among people; no part of it.
        digest: SHA-256 of the key, hexadecimal.
        created: When it was made.
        expires: When it ends; never if None.
    """

    id: str
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    created: _Time
    expires: _Time | None = None


class KeyOwner(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A caller with keys, of which several may count while they are exchanged.

    Attributes:
        name: As the prediction log names the caller.
        models: Models in scope; ``*`` stands for all.
        rights: What may be done with these.
        keys: The keys, oldest first.
        limits: How much of it; the gateway's default if there are none.
    """

    name: Name
    models: Annotated[tuple[Scope, ...], msgspec.Meta(min_length=1)]
    rights: Annotated[tuple[Right, ...], msgspec.Meta(min_length=1)]
    keys: Annotated[tuple[StoredKey, ...], msgspec.Meta(min_length=1)]
    limits: Limits = UNLIMITED

    @property
    def lifetime(self) -> timedelta | None:
        """How long the newest key was given to count; None if for ever."""
        newest = self.keys[-1]
        return None if newest.expires is None else newest.expires - newest.created


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file says."""

    version: Literal[1] = 1
    callers: tuple[KeyOwner, ...] = ()

    def callers_by_digest(self, default: Limits = UNLIMITED) -> Iterator[tuple[bytes, Caller]]:
        """Yield each key's digest and whose it is.

        Args:
            default: Limits of those who have none of their own.
        """
        for owner in self.callers:
            for key in owner.keys:
                until = key.expires.timestamp() if key.expires else float("inf")
                models, rights = frozenset(owner.models), frozenset(owner.rights)
                caller = Caller(owner.name, models, rights, owner.limits or default, until)
                yield bytes.fromhex(key.digest), caller

    def owner(self, name: str) -> KeyOwner:
        """Return a caller.

        Raises:
            AccessError: There is none of this name.
        """
        for owner in self.callers:
            if owner.name == name:
                return owner
        known = ", ".join(owner.name for owner in self.callers) or "nobody"
        raise AccessError(f"no caller {name!r} has a key; who has: {known}")

    def adding(self, owner: KeyOwner) -> "KeyFile":
        """Return the file with one more caller.

        Raises:
            AccessError: The caller has a key already, or has the platform's name.
        """
        if owner.name == PLATFORM.name:
            raise AccessError(_RESERVED)
        if any(known.name == owner.name for known in self.callers):
            raise AccessError(
                f"{owner.name} has a key already; exchange it with mlops-assets keys rotate, or revoke it "
                "first"
            )
        return msgspec.structs.replace(self, callers=(*self.callers, owner))

    def rotating(self, name: str, key: StoredKey, overlap: timedelta) -> "KeyFile":
        """Return the file with a new key for a caller, whose other keys end after a while.

        Args:
            name: The caller.
            key: The new key.
            overlap: How long the others still count; each ends sooner if it was to.

        Raises:
            AccessError: The caller has no key.
        """
        owner, end = self.owner(name), key.created + overlap
        ending = (
            msgspec.structs.replace(old, expires=min(end, old.expires or end))
            for old in owner.keys
            if old.expires is None or old.expires > key.created
        )
        changed = msgspec.structs.replace(owner, keys=(*ending, key))
        callers = tuple(changed if each is owner else each for each in self.callers)
        return msgspec.structs.replace(self, callers=callers)

    def revoking(self, name: str) -> "KeyFile":
        """Return the file without a caller.

        Raises:
            AccessError: The caller has no key.
        """
        owner = self.owner(name)
        callers = tuple(each for each in self.callers if each is not owner)
        return msgspec.structs.replace(self, callers=callers)


def new_key(created: datetime, lifetime: timedelta | None) -> tuple[str, StoredKey]:
    """Return a new key, and what is kept of it.

    Args:
        created: Now, with its zone.
        lifetime: How long it counts; for ever if None.
    """
    key = PREFIX + secrets.token_urlsafe(_BYTES)
    expires = None if lifetime is None else created + lifetime
    return key, StoredKey(secrets.token_hex(4), digest_of(key.encode()).hex(), created, expires)


def digest_of(key: bytes) -> bytes:
    """Return by what a key is known."""
    return hashlib.sha256(key).digest()


def parse_keys(content: bytes, path: Path) -> KeyFile:
    """Return what the bytes of a file say.

    Args:
        content: The bytes.
        path: Where they are from, for the error message.

    Raises:
        AccessError: They are not those of a file of keys.
    """
    try:
        found = msgspec.json.decode(content, type=KeyFile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise AccessError(f"{path} is no file of API keys: {error}") from error
    names = [owner.name for owner in found.callers]
    digests = [key.digest for owner in found.callers for key in owner.keys]
    for values, what in ((names, "caller"), (digests, "key")):
        if len(set(values)) < len(values):
            raise AccessError(f"{path}: one {what} stands there twice")
    if PLATFORM.name in names:
        raise AccessError(f"{path}: {_RESERVED}")
    return found


def read_keys(path: Path) -> KeyFile:
    """Return what a file says; nobody has a key if there is none.

    Raises:
        AccessError: It cannot be read.
    """
    try:
        return parse_keys(path.read_bytes(), path)
    except FileNotFoundError:
        return KeyFile()
    except OSError as error:
        raise AccessError(f"cannot read {path}: {error.strerror}") from error


def change_keys(path: Path, change: Callable[[KeyFile], KeyFile]) -> None:
    """Change a file of keys, whole or not at all, one process after the other.

    Args:
        path: The file.
        change: Returns what it is to say, given what it says.

    Raises:
        AccessError: It cannot be read, or the change is refused.
        StorageError: It cannot be written.
    """
    with in_turn(path.with_name(f"{path.name}.lock")):
        changed = msgspec.json.format(msgspec.json.encode(change(read_keys(path))), indent=1)
        parse_keys(changed, path)
        write_atomically(path, changed + b"\n", _MODE)


def now() -> datetime:
    """Return the present to the second, with its zone."""
    return datetime.now(UTC).replace(microsecond=0)
