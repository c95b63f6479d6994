"""Aliases that were moved by hand: nothing follows them, and they are told."""

from mlops_assets.registry.authority import Authority
from mlops_assets.registry.port import CHAMPION
from mlops_assets.registry.releases import MOVES, latest_releases

_STRAY = "out_of_band"


def enter_strays(authority: Authority) -> list[str]:
    """Enter in the audit chain, once, every champion's alias that names another version than serves by right.

    Returns:
        The models whose alias does.

    Raises:
        RegistryError: The registry cannot be reached.
        StorageError: The audit chain cannot be read or written.
    """
    audit = authority.audit
    released = latest_releases(audit, authority.verifier)
    told, moved = audit.newest_by_model((_STRAY,)), audit.newest_by_model(MOVES)
    strays = []
    for model, registered in authority.registry.models().items():
        alias, signed = registered.aliases.get(CHAMPION), released.get(model)
        if alias == (signed.release.version if signed else None):
            continue  # the usual case, without a further query
        rightful = authority.champion(model)
        if alias == (rightful.version if rightful else None):
            continue
        strays.append(model)
        entry, since = told.get(model), moved[model].seq if model in moved else 0
        if entry is None or entry.seq < since or entry.detail["alias"] != alias:
            right = f"version {rightful.version} serves" if rightful else "none serves"
            named = f"version {alias}" if alias else "no version"
            said = f"alias {CHAMPION} names {named}, and by right {right}"
            audit.append(_STRAY, model, reason=said, alias=alias)
    return strays
