"""Promotion and rollback: the alias ``champion`` moves, and that one move is the commit point.

Each step may be interrupted by a kill and is mended by running it again: ``previous_champion`` is
set before ``champion`` moves, so at no moment is there no way back, nor no champion.
"""

from dataclasses import dataclass

from mlops_assets.errors import RegistryError
from mlops_assets.registry.port import CHALLENGER, CHAMPION, PREVIOUS_CHAMPION, Registry


@dataclass(frozen=True)
class Move:
    """What a promotion or rollback did."""

    model: str
    previous: str | None
    champion: str
    moved: bool


def promote(registry: Registry, model: str, version: str) -> Move:
    """Make ``version`` the champion; the champion so far becomes the way back.

    Raises:
        RegistryError: The registry cannot be reached or refuses.
    """
    current = registry.by_alias(model, CHAMPION)
    if current is not None and current.version == version:
        _drop_challenger(registry, model, version)
        before = registry.by_alias(model, PREVIOUS_CHAMPION)
        return Move(model, before.version if before else None, version, moved=False)
    if current is not None:
        registry.set_alias(model, PREVIOUS_CHAMPION, current.version)
    registry.set_alias(model, CHAMPION, version)
    _drop_challenger(registry, model, version)
    return Move(model, current.version if current else None, version, moved=True)


def roll_back(registry: Registry, model: str, to: str | None = None) -> Move:
    """Make an earlier version the champion again.

    Args:
        registry: Where the aliases live.
        model: Model name.
        to: Version to go back to; the previous champion if None.

    Raises:
        RegistryError: There is no champion, no way back, or no such version.
    """
    current = registry.by_alias(model, CHAMPION)
    if current is None:
        raise RegistryError(f"{model} has no champion, so there is nothing to roll back")
    if to is None:
        back = registry.by_alias(model, PREVIOUS_CHAMPION)
        if back is None or back.version == current.version:
            raise RegistryError(f"{model} has no previous champion; name a version with --to")
        to = back.version
    elif registry.version(model, to) is None:
        known = ", ".join(v.version for v in registry.versions(model))
        raise RegistryError(f"{model} has no version {to}; it has {known}")
    if to == current.version:
        return Move(model, current.version, to, moved=False)
    registry.set_alias(model, CHAMPION, to)
    registry.set_alias(model, PREVIOUS_CHAMPION, current.version)
    return Move(model, current.version, to, moved=True)


def _drop_challenger(registry: Registry, model: str, version: str) -> None:
    challenger = registry.by_alias(model, CHALLENGER)
    if challenger is not None and challenger.version == version:
        registry.delete_alias(model, CHALLENGER)
