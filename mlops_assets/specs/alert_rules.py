"""Who is told of incidents, how often, and when they are over: the part ``alerts`` of the policy."""

import re
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from mlops_assets.specs.durations import Duration
from mlops_assets.specs.part import ContradictionError, Part
from mlops_assets.specs.secrets import holds_secret

Severity: TypeAlias = Literal["information", "warning", "page"]
SEVERITIES: tuple[Severity, ...] = ("information", "warning", "page")
EVERYBODY = "*"
# Whose the gateway and the monitoring are.
PLATFORM_OWNER = "platform"

_URL = "is a URL, and URLs of notifiers hold secrets: put it into an environment variable, and name that here"
_OWNER = re.compile(r"\*|platform|team:[\w-]+|[^@\s]+@[^@\s]+\.[^@\s]+")


def _environment_variable(name: str) -> str:
    if "://" in name:  # which is not shown: whoever reads the message need not read the secret
        raise ValueError(_URL)
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError("must be the name of an environment variable, of letters, digits and _")
    return name


EnvironmentVariable = Annotated[str, AfterValidator(_environment_variable)]


def _address(address: str | None) -> str | None:
    if address is not None and (not address.startswith(("https://", "http://")) or holds_secret(address)):
        raise ValueError("must be a web address without a password")
    return address.rstrip("/") if address else None


def _owner(owner: str) -> str:
    if not _OWNER.fullmatch(owner):
        raise ValueError(
            f"{owner!r} is no owner; write it as in a spec, team:… or an address; platform, or * for all"
        )
    return owner


class Route(Part):
    """Where word of some incidents goes."""

    owner: Annotated[str, AfterValidator(_owner)] = Field(
        description="Whose incidents; platform for gateway and monitoring, * for all."
    )
    severity: Severity = Field("page", description="Least severity that is told.")
    url_env: EnvironmentVariable = Field(
        description="Environment variable that holds the notifier's URL in Apprise's form."
    )

    @model_validator(mode="before")
    @classmethod
    def _urls_stay_outside(cls, value: Any) -> Any:
        if isinstance(value, dict) and "url" in value:
            raise ContradictionError((("url",), _URL.replace("name that here", "name that in url_env")))
        return value

    def takes(self, owner: str, severity: Severity) -> bool:
        """Return whether what is this bad for an owner goes this way."""
        enough = SEVERITIES.index(severity) >= SEVERITIES.index(self.severity)
        return enough and self.owner in (EVERYBODY, owner)


class Alerts(Part):
    """How incidents are told and ended."""

    routes: tuple[Route, ...] = Field(description="Where word goes; nobody is told without any.")
    cooldown: Duration = Field(description="Least time between two words of one incident that got no worse.")
    escalate_after: Duration = Field(description="How long a page may stay unacknowledged.")
    escalate_to_env: EnvironmentVariable | None = Field(
        description="Environment variable with the URL of whom to tell then; null for nobody."
    )
    resolve_after: int = Field(ge=1, description="Quiet windows of each model hit that end an incident.")
    reopen_within: Duration = Field(
        description="How long after its end the same trouble is the same incident."
    )
    runbooks: Annotated[str | None, AfterValidator(_address)] = Field(
        description="Address of the folder with the runbooks, for links; null for the one in the repository."
    )

    @property
    def variables(self) -> tuple[tuple[tuple[str | int, ...], str], ...]:
        """Every environment variable that is named, with its path."""
        found: list[tuple[tuple[str | int, ...], str]] = [
            (("routes", index, "url_env"), route.url_env) for index, route in enumerate(self.routes)
        ]
        if self.escalate_to_env is not None:
            found.append((("escalate_to_env",), self.escalate_to_env))
        return tuple(found)
