"""The keys of an identity provider, from a file or from its URL, as they are now.

A JSON Web Key Set (RFC 7517) names public keys, and a token names one of them. Providers exchange them every
few weeks and publish a new one some time before they use it, so the set is read again now and then, and soon
when a token names a key that is not in it.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from mlops_assets.errors import AccessError
from mlops_assets.serving.watched_file import WatchedFile

# Only asymmetric ones: with a secret that is shared, whoever can check a token can make one.
_BY_TYPE = {"RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")}
_BY_CURVE = {"P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",), "Ed25519": ("EdDSA",)}
_FEWEST_RSA_BITS = 2048
_MOST_BYTES = 1024 * 1024
_FETCH_SECONDS = 5.0
# How often the set is fetched when all is well, and how often at most, whatever tokens name.
_EVERY_SECONDS = 300.0
_AT_LEAST_SECONDS = 10.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

log = logging.getLogger("mlops_assets.gateway")


@dataclass(frozen=True)
class WebKey:
    """A public key, and the algorithms that it may be used with."""

    key: Any
    algorithms: tuple[str, ...]


Keys = Mapping[str | None, WebKey]
"""Keys by the name that tokens call them by."""


class KeySource(Protocol):
    """Where the keys are from."""

    @property
    def keys(self) -> Keys | None:
        """The keys; None until they could be read for the first time."""
        ...

    @property
    def problem(self) -> str | None:
        """Why they cannot be read now, if they cannot."""
        ...

    def look(self) -> bool:
        """Return whether there are other keys than when this was last asked."""
        ...

    def miss(self) -> None:
        """Take note that a token named a key that is not there."""
        ...

    def start(self) -> None:
        """Begin to follow the source."""
        ...

    def stop(self) -> None:
        """End following it."""
        ...


def read_web_keys(content: bytes, where: str) -> Keys:
    """Return the keys of a set that can verify tokens; others, such as those for encryption, are left out.

    Args:
        content: The set, as JSON.
        where: Where it is from, for the error message.

    Raises:
        AccessError: It is no set, holds no key to verify with, a weak one, or one that must be secret.
    """
    from jwt import PyJWK, PyJWTError

    try:
        stated = json.loads(content)["keys"]
        found = [(each, _algorithms(each)) for each in stated if each.get("use", "sig") == "sig"]
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise AccessError(f"{where} is no JSON Web Key Set: {type(error).__name__}: {error}") from error
    keys: dict[str | None, WebKey] = {}
    for stated_key, algorithms in found:
        if not algorithms:
            continue
        name = stated_key.get("kid")
        named = f"{where}: key {name!r}"
        if "d" in stated_key:
            raise AccessError(f"{named} is a private key; publish its public half only, and make a new one")
        if name in keys:
            raise AccessError(f"{where}: two keys are called {name!r}")
        try:
            key = PyJWK(stated_key, algorithms[0]).key
        except PyJWTError as error:
            raise AccessError(f"{named} cannot be read: {error}") from error
        if getattr(key, "key_size", _FEWEST_RSA_BITS) < _FEWEST_RSA_BITS and stated_key["kty"] == "RSA":
            raise AccessError(f"{named} has {key.key_size} bits, which is too few; use {_FEWEST_RSA_BITS}")
        keys[name] = WebKey(key, algorithms)
    if not keys:
        raise AccessError(f"{where} holds no public key that signs tokens")
    return keys


def _algorithms(stated: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a key may be used with: what it says, or what keys of its kind can do."""
    possible = _BY_TYPE.get(stated.get("kty", ""), ()) or _BY_CURVE.get(stated.get("crv", ""), ())
    said = stated.get("alg")
    return possible if said is None else tuple(each for each in possible if each == said)


class KeyFile:
    """Keys of a file.

    Args:
        path: The file.

    Raises:
        AccessError: It cannot be read now; later, what it last said would hold.
    """

    def __init__(self, path: Path) -> None:
        self._file = WatchedFile(path, lambda content: read_web_keys(content, str(path)))
        self._file.look()
        if self._file.content is None:
            raise AccessError(self._file.problem or f"cannot read {path}: there is no such file")

    @property
    def keys(self) -> Keys | None:
        """See :class:`KeySource`."""
        return self._file.content

    @property
    def problem(self) -> str | None:
        """Why the file cannot be read now, if it cannot."""
        return self._file.problem

    def look(self) -> bool:
        """See :class:`KeySource`."""
        return self._file.look()

    def miss(self) -> None:
        """See :class:`KeySource`; the file is looked at anyway."""

    def start(self) -> None:
        """See :class:`KeySource`."""

    def stop(self) -> None:
        """See :class:`KeySource`."""


class KeyUrl:
    """Keys of a URL, fetched in a thread, so that no request waits for another server.

    Args:
        url: Where the set is.
        fetch: Gets its bytes; raises :class:`AccessError` if it cannot.
        every: Seconds after which it is fetched anew.
        at_least: Seconds between two fetches, whatever tokens name.
    """

    def __init__(
        self,
        url: str,
        fetch: Callable[[str], bytes] | None = None,
        every: float = _EVERY_SECONDS,
        at_least: float = _AT_LEAST_SECONDS,
    ) -> None:
        self.keys: Keys | None = None
        self.problem: str | None = None
        self._url, self._fetch = url, fetch or _fetch
        self._every, self._at_least = every, at_least
        self._read: bytes | None = None
        self._changed, self._missed, self._ended = False, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._follow, name="json-web-keys", daemon=True)

    def look(self) -> bool:
        """See :class:`KeySource`."""
        changed, self._changed = self._changed, False
        return changed

    def miss(self) -> None:
        """See :class:`KeySource`."""
        self._missed.set()

    def start(self) -> None:
        """See :class:`KeySource`."""
        self._thread.start()

    def stop(self) -> None:
        """See :class:`KeySource`; does not wait for a fetch that is under way."""
        self._ended.set()
        self._missed.set()

    def _follow(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            self._refresh()
            # Until there are keys nobody with a token is let in, so it is tried as often as may be.
            if self.keys is not None:
                self._missed.wait(self._every)
            self._ended.wait(max(0.0, self._at_least - (time.monotonic() - began)))
            self._missed.clear()

    def _refresh(self) -> None:
        try:
            content = self._fetch(self._url)
            if content != self._read:
                self.keys = read_web_keys(content, self._url)
                self._read, self._changed = content, True
        except AccessError as error:
            log.error("what was last fetched holds: %s", error)
            self.problem = str(error)
        else:
            self.problem = None


def key_source(where: str) -> KeySource:
    """Return the source that a path or URL names.

    Raises:
        AccessError: The file cannot be read, or the URL is none that keys can be trusted from.
    """
    if "://" not in where:
        return KeyFile(Path(where).absolute())
    parts = urlsplit(where)
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        return KeyUrl(where)
    raise AccessError(f"MLOPS_JWKS={where}: must be the path of a file or begin with https://")


def _fetch(url: str) -> bytes:
    import httpx

    try:
        with httpx.stream("GET", url, timeout=_FETCH_SECONDS) as answer:
            content = b""
            for piece in answer.iter_bytes():
                content += piece
                if len(content) > _MOST_BYTES:
                    raise AccessError(f"{url} answers with more than {_MOST_BYTES} bytes")
    except httpx.HTTPError as error:
        raise AccessError(f"cannot fetch {url}: {str(error) or type(error).__name__}") from error
    if answer.status_code != 200:
        raise AccessError(f"{url} answers with {answer.status_code}")
    return content
