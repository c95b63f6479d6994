"""What a candidate was made with: every installed distribution, recorded in the package when it is trained.

The environment is one of the things that determine a candidate, so its digest is in the recipe, in the
package and in the evidence. What the digest stands for is known only where it is trained, and only then.
"""

import sys

from pydantic import BaseModel, ConfigDict, ValidationError

from mlops_assets import digests
from mlops_assets.errors import PackageError
from mlops_assets.governance.components import Component, inventory


class Environment(BaseModel):
    """What a candidate was made with.

    Attributes:
        python: Version of Python.
        components: The distributions, with licences and suppliers as far as their metadata tell.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    python: str
    components: tuple[Component, ...]

    @classmethod
    def present(cls) -> "Environment":
        """Return that of this process."""
        return cls(python=sys.version.split()[0], components=inventory())

    @property
    def versions(self) -> dict[str, str]:
        """The version of Python and of every distribution, by name."""
        return {"python": self.python, **{found.name: found.version for found in self.components}}

    @property
    def digest(self) -> str:
        """The digest by which recipe, package and evidence know it."""
        return digests.of_json(self.versions)

    def to_bytes(self) -> bytes:
        """Return its canonical JSON form."""
        return digests.canonical_json(self.model_dump(mode="json"))

    @classmethod
    def from_bytes(cls, content: bytes) -> "Environment":
        """Return what :meth:`to_bytes` wrote.

        Raises:
            PackageError: It is of another form.
        """
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise PackageError("the record of the environment is of another form") from error
