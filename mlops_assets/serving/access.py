"""Who may call the gateway: one question for each request, and its answer remembered.

A caller shows an API key or a bearer token; :mod:`~mlops_assets.serving.declared_access` tells who need not.
"""

import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any

from mlops_assets.serving.api_keys import KeyFile, digest_of
from mlops_assets.serving.bearer_tokens import BearerTokens, NoKeysYet, NotAccepted
from mlops_assets.serving.callers import EMBEDDED, PLATFORM, UNLIMITED, Caller, Limits
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.rate_limits import RateLimits
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.watched_file import WatchedFile

Headers = Iterable[tuple[bytes, bytes]]
"""Header names in lower case, and their values, as uvicorn has them."""

CALLER = "mlops.caller"
"""Under this name a request's scope holds the caller who was admitted."""
_REFUSED = "mlops.refused"

_CREDENTIALS = frozenset((b"authorization", b"x-api-key"))
_LOOK_SECONDS = 0.2
_MOST_KNOWN = 2048
_UNKNOWN = "the key or token is unknown, has ended or was revoked"


class Access:
    """Tells who calls, and refuses who may not; for one event loop, so not safe to share between threads.

    Args:
        keys: The file of API keys, if it is followed.
        tokens: Tells whose a token is, if tokens count.
        platform: The platform's own key; None if the platform does not call.
        anonymous: Whoever shows nothing, once access is declared; None if nobody may.
        local: Whoever shows nothing, as long as no access is declared; None if nobody may.
        default: Limits of callers who have none of their own.
        limits: Holds callers to theirs.
        on_problem: Told each problem when it begins.
        clock: Gives the Unix time.
    """

    def __init__(
        self,
        *,
        keys: WatchedFile[KeyFile] | None = None,
        tokens: BearerTokens | None = None,
        platform: str | None = None,
        anonymous: Caller | None = None,
        local: Caller | None = None,
        default: Limits | None = None,
        limits: RateLimits | None = None,
        on_problem: Callable[[Problem], None] = lambda problem: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys, self._tokens = keys, tokens
        self._platform = {digest_of(platform.encode()): PLATFORM} if platform else {}
        self._anonymous, self._local = anonymous, local
        self._default, self._limits = default or UNLIMITED, limits or RateLimits()
        self._on_problem, self._clock = on_problem, clock
        self._shown: KeyFile | None = None
        self._by_digest: Mapping[bytes, Caller] = self._platform
        # Callers by what they sent, word for word, under each header.
        self._known: dict[bytes, dict[bytes, Caller]] = _none_known()
        self._looked = 0.0
        self._problem: Problem | None = None
        self._look()

    @classmethod
    def embedded(cls) -> "Access":
        """Return the access of a gateway that nobody but its own machine reaches: whoever calls may."""
        return cls(local=EMBEDDED)

    def start(self) -> None:
        """Begin to follow an identity provider's keys."""
        if self._tokens is not None:
            self._tokens.source.start()

    def stop(self) -> None:
        """End what :meth:`start` began."""
        if self._tokens is not None:
            self._tokens.source.stop()

    @property
    def is_declared(self) -> bool:
        """Whether anybody was told who may call; nobody has to show anything otherwise."""
        return self._tokens is not None or (self._keys is not None and self._keys.content is not None)

    @property
    def warnings(self) -> list[str]:
        """What whoever runs the gateway had better know."""
        if self._anonymous is None:
            return []
        return ["whoever reaches this gateway may call it without a credential (--allow-anonymous)"]

    @property
    def problems(self) -> list[Problem]:
        """What is wrong now."""
        self._look_now_and_then()
        return [self._problem] if self._problem else []

    def caller(self, headers: Headers) -> Caller:
        """Return who calls; for whoever is known that takes less than a microsecond.

        Raises:
            Refusal: 401 if nobody does who may, 503 if that cannot be told yet.
        """
        now = self._look_now_and_then()
        name = credential = None
        for header, value in headers:
            if header in _CREDENTIALS:
                if credential is not None:
                    raise _unauthorized("show one credential, in authorization or in x-api-key")
                name, credential = header, value
        if name is None or credential is None:
            return self._nobody()
        known = self._known[name].get(credential) or self._found_out(name, credential)
        if known.until <= now:
            raise _unauthorized(_UNKNOWN, "invalid_token")
        return known

    def known(self, headers: Headers) -> Caller | None:
        """Return who calls, or None for those who are not told more than anybody."""
        try:
            return self.caller(headers)
        except Refusal:
            return None

    def admit(self, headers: Headers, right: str, model: str | None = None) -> Caller:
        """Return who calls, if the caller may do this now; takes one request of what limits allow.

        Args:
            headers: The request's headers.
            right: What is to be done.
            model: With which model; any one if None.

        Raises:
            Refusal: 401, 403 or 429, or 503 if who calls cannot be told yet.
        """
        caller = self.caller(headers)
        caller.require(right, model)
        self._limits.enter(caller)
        return caller

    def admitted(self, scope: MutableMapping[str, Any], right: str, model: str | None = None) -> Caller:
        """Return who sent a request, as :meth:`admit`, and note it in its scope; asked twice it counts once.

        Args:
            scope: The request's ASGI scope.
            right: What is to be done.
            model: With which model; any one if None.

        Raises:
            Refusal: As for :meth:`admit`.
        """
        if (refused := scope.get(_REFUSED)) is not None:
            raise refused
        caller: Caller | None = scope.get(CALLER)
        if caller is not None:
            caller.require(right, model)
            return caller
        try:
            caller = scope[CALLER] = self.admit(scope["headers"], right, model)
        except Refusal as refusal:
            scope[_REFUSED] = refusal
            raise
        return caller

    def running(self, caller: Caller) -> AbstractContextManager[None]:
        """Count a request of a caller as being answered for as long as the block lasts."""
        return self._limits.running(caller)

    def _nobody(self) -> Caller:
        nobody = self._anonymous or (None if self.is_declared else self._local)
        if nobody is None:
            raise _unauthorized("show who you are: x-api-key: KEY, or authorization: Bearer KEY or TOKEN")
        return nobody

    def _found_out(self, header: bytes, value: bytes) -> Caller:
        """Return whose credential it is, and remember it if it is right: what is wrong may be endless."""
        known = self._known[header]
        try:
            caller = self._found(header, value)
        except Refusal:
            if self._local is None or self.is_declared:
                raise
            return self._local  # who shows what nobody asked for is not turned away for it
        if len(known) >= _MOST_KNOWN:
            known.pop(next(iter(known)))
        known[value] = caller
        return caller

    def _found(self, header: bytes, value: bytes) -> Caller:
        """Return whose credential it is, the slow way."""
        if header == b"authorization":
            scheme, _, value = value.partition(b" ")
            if scheme.lower() != b"bearer":
                raise _unauthorized("authorization must be Bearer and a key or token")
        value = value.strip()
        if (caller := self._by_digest.get(digest_of(value))) is not None:
            return caller
        if self._tokens is None or header != b"authorization" or value.count(b".") != 2:
            raise _unauthorized(_UNKNOWN, "invalid_token")
        try:
            return self._tokens.caller(value.decode("ascii"))
        except (NotAccepted, UnicodeDecodeError) as error:
            said = "the token is not valid" if isinstance(error, UnicodeDecodeError) else str(error)
            raise _unauthorized(said, "invalid_token") from None
        except NoKeysYet:
            said = "the keys that tokens are checked with are not there yet; try again in a second"
            raise Refusal(503, said, {"retry-after": "1"}) from None

    def _look_now_and_then(self) -> float:
        """Return the time; look first whether something changed, unless that was done just now."""
        now = self._clock()
        if not 0.0 <= now - self._looked < _LOOK_SECONDS:
            self._look()
        return now

    def _look(self) -> None:
        """Take in what has changed; whoever was known is asked anew."""
        self._looked = self._clock()
        if self._tokens is not None and self._tokens.source.look():
            self._known = _none_known()
        if self._keys is not None:
            self._keys.look()
            if (content := self._keys.content) is not None and content is not self._shown:
                self._shown, self._known = content, _none_known()
                self._by_digest = {**dict(content.callers_by_digest(self._default)), **self._platform}
        self._look_for_problems()

    def _look_for_problems(self) -> None:
        sources = (self._keys, self._tokens and self._tokens.source)
        said = "; ".join(source.problem for source in sources if source and source.problem)
        if not said:
            self._problem = None
        elif self._problem is None or self._problem.message != said:
            self._problem = Problem("access_unreadable", None, None, said)
            self._on_problem(self._problem)


def _none_known() -> dict[bytes, dict[bytes, Caller]]:
    return {header: {} for header in _CREDENTIALS}


def _unauthorized(message: str, error: str | None = None) -> Refusal:
    challenge = 'Bearer realm="mlops-assets"' + (f', error="{error}"' if error else "")
    return Refusal(401, message, {"www-authenticate": challenge})
