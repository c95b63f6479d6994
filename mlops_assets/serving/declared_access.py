"""What is declared of who may call a gateway: by API keys, in the environment, on the command line.

Nobody has to show anything on the loopback interface as long as nothing is declared, which is the embedded
default; on any other address a gateway does not start without.
"""

import ipaddress
import os
from collections.abc import Callable
from dataclasses import replace

import msgspec

from mlops_assets.errors import AccessError
from mlops_assets.gateway_credential import platform_key
from mlops_assets.home import Home
from mlops_assets.serving.access import Access
from mlops_assets.serving.api_keys import parse_keys
from mlops_assets.serving.bearer_tokens import BearerTokens
from mlops_assets.serving.callers import ANONYMOUS, EMBEDDED, Limits
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.rate_limits import RateLimits
from mlops_assets.serving.watched_file import WatchedFile


def declared_access(
    home: Home,
    host: str,
    *,
    allow_anonymous: bool = False,
    workers: int = 1,
    on_problem: Callable[[Problem], None] = lambda problem: None,
) -> Access:
    """Return the access that is declared for a gateway.

    Args:
        home: Where API keys and the platform's own key are.
        host: Address that the gateway listens on.
        allow_anonymous: Whether whoever shows nothing may call, too.
        workers: Worker processes that share the port.
        on_problem: Told each problem when it begins.

    Raises:
        AccessError: None is declared and others than this machine can call, or it cannot be read.
    """
    default = _limits()
    keys = WatchedFile(home.api_keys, lambda content: parse_keys(content, home.api_keys))
    keys.look()
    if keys.problem is not None:
        raise AccessError(keys.problem)
    if keys.content is None and os.environ.get("MLOPS_API_KEYS"):
        raise AccessError(f"MLOPS_API_KEYS={home.api_keys}: there is no such file")
    tokens = BearerTokens.from_environment(default)
    declared, local = keys.content is not None or tokens is not None, is_loopback(host)
    if not (declared or local or allow_anonymous):
        raise AccessError(
            f"on {host} other machines can call, and it is not declared who may: give a caller a key with "
            "mlops-assets keys add, name an identity provider's keys in MLOPS_JWKS, or let everybody call "
            "with --allow-anonymous"
        )
    return Access(
        keys=keys,
        tokens=tokens,
        platform=platform_key(home.root),
        anonymous=replace(ANONYMOUS, limits=default) if allow_anonymous else None,
        local=EMBEDDED if local else None,
        default=default,
        limits=RateLimits(workers),
        on_problem=on_problem,
    )


def is_loopback(host: str) -> bool:
    """Return whether nobody but this machine can call at an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _limits() -> Limits:
    """Return the limits of whoever has none of their own.

    Raises:
        AccessError: They are no numbers above 0.
    """
    given = {
        name: value
        for name in Limits.__struct_fields__
        if (value := os.environ.get(f"MLOPS_CALLER_{name.upper()}"))
    }
    try:
        return msgspec.convert(given, Limits, strict=False)
    except msgspec.ValidationError as error:
        names = ", ".join(f"MLOPS_CALLER_{name.upper()}" for name in given)
        raise AccessError(f"{names}: {error}") from error
