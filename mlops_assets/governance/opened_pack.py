"""The files of an audit pack, each read when asked for, and believed as far as its signature goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from pydantic import BaseModel, TypeAdapter

from mlops_assets.errors import EvidenceError
from mlops_assets.governance.approvals import Decision
from mlops_assets.governance.audit_proof import Stretch
from mlops_assets.governance.environment import Environment
from mlops_assets.governance.evidence import Evidence
from mlops_assets.governance.pack import MANIFEST, PackManifest
from mlops_assets.governance.release import Release
from mlops_assets.governance.signatures import Verifier
from mlops_assets.specs.approver import Approver
from mlops_assets.specs.policy import Rules

_APPROVERS = TypeAdapter(tuple[Approver, ...])
_STRETCHES = TypeAdapter(tuple[Stretch, ...])


class _PackageManifest(BaseModel):
    files: dict[str, str]


class Chain(BaseModel):
    """What the whole audit chain was found to be."""

    length: int
    problems: tuple[str, ...]


class ShownDecision(NamedTuple):
    """A decision as a person signed it: the file it is in, its bytes, and the signature beside it."""

    file: str
    content: bytes
    signature: str

    @property
    def decision(self) -> Decision:
        """What was decided."""
        return Decision.model_validate_json(self.content)


@dataclass(frozen=True)
class OpenedPack:
    """A pack whose signed statements are verified when they are read.

    Every property raises EvidenceError for a file that is missing or not signed with the platform key, and
    ValueError for one of another form.

    Args:
        files: Its files by name.
        verifier: The platform's public key.
    """

    files: Mapping[str, bytes]
    verifier: Verifier

    def file(self, name: str) -> bytes:
        """Return the content of a file."""
        try:
            return self.files[name]
        except KeyError:
            raise EvidenceError(f"{name} is missing") from None

    @cached_property
    def manifest(self) -> PackManifest:
        """What the pack is."""
        content = self.file(MANIFEST)
        try:
            return PackManifest.unsealed(content, self.verifier)
        except EvidenceError as error:
            raise EvidenceError(f"{MANIFEST} {error}") from error

    @cached_property
    def evidence(self) -> Evidence:
        """The version's evidence."""
        content = self.file("evidence.json")
        try:
            return Evidence.unsealed(content, self.verifier)
        except EvidenceError as error:
            raise EvidenceError(f"evidence.json {error}") from error

    @property
    def package(self) -> dict[str, bytes]:
        """Files of the packaged model by name."""
        return {name.removeprefix("package/"): self.files[name] for name in self._below("package/")}

    @property
    def package_digests(self) -> dict[str, str]:
        """The digest of every file of the packaged model, as its manifest tells."""
        return _PackageManifest.model_validate_json(self.file("package/manifest.json")).files

    @cached_property
    def environment(self) -> Environment | None:
        """What it was made with, if that was recorded; a file of the package."""
        content = self.files.get("package/environment.json")
        return Environment.from_bytes(content) if content is not None else None

    @cached_property
    def release(self) -> Release | None:
        """What lets it serve, if it was released."""
        return self._release("release.json") if "release.json" in self.files else None

    @property
    def released_at(self) -> datetime | None:
        """When it was released first, if it was: a way back keeps the time of the way forward."""
        return (self.release.approved_at or self.release.at) if self.release else None

    @cached_property
    def releases(self) -> list[Release]:
        """All releases of the model, oldest first."""
        return [self._release(name) for name in self._below("releases/")]

    @property
    def sealed_releases(self) -> list[str]:
        """The same, as they were signed."""
        return [self.files[name].decode() for name in self._below("releases/")]

    @cached_property
    def approvers(self) -> tuple[Approver, ...]:
        """Who decided about it, with their keys."""
        return _APPROVERS.validate_json(self.files.get("approvals/approvers.json", b"[]"))

    @property
    def decisions(self) -> list[ShownDecision]:
        """What they decided; their signatures are not looked at here."""
        names = [name for name in self._below("approvals/") if f"{name}.sig" in self.files]
        return [ShownDecision(n, self.files[n], self.files[f"{n}.sig"].decode()) for n in names]

    @property
    def audit_texts(self) -> list[str]:
        """The audit entries about the model."""
        return self.file("audit/entries.jsonl").decode().split("\n")[:-1]

    @property
    def stretches(self) -> tuple[Stretch, ...]:
        """The parts of the audit chain that hold them."""
        return _STRETCHES.validate_json(self.file("audit/proof.json"))

    @property
    def chain(self) -> Chain:
        """What the whole audit chain was found to be."""
        return Chain.model_validate_json(self.file("audit/chain.json"))

    @property
    def rules_today(self) -> Rules:
        """What the policy demanded when the pack was made."""
        return Rules.model_validate_json(self.file("policy/today.json"))

    def _release(self, name: str) -> Release:
        try:
            return Release.unsealed(self.files[name], self.verifier)
        except EvidenceError as error:
            raise EvidenceError(f"{name} {error}") from error

    def _below(self, folder: str) -> list[str]:
        return sorted(name for name in self.files if name.startswith(folder))
