"""Aliases that were moved by hand: nothing follows them, and they are told."""

from dataclasses import dataclass

from mlops_assets.registry.authority import Authority
from mlops_assets.registry.port import CHAMPION
from mlops_assets.registry.releases import MOVES, latest_releases

_STRAY = "out_of_band"


@dataclass(frozen=True)
class Stray:
    """An alias that names another version than serves by right.

    Attributes:
        model: Whose it is.
        version: The version that serves by right; None if none does.
        says: What is wrong, in a sentence.
    """

    model: str
    version: str | None
    says: str


def enter_strays(authority: Authority) -> list[Stray]:
    """Enter in the audit chain, once, every champion's alias that names another version than serves by right.

    Returns:
        All of them, also those that were entered before.

    Raises:
        RegistryError: The registry cannot be reached.
        StorageError: The audit chain cannot be read or written.
    """
    audit = authority.audit
    released = latest_releases(audit, authority.verifier)
    told, moved = audit.newest_by_model((_STRAY,)), audit.newest_by_model(MOVES)
    strays: list[Stray] = []
    for model, registered in authority.registry.models().items():
        alias, signed = registered.aliases.get(CHAMPION), released.get(model)
        if alias == (signed.release.version if signed else None):
            continue  # the usual case, without a further query
        rightful = authority.champion(model)
        if alias == (rightful.version if rightful else None):
            continue
        right = f"version {rightful.version} serves" if rightful else "none serves"
        named = f"version {alias}" if alias else "no version"
        said = f"alias {CHAMPION} names {named}, and by right {right}"
        strays.append(Stray(model, rightful.version if rightful else None, said))
        entry, since = told.get(model), moved[model].seq if model in moved else 0
        if entry is None or entry.seq < since or entry.detail["alias"] != alias:
            audit.append(_STRAY, model, reason=said, alias=alias)
    return strays
