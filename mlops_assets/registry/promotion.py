"""Promotion and rollback: the alias ``champion`` moves, and that one move is the commit point.

Before it moves, the way back is in place twice: as the alias ``previous_champion``, and as a tag of
the version about to serve that names the one it replaces. So a kill between any two steps is mended by
running again, and leaves neither a model without a champion nor a champion without a way back.
"""

from dataclasses import dataclass

from mlops_assets.errors import RegistryError
from mlops_assets.registry.port import CHALLENGER, CHAMPION, PREVIOUS_CHAMPION, ModelVersion, Registry

REPLACED_TAG = "mlops.replaced"


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
        return Move(model, _way_back(registry, current), version, moved=False)
    _move(registry, model, current, version)
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
        to = _way_back(registry, current)
        if to is None:
            raise RegistryError(f"{model} has no previous champion; name a version with --to")
    elif registry.version(model, to) is None:
        known = ", ".join(v.version for v in registry.versions(model))
        raise RegistryError(f"{model} has no version {to}; it has {known}")
    if to == current.version:
        return Move(model, _way_back(registry, current), to, moved=False)
    _move(registry, model, current, to)
    return Move(model, current.version, to, moved=True)


def _move(registry: Registry, model: str, current: ModelVersion | None, to: str) -> None:
    if current is not None:
        registry.set_tag(model, to, REPLACED_TAG, current.version)
        registry.set_alias(model, PREVIOUS_CHAMPION, current.version)
    registry.set_alias(model, CHAMPION, to)


def _way_back(registry: Registry, current: ModelVersion) -> str | None:
    """Return the version before the champion.

    While a move is under way, or was killed, ``previous_champion`` is the champion itself; the one
    before it is then told by the champion's tag.
    """
    previous = registry.by_alias(current.model, PREVIOUS_CHAMPION)
    if previous is not None and previous.version != current.version:
        return previous.version
    return current.tags.get(REPLACED_TAG)


def _drop_challenger(registry: Registry, model: str, version: str) -> None:
    challenger = registry.by_alias(model, CHALLENGER)
    if challenger is not None and challenger.version == version:
        registry.delete_alias(model, CHALLENGER)
