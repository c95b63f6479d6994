"""The signed record of a drill: a rollback that was rehearsed, and how it went."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import ClassVar

from mlops_assets.governance.evidence import Objection
from mlops_assets.governance.statement import Sealed
from mlops_assets.specs.durations import format_duration


class Drill(Sealed):
    """A rehearsal of the way back.

    Attributes:
        model: Model name.
        champion: The version that served.
        way_back: The version that a rollback would have gone to.
        passed: Whether it would have come to serve.
        seconds: From the decision until the gateway had followed; None if it never did.
        failure: Why it would not have; empty if it would.
        at: When, naive UTC.
        actor: Who asked for it.
    """

    kind: ClassVar[str] = "drill/1"

    model: str
    champion: str
    way_back: str
    passed: bool
    seconds: float | None
    failure: str = ""
    at: datetime
    actor: str


def drill_objections(
    drill: Drill | None, model: str, way_back: str | None, max_age: timedelta | None, at: datetime
) -> Iterator[Objection]:
    """Yield why nobody can be sure of a model's way back.

    Args:
        drill: Its last drill; None if there was none.
        model: Model name.
        way_back: The version that a rollback would have gone to; None if there is none yet.
        max_age: How old a drill may be; None if none is demanded.
        at: When that counts, naive UTC.
    """
    if max_age is None or way_back is None:
        return
    todo = f"run mlops-assets drill {model}"
    if drill is None or drill.model != model:
        yield Objection("failed_gate", f"its way back was never rehearsed; {todo}")
    elif not drill.passed:
        yield Objection(
            "failed_gate", f"its last drill of {drill.at:%Y-%m-%d} failed: {drill.failure}; {todo}"
        )
    elif at - drill.at > max_age:
        said = f"its last drill of {drill.at:%Y-%m-%d} is older than {format_duration(max_age)}"
        yield Objection("failed_gate", f"{said}; {todo}")
