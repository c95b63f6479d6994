"""Passwords and keys that must not stand in a spec: what is signed is kept, and read by many."""

import re

_SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
    r"|://[^/\s:@\"]*:(?!\d+/)[^\s@\"]+@"
    r"|(?:[?&;]|%3B)(?:password|passwd|pwd)(?:=|%3D)[^&;\s\"]",
    re.IGNORECASE,
)


def holds_secret(text: str) -> bool:
    """Return whether a text holds a private key, or a URL with a password in it."""
    return _SECRETS.search(text) is not None
