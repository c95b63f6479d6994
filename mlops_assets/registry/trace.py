"""From one prediction back to everything it rests on, as it was at that moment.

Only what was recorded and signed counts: the prediction log says which version answered, the audit chain
which release let it serve, and the release names the evidence. What the registry, the policy or the project
say today does not take part.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from mlops_assets.errors import DataError, RegistryError
from mlops_assets.governance.audit_entry import Entry
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.release import Release
from mlops_assets.governance.traffic import Traffic
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.prediction import Label, Prediction
from mlops_assets.prediction_log.records import CHALLENGER
from mlops_assets.registry.authority import Authority
from mlops_assets.registry.port import ModelVersion
from mlops_assets.registry.proof import read_evidence
from mlops_assets.registry.releases import MOVES, ROLLOUT, release_in, traffic_in

# A version may answer that much before its release is entered, and the one before it that much after.
_SWAP = timedelta(minutes=1)


@dataclass(frozen=True)
class Trace:
    """What one prediction rests on.

    Attributes:
        prediction: What was asked and answered.
        label: What turned out to be true, if it is known.
        version: The version that answered, as it is registered.
        release: The release that let it serve then; None if there was none.
        entry: The audit entry of that release.
        traffic: The record by which a rollout had the version answer; None if it answered as champion.
        evidence: The evidence that the release rests on; without a release the version's own.
        findings: What does not fit together.
    """

    prediction: Prediction
    label: Label | None
    version: ModelVersion
    release: Release | None
    entry: Entry | None
    traffic: Traffic | None
    evidence: Evidence
    findings: tuple[str, ...]


def trace(prediction_id: str, log: PredictionLog, authority: Authority) -> Trace:
    """Return what a prediction rests on.

    Args:
        prediction_id: As the answer gave it.
        log: Where it was written before it left.
        authority: Knows the registry, the audit chain and the platform's public key.

    Raises:
        DataError: No such prediction was made.
        RegistryError: The version is gone, or the registry cannot be reached.
        Refused: Its evidence is gone, or was not signed by the platform.
    """
    found = log.find_with_label(prediction_id)
    if found is None:
        raise DataError(f"no prediction {prediction_id!r} is in the log; is MLOPS_HOME that of the gateway?")
    prediction, label = found
    model, number = prediction.model, prediction.version
    version = authority.registry.version(model, number)
    if version is None:
        raise RegistryError(f"version {number} of {model}, which answered, is no longer in the registry")
    released = _releases(model, prediction.served_at + _SWAP, authority)
    own = next(((entry, release) for entry, release in released if release.version == number), None)
    traffic = _traffic(prediction, authority) if prediction.arm == CHALLENGER else None
    # A challenger's release, if it has one by now, came after the answer.
    entry, release = own or (None, None)
    rests_on = release or (traffic.terms if traffic else None)
    named = rests_on.evidence if rests_on else None
    evidence = read_evidence(authority.registry, version, authority.verifier, named)
    return Trace(
        prediction=prediction,
        label=label,
        version=version,
        release=release,
        entry=entry,
        traffic=traffic,
        evidence=evidence,
        findings=tuple(_findings(prediction, version, evidence, own, released, traffic)),
    )


def _releases(model: str, until: datetime, authority: Authority) -> list[tuple[Entry, Release]]:
    """Return a model's releases that were entered until a time, the latest first."""
    moves = (entry for entry in authority.audit.entries(model) if entry.action in MOVES)
    found = [(entry, release_in(entry, authority.verifier)) for entry in moves if _time(entry) <= until]
    return [(entry, signed.release) for entry, signed in reversed(found) if signed is not None]


def _traffic(prediction: Prediction, authority: Authority) -> Traffic | None:
    """Return the record by which a rollout had a version answer, if the audit chain has it."""
    entries = authority.audit.newest_first((ROLLOUT,), prediction.model)
    records = (traffic_in(entry, authority.verifier) for entry in entries)
    return next((each for each in records if each and each.serial == prediction.traffic), None)


def _findings(
    prediction: Prediction,
    version: ModelVersion,
    evidence: Evidence,
    own: tuple[Entry, Release] | None,
    released: list[tuple[Entry, Release]],
    traffic: Traffic | None,
) -> Iterator[str]:
    name = f"version {prediction.version}"
    if prediction.arm == CHALLENGER:
        if traffic is None:
            said = f"the audit chain has no traffic record {prediction.traffic}"
            yield f"{name} answered as challenger, but {said}"
        elif (traffic.challenger, traffic.state) == (prediction.version, "ended") or not traffic.percent:
            yield f"{name} was to answer nobody by traffic record {traffic.serial}"
        elif traffic.challenger != prediction.version:
            yield f"traffic record {traffic.serial} is about version {traffic.challenger}, not {name}"
    elif own is None:
        if not prediction.probe:  # which come before the release
            yield f"{name} was not released when it answered: it was asked for by its number"
    else:
        for entry, release in released[: released.index(own)]:
            if _time(entry) < prediction.served_at - _SWAP:
                yield f"version {release.version} was to serve by then (audit entry {entry.seq})"
                break
        if own[1].candidate != evidence.subject.candidate:
            yield f"the release of {name} and its evidence are not about the same package"
    if version.candidate != evidence.subject.candidate:
        yield f"the registry has {name} as another package than its evidence is about"


def _time(entry: Entry) -> datetime:
    return datetime.fromisoformat(entry.at.removesuffix("Z"))
