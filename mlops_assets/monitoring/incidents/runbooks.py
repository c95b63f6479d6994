"""Where the runbook of a kind of incident stands."""

from mlops_assets.monitoring.incidents.alarm import Kind

FOLDER = "docs/runbooks"


def runbook(kind: Kind, address: str | None = None) -> str:
    """Return where to read what to do.

    Args:
        kind: The kind of incident.
        address: Address of the folder, of the policy's ``alerts.runbooks``; None for the repository's.
    """
    return f"{address or FOLDER}/{kind}.md"
