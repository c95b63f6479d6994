"""What the platform says and signs: immutable statements, and how they are signed and read."""

import json
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_assets.errors import EvidenceError
from mlops_assets.governance.envelope import digest, seal, unseal
from mlops_assets.governance.signatures import Signer, Verifier


class Statement(BaseModel):
    """Base of what is signed: immutable JSON, in which unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")

    def plain(self) -> Any:
        """Return it as plain JSON, in which NaN, which JSON does not know, is a word."""
        return json.loads(self.model_dump_json())


class Sealed(Statement):
    """Base of statements that are signed by themselves, and not as part of another.

    Attributes:
        kind: What it states, such as ``evidence/1``; signed along with it.
    """

    kind: ClassVar[str]

    @property
    def digest(self) -> str:
        """The digest by which it is known, whoever signed it."""
        return digest(self.kind, self.plain())

    def sealed(self, signer: Signer) -> str:
        """Return it signed."""
        return seal(self.kind, self.plain(), signer).decode()

    @classmethod
    def unsealed(cls, content: str | bytes, verifier: Verifier) -> Self:
        """Return what :meth:`sealed` made.

        Raises:
            EvidenceError: It is not signed with the platform key, or is of another form.
        """
        # A text from outside may hold halves of characters; unseal refuses them like anything unsigned.
        raw = content.encode(errors="surrogatepass") if isinstance(content, str) else content
        value = unseal(cls.kind, raw, verifier)
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise EvidenceError("is of another form than this version of the platform writes") from error
