"""Changes of what a model rests on besides its rows: its spec, the policy, the platform's key.

They are made in files, where nothing of ours is asked; so they are entered when they are first seen.
"""

from collections.abc import Mapping

from mlops_assets.governance.audit_chain import AuditChain


def enter_changes(audit: AuditChain, model: str, stand: Mapping[str, str], actor: str, run: str) -> None:
    """Enter what is another one than when the model was registered last.

    Args:
        audit: The audit chain, whose entries ``register`` hold how things stood.
        model: Model name.
        stand: Digests of what counts now, by what it is, such as ``spec``.
        actor: Who registers.
        run: The Dagster run.
    """
    entry = audit.newest(model, ("register",))
    if entry is None:
        return
    for what, digest in stand.items():
        before = entry.detail.get("stand", {}).get(what)
        if before not in (None, digest) and not _is_entered(audit, model, what, digest, entry.seq):
            said = f"the {what} is another one than at the registration of version {entry.detail['version']}"
            audit.append(
                f"{what}_change", model, actor=actor, reason=said, run=run, before=before, now=digest
            )


def _is_entered(audit: AuditChain, model: str, what: str, digest: str, since: int) -> bool:
    """Return whether a change was entered by a run that was killed before it could register."""
    told = audit.newest(model, (f"{what}_change",))
    return told is not None and told.seq > since and told.detail["now"] == digest
