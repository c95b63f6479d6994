"""Numbers for what is decided about a model's endpoint: each greater than any before."""

import time

from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.signatures import Verifier
from mlops_assets.registry.port import Registry
from mlops_assets.registry.proof import carried_release, carried_traffic
from mlops_assets.registry.releases import latest_releases, latest_traffic


def next_serial(registry: Registry, audit: AuditChain, verifier: Verifier, model: str) -> int:
    """Return a serial greater than that of any release or traffic record of a model.

    That holds even if the registry and the audit chain forgot them: it is no less than the time in
    microseconds, so that of two decisions at the same time one is the later. Between releases of one serial
    whoever moves the alias would choose.
    """
    known = [0]
    if (signed := latest_releases(audit, verifier, model).get(model)) is not None:
        known.append(signed.release.serial)
    if (entered := latest_traffic(audit, verifier, model).get(model)) is not None:
        known.append(entered.serial)
    for version in registry.versions(model):
        known += [
            carried.serial
            for carried in (carried_release(version, verifier), carried_traffic(version, verifier))
            if carried is not None
        ]
    return max(max(known) + 1, time.time_ns() // 1000)
