"""Who may approve a release: a person, their key, and the names by which they are known elsewhere."""

import unicodedata
from collections.abc import Sequence
from datetime import date
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from mlops_assets.specs.part import ContradictionError, Part
from mlops_assets.specs.ssh_public_key import PublicKeyLine, fingerprint

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Team = Annotated[str, StringConstraints(pattern=r"^team:[\w-]+$")]


class Approver(Part):
    """A person with one key. Who changes keys is listed twice, under the same name."""

    name: Word = Field(description="The person; the same name means the same person.")
    key: PublicKeyLine = Field(description="The line of their id_ed25519.pub.")
    identities: tuple[Word, ...] = Field(
        min_length=1, description="E-mail addresses and user names by which commits and runs know them."
    )
    teams: tuple[Team, ...] = ()
    valid_from: date | None = Field(None, description="First day on which the key may decide.")
    valid_until: date | None = Field(None, description="Last day on which the key may decide.")
    revoked_on: date | None = Field(
        None, description="From this day on nothing signed with the key counts, whenever it was signed."
    )

    @model_validator(mode="after")
    def _some_day_is_valid(self) -> "Approver":
        if self.valid_from and self.valid_until and self.valid_from > self.valid_until:
            said = f"the key is valid from {self.valid_from} until {self.valid_until}, which is no day at all"
            raise ContradictionError((("valid_until",), said))
        return self

    @property
    def fingerprint(self) -> str:
        """``SHA256:…``, the key's name."""
        return fingerprint(self.key)

    @property
    def person(self) -> str:
        """The name as it is compared."""
        return folded(self.name)

    @property
    def known_as(self) -> frozenset[str]:
        """Name and identities as they are compared."""
        return frozenset(map(folded, (self.name, *self.identities)))


def folded(identity: str) -> str:
    """Return a name or an address in the one form in which it is compared: case does not matter."""
    return unicodedata.normalize("NFKC", identity).strip().casefold()


def distinct(approvers: Sequence[Approver]) -> tuple[Approver, ...]:
    """Return approvers whose keys and identities each belong to one person.

    Raises:
        ContradictionError: A key is listed twice, or an identity for two persons, who might then be one.
    """
    problems: list[tuple[tuple[str | int, ...], str]] = []
    keys: dict[str, str] = {}
    persons: dict[str, Approver] = {}
    for index, approver in enumerate(approvers):
        if approver.fingerprint in keys:
            said = f"the key of {approver.name} is already that of {keys[approver.fingerprint]}"
            problems.append(((index, "key"), said))
        keys.setdefault(approver.fingerprint, approver.name)
        for identity in sorted(approver.known_as):
            other = persons.setdefault(identity, approver)
            if other.person != approver.person:
                said = f"{identity} is both {other.name} and {approver.name}"
                problems.append(((index, "identities"), f"{said}; one person has one name"))
    if problems:
        raise ContradictionError(*problems)
    return tuple(approvers)


Approvers = Annotated[tuple[Approver, ...], AfterValidator(distinct)]
