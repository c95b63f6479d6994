"""Promotion and rollback: the alias ``champion`` moves, and that one move is the commit point.

Before it moves, the version carries its release, and the way back is in place twice: as the alias
``previous_champion``, and as a tag of the version about to serve that names the one it replaces. So a kill
between any two steps is mended by running again, and leaves neither a model without a champion nor a
champion without a way back.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mlops_assets.errors import RegistryError
from mlops_assets.registry.port import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS_CHAMPION,
    RELEASE_TAG,
    ModelVersion,
    Registry,
)

REPLACED_TAG = "mlops.replaced"

MakeRelease = Callable[[ModelVersion, str | None], str]
"""Makes the signed release of a version, given the version it replaces."""


@dataclass(frozen=True)
class Move:
    """What a promotion or rollback did."""

    model: str
    previous: str | None
    champion: str
    moved: bool


def promote(
    registry: Registry, version: ModelVersion, current: ModelVersion | None, release: MakeRelease
) -> Move:
    """Make a version the champion; the champion so far becomes the way back.

    Args:
        registry: Where the aliases live.
        version: The version.
        current: The rightful champion so far, whatever the alias says.
        release: Makes the version's release.

    Raises:
        RegistryError: The registry cannot be reached or refuses.
    """
    model = version.model
    if current is not None and current.version == version.version:
        _restore(registry, current)
        _drop_challenger(registry, model, version.version)
        return Move(model, _way_back(registry, current), version.version, moved=False)
    _move(registry, current, version, release)
    _drop_challenger(registry, model, version.version)
    return Move(model, current.version if current else None, version.version, moved=True)


def renew(registry: Registry, champion: ModelVersion, way_back: str | None, release: MakeRelease) -> Move:
    """Have the champion carry a release for evidence that was renewed; it goes on serving.

    Args:
        registry: Where the aliases live.
        champion: The rightful champion.
        way_back: The version before it.
        release: Makes its release.

    Raises:
        RegistryError: The registry cannot be reached or refuses.
    """
    registry.set_tag(champion.model, champion.version, RELEASE_TAG, release(champion, way_back))
    _restore(registry, champion)
    _drop_challenger(registry, champion.model, champion.version)
    return Move(champion.model, way_back, champion.version, moved=False)


def roll_back(
    registry: Registry, model: str, to: str | None, current: ModelVersion | None, release: MakeRelease
) -> Move:
    """Make an earlier version the champion again.

    Args:
        registry: Where the aliases live.
        model: Model name.
        to: Version to go back to; the previous champion if None.
        current: The rightful champion so far, whatever the alias says.
        release: Makes the version's release, or raises if it may not serve.

    Raises:
        RegistryError: There is no champion, no way back, or no such version.
    """
    if current is None:
        raise RegistryError(f"{model} has no champion, so there is nothing to roll back")
    to = to or _way_back(registry, current)
    if to is None:
        raise RegistryError(f"{model} has no previous champion; name a version with --to")
    target = registry.version(model, to)
    if target is None:
        known = ", ".join(v.version for v in registry.versions(model))
        raise RegistryError(f"{model} has no version {to}; it has {known}")
    if to == current.version:
        _restore(registry, current)
        return Move(model, _way_back(registry, current), to, moved=False)
    _move(registry, current, target, release)
    return Move(model, current.version, to, moved=True)


def _restore(registry: Registry, champion: ModelVersion) -> None:
    """Point the alias back at the rightful champion if somebody moved it by hand."""
    named = registry.by_alias(champion.model, CHAMPION)
    if named is None or named.version != champion.version:
        registry.set_alias(champion.model, CHAMPION, champion.version)


def _move(registry: Registry, current: ModelVersion | None, to: ModelVersion, release: MakeRelease) -> None:
    signed = release(to, current.version if current else None)
    if current is not None:
        registry.set_tag(to.model, to.version, REPLACED_TAG, current.version)
        registry.set_alias(to.model, PREVIOUS_CHAMPION, current.version)
    registry.set_tag(to.model, to.version, RELEASE_TAG, signed)
    registry.set_alias(to.model, CHAMPION, to.version)


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
