"""SPDX licence expressions: their one form, and whether some licences are denied by others' choice.

Source: SPDX Specification 3.0, annex B "SPDX license expressions" (grammar and precedence: WITH before AND
before OR), as PEP 639 has it for Python packages.
"""

import re
from collections import deque
from collections.abc import Collection
from typing import Annotated

from pydantic import AfterValidator

# The licences of GNU are known with and without a later version; names that leave it open are deprecated.
_LEFT_OPEN = re.compile(r"\b((?:A|L)?GPL|GFDL)-(\d+(?:\.\d+)*)(\+?)(?![\w.+-])")


def canonical(expression: str) -> str:
    """Return the one form of an SPDX licence expression.

    Args:
        expression: Such as ``mit or gpl-2.0+``, which is ``MIT OR GPL-2.0-or-later``.

    Raises:
        ValueError: It is no licence expression, or names a licence that SPDX does not list.
    """
    from packaging.licenses import canonicalize_license_expression

    return _LEFT_OPEN.sub(_said, canonicalize_license_expression(expression))


def _said(found: re.Match[str]) -> str:
    name, version, later = found.groups()
    return f"{name}-{version}-{'or-later' if later else 'only'}"


def is_denied(expression: str, denied: Collection[str]) -> bool:
    """Return whether no choice that the expression leaves is free of denied licences.

    Of ``A OR B`` one may be chosen, of ``A AND B`` both hold. A licence with an exception is a licence of
    its own: who denies ``A`` has not denied ``A WITH B``.

    Args:
        expression: A licence expression as :func:`canonical` returns it.
        denied: Licences, in the same form.
    """
    tokens = deque(re.findall(r"[()]|[^\s()]+", expression))
    return _choice(tokens, denied)


def _choice(tokens: deque[str], denied: Collection[str]) -> bool:
    found = [_together(tokens, denied)]
    while tokens and tokens[0] == "OR":
        tokens.popleft()
        found.append(_together(tokens, denied))
    return all(found)


def _together(tokens: deque[str], denied: Collection[str]) -> bool:
    found = [_licence(tokens, denied)]
    while tokens and tokens[0] == "AND":
        tokens.popleft()
        found.append(_licence(tokens, denied))
    return any(found)


def _licence(tokens: deque[str], denied: Collection[str]) -> bool:
    name = tokens.popleft()
    if name == "(":
        inner = _choice(tokens, denied)
        tokens.popleft()  # the closing one
        return inner
    if tokens and tokens[0] == "WITH":
        name = f"{name} {tokens.popleft()} {tokens.popleft()}"
    return name in denied


def _identifier(value: str) -> str:
    try:
        found = canonical(value)
    except ValueError:
        raise ValueError(f"{value!r} is no SPDX licence identifier, such as AGPL-3.0-only") from None
    if re.search(r"[()]| AND | OR ", found):
        raise ValueError(f"{value!r} is more than one licence; name each by itself")
    return found


SpdxLicence = Annotated[str, AfterValidator(_identifier)]
