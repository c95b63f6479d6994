"""Compiling of loops. Import it inside functions only."""

from typing import TYPE_CHECKING, Any

import numba as nb  # noqa: TID253  (this module is itself imported where it is used)

if TYPE_CHECKING:
    from collections.abc import Callable


def compiled(signature: Any) -> "Callable[[Callable[..., Any]], Any]":
    """Compile when the module loads; kept beside the source where that is writable."""

    def compile_it(function: "Callable[..., Any]") -> Any:
        try:
            return nb.njit(signature, cache=True, nogil=True)(function)
        except RuntimeError:  # nowhere to keep it: a read-only image
            return nb.njit(signature, nogil=True)(function)

    return compile_it
