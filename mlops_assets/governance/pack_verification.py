"""Whether an audit pack is what the platform signed: by its files and the platform's public key alone.

A pack does not vouch for itself: the key is the verifier's own. Every check stands by itself, so that one
that fails hides none of the others.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from pydantic import ValidationError

from mlops_assets import digests
from mlops_assets.errors import MlopsError
from mlops_assets.governance import ssh_signatures
from mlops_assets.governance.audit_entry import Entry
from mlops_assets.governance.audit_proof import proof_objections
from mlops_assets.governance.evidence import objections
from mlops_assets.governance.opened_pack import OpenedPack
from mlops_assets.governance.pack import MANIFEST
from mlops_assets.governance.release import release_objections
from mlops_assets.governance.signatures import Verifier

_MOST_TOLD = 5


class Check(NamedTuple):
    """What was checked of a pack.

    Attributes:
        name: What it is about.
        passed: Whether it is in order; None where there is nothing to check, or where it is only told.
        said: What was found.
    """

    name: str
    passed: bool | None
    said: str


class _Found(NamedTuple):
    """What a check found: objections, and what is to be said if there are none."""

    objections: Iterable[str]
    good: str
    due: bool = True


def verify_pack(files: Mapping[str, bytes], verifier: Verifier, now: datetime) -> list[Check]:
    """Check a pack.

    Args:
        files: Its files by name, see :func:`mlops_assets.governance.archive.read_archive`.
        verifier: The platform's public key, which must not come from the pack.
        now: The present, naive UTC.
    """
    pack = OpenedPack(files, verifier)
    checks: dict[str, Callable[[OpenedPack], _Found]] = {
        "manifest": _manifest,
        "files": _files,
        "evidence": _evidence,
        "package": _package,
        "environment": _environment,
        "gates": _gates,
        "release": _release,
        "approvals": _approvals,
        "rollout": _rollout,
        "audit": _audit,
        "today": lambda pack: _today(pack, now),
    }
    return [_checked(name, check, pack) for name, check in checks.items()]


def _checked(name: str, check: Callable[[OpenedPack], _Found], pack: OpenedPack) -> Check:
    """Return what a check found; content that cannot be read at all is a finding too."""
    try:
        found = check(pack)
        said = list(found.objections)
    except ValidationError as error:
        found, said = _Found((), ""), [f"{error.title} is of another form than this version writes"]
    except MlopsError as error:
        found, said = _Found((), ""), [str(error)]
    except (ValueError, RecursionError) as error:
        found, said = _Found((), ""), [f"cannot be read ({type(error).__name__})"]
    if not said:
        return Check(name, True if found.due else None, found.good)
    more = len(said) - _MOST_TOLD
    told = "; ".join(said[:_MOST_TOLD]) + (f"; and {more} more" if more > 0 else "")
    return Check(name, False if found.due else None, told)


def _manifest(pack: OpenedPack) -> _Found:
    manifest = pack.manifest
    return _Found((), f"signed with the platform key: {manifest.model} version {manifest.version}")


def _files(pack: OpenedPack) -> _Found:
    listed, there = pack.manifest.files, pack.files.keys() - {MANIFEST}
    found = [
        *(f"{name} is missing" for name in sorted(listed.keys() - there)),
        *(f"{name} is not in the manifest" for name in sorted(there - listed.keys())),
        *(
            f"{name} was altered"
            for name in sorted(there & listed.keys())
            if digests.of_bytes(pack.files[name]) != listed[name]
        ),
    ]
    return _Found(found, f"{len(listed)} files are as the manifest says")


def _evidence(pack: OpenedPack) -> _Found:
    evidence, manifest = pack.evidence, pack.manifest
    subject, found = evidence.subject, []
    told = (subject.model, subject.candidate, evidence.digest)
    if told != (manifest.model, manifest.candidate, manifest.evidence):
        found.append(f"it is of {subject.model} candidate {subject.candidate[:12]}, and the pack of another")
    if digests.of_json(evidence.spec) != subject.spec:
        found.append("the spec in it is not the one it is about")
    return _Found(found, f"signed on {evidence.made_at:%Y-%m-%d}, of candidate {subject.candidate[:12]}")


def _package(pack: OpenedPack) -> _Found:
    content, signature = pack.file("package/manifest.json"), pack.file("package/manifest.sig")
    told, found = pack.package_digests, []
    if not pack.verifier.verify(content, signature):
        found.append("its manifest is not signed with the platform key")
    if digests.of_bytes(content) != pack.evidence.subject.candidate:
        found.append("its manifest is not that of the candidate in the evidence")
    for name, file in pack.package.items():
        if name not in ("manifest.json", "manifest.sig") and told.get(name) != digests.of_bytes(file):
            found.append(f"its file {name} is not the one in its manifest")
    return _Found(found, "its manifest is signed, and is that of the candidate in the evidence")


def _environment(pack: OpenedPack) -> _Found:
    if pack.environment is None:
        return _Found((), "not recorded", due=False)
    found = []
    if pack.environment.digest != pack.evidence.subject.environment:
        found.append("it is not the one in the evidence")
    return _Found(found, f"{len(pack.environment.components)} components, the environment in the evidence")


def _gates(pack: OpenedPack) -> _Found:
    """Judge again what the gates measured, by the rules and at the time of the release."""
    evidence, subject = pack.evidence, pack.evidence.subject
    then = pack.released_at or evidence.made_at
    found = objections(evidence, subject.candidate, subject.model, evidence.rules, then)
    when = f"when it was {'released' if pack.released_at else 'registered'}, {then:%Y-%m-%d}"
    names = ", ".join(record.gate for record in evidence.gates)
    return _Found(map(str, found), f"all kept the limits of their time {when}: {names}")


def _release(pack: OpenedPack) -> _Found:
    release, manifest, evidence = pack.release, pack.manifest, pack.evidence
    if release is None:
        return _Found((), "none: this version was never let serve", due=False)
    found = release_objections(
        release,
        evidence,
        model=manifest.model,
        version=manifest.version,
        candidate=manifest.candidate,
        mlflow_run=evidence.facts.get("mlflow_run", release.mlflow_run),
        rules=evidence.rules,
        approvers=pack.approvers,
    )
    said = f"signed, number {release.serial}, {release.action} on {release.at:%Y-%m-%d} by {release.actor}"
    return _Found(map(str, found), f"{said}, of this version, package and evidence")


def _approvals(pack: OpenedPack) -> _Found:
    names = {approver.key: approver.name for approver in pack.approvers}
    found, shown, by = [], [], []
    for decision in pack.decisions:
        shown.append(decision.content)
        signer = next(
            (k for k in names if ssh_signatures.verify(decision.signature, decision.content, k)), None
        )
        if signer is None:
            found.append(f"{decision.file} is not signed by any of the approvers")
        else:
            by.append(f"{decision.decision.decision} by {names[signer]}")
    rests_on = pack.release.approvals if pack.release else ()
    found += [
        f"the {signed.decision.decision} of {signed.decision.at}, which the release rests on, is not shown"
        for signed in rests_on
        if signed.decision.content not in shown
    ]
    if not by:
        return _Found(found, "none: nobody has decided about this version", due=bool(found))
    return _Found(found, f"signed with the approvers' keys: {', '.join(by)}")


def _rollout(pack: OpenedPack) -> _Found:
    releases, model = pack.releases, pack.evidence.subject.model
    if not releases:
        return _Found((), "none: no version of this model was ever released", due=False)
    found = [
        f"release {release.serial} is of {release.model}" for release in releases if release.model != model
    ]
    serials = [release.serial for release in releases]
    if serials != sorted(set(serials)):
        found.append("the releases are not numbered one after the other")
    if list(pack.sealed_releases) != list(_entered_releases(pack)):
        found.append("the releases are not those in the audit chain")
    told = "one release" if len(releases) == 1 else f"{len(releases)} releases"
    return _Found(found, f"{told} of {model}, signed and entered in the audit chain")


def _entered_releases(pack: OpenedPack) -> Iterator[str]:
    for text in pack.audit_texts:
        entry = Entry.model_validate_json(text)
        if release := entry.detail.get("release"):
            yield str(release)


def _audit(pack: OpenedPack) -> _Found:
    texts, stretches, chain = pack.audit_texts, pack.stretches, pack.chain
    found = [
        *proof_objections(texts, stretches, pack.evidence.subject.model, pack.verifier),
        *(f"when the pack was made: {problem}" for problem in chain.problems),
    ]
    proven = f"{len(texts)} entries about the model, proven to be in the chain that the platform signed"
    return _Found(found, f"{proven}; its {chain.length} entries were in order when the pack was made")


def _today(pack: OpenedPack, now: datetime) -> _Found:
    """Tell whether the evidence would let the version go on now; that it has grown old is no fault."""
    evidence, rules = pack.evidence, pack.rules_today
    found = objections(evidence, evidence.subject.candidate, evidence.subject.model, rules, now)
    return _Found(
        map(str, found), f"the evidence holds until {evidence.expires_at(rules):%Y-%m-%d}", due=False
    )
