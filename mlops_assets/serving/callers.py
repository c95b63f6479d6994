"""Who calls the gateway, and what each caller may do."""

import math
from dataclasses import dataclass, replace
from typing import Annotated

from msgspec import Meta, Struct

from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.table import Table

PREDICT, FEEDBACK, SEE = "predict", "feedback", "see"
RIGHTS = (PREDICT, FEEDBACK, SEE)
# To ask as the platform itself does, which keeps a request out of monitoring. Nobody can be given it.
PROBE = "probe"
EVERY_MODEL = "*"

_WORDS = {PREDICT: "predict with", FEEDBACK: "send feedback on", SEE: "see"}


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """How much a caller may ask; None is without limit.

    Attributes:
        requests_per_second: Requests a second, in the long run.
        burst: Requests at once after a pause; what a second allows if None.
        concurrent: Requests that are answered at the same time.
    """

    requests_per_second: Annotated[float, Meta(ge=0.001)] | None = None
    burst: Annotated[int, Meta(ge=1)] | None = None
    concurrent: Annotated[int, Meta(ge=1)] | None = None

    def __bool__(self) -> bool:
        """Whether there is any limit."""
        return self.requests_per_second is not None or self.concurrent is not None


UNLIMITED = Limits()


@dataclass(frozen=True)
class Caller:
    """Somebody who may call.

    Attributes:
        name: As the prediction log names the caller.
        models: Models in scope; :data:`EVERY_MODEL` stands for all.
        rights: What may be done with these.
        limits: How much of it.
        until: Unix time from which on this is no longer so.
    """

    name: str
    models: frozenset[str]
    rights: frozenset[str]
    limits: Limits = UNLIMITED
    until: float = math.inf

    def may(self, right: str, model: str | None = None) -> bool:
        """Return whether the caller has a right to a model; to any at all if None."""
        if right not in self.rights:
            return False
        return model is None or model in self.models or EVERY_MODEL in self.models

    def require(self, right: str, model: str | None = None) -> None:
        """Refuse what the caller has no right to.

        Raises:
            Refusal: 403. Of a model out of scope it does not tell whether there is one of this name.
        """
        if self.may(right, model):
            return
        if model == EVERY_MODEL:
            raise Refusal(403, f"only callers who may {_WORDS[right]} every model may see this")
        which = "any model" if model is None else f"a model {model!r}, if there is one"
        raise Refusal(403, f"this caller may not {_WORDS[right]} {which}")

    def view(self, table: Table) -> Table:
        """Return what the caller may know of a table: the models in scope, and what is wrong with them."""
        if EVERY_MODEL in self.models:
            return table
        return replace(
            table,
            routes={name: table.routes[name] for name in self.models if name in table.routes},
            problems=tuple(problem for problem in table.problems if problem.model in self.models),
        )


PLATFORM = Caller("platform", frozenset([EVERY_MODEL]), frozenset([*RIGHTS, PROBE]))
ANONYMOUS = Caller("", frozenset([EVERY_MODEL]), frozenset(RIGHTS))
# On the loopback interface whoever calls is whoever runs the platform.
EMBEDDED = replace(PLATFORM, name="")
