"""Rehearse the way back: everything a rollback does but the one move that would change who serves.

The release that a rollback would make is signed and read as the gateway would read it, and thrown away. Then
an alias that nobody serves by, ``drill``, is pointed at the way back, and the gateway has to follow it and to
answer with that version what it answered when it was packaged.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from mlops_assets.errors import MlopsError, RolloutError
from mlops_assets.governance.drill import Drill
from mlops_assets.registry.authority import Authority
from mlops_assets.registry.port import DRILL, ModelVersion
from mlops_assets.registry.releases import DRILLED
from mlops_assets.specs.durations import utc_now

Follow = Callable[[str, str], None]
"""Waits until the gateway has followed the alias of a model's drill to a version."""
Answer = Callable[[ModelVersion], None]
"""Has the gateway answer with a version, and raises if it does not as it should."""


@dataclass(frozen=True)
class Drills:
    """The drills of all models.

    Args:
        authority: Knows who serves by right, and what a rollback has to show.
    """

    authority: Authority

    def rehearse(self, model: str, follow: Follow, answer: Answer, *, actor: str) -> Drill:
        """Rehearse a model's rollback, and enter how it went.

        Args:
            model: Model name.
            follow: Waits until the gateway has followed.
            answer: Has the gateway answer.
            actor: Who asks for it.

        Raises:
            RolloutError: There is no way back yet.
            StorageError: The audit chain cannot be written.
        """
        held = self.authority.release(model)
        if held is None or held.replaced is None:
            raise RolloutError(f"{model} has no previous champion, so there is no way back to rehearse")
        failure, seconds = "", None
        try:
            seconds = self._go(model, held.replaced, follow, answer)
        except MlopsError as error:
            failure = str(error)
        drill = Drill(
            model=model,
            champion=held.version,
            way_back=held.replaced,
            passed=not failure,
            seconds=seconds,
            failure=failure,
            at=utc_now(),
            actor=actor,
        )
        self.authority.audit.append(
            DRILLED,
            model,
            actor=actor,
            reason=failure or f"version {held.replaced} was followed after {seconds:.2f} s",
            version=held.version,
            previous=held.replaced,
            passed=drill.passed,
            seconds=drill.seconds,
            drill=drill.sealed(self.authority.signer()),
        )
        return drill

    def _go(self, model: str, way_back: str, follow: Follow, answer: Answer) -> float:
        registry = self.authority.registry
        target = self.authority.rehearse_roll_back(model, way_back)
        try:
            started = time.perf_counter()
            registry.set_alias(model, DRILL, target.version)
            follow(model, target.version)
            seconds = time.perf_counter() - started
            answer(target)
            return seconds
        finally:
            registry.delete_alias(model, DRILL)
