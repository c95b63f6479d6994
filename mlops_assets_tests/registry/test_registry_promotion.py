"""The champion's move is one step; a kill before or after any other step is mended by running again."""

from collections.abc import Callable
from typing import Any

import pytest

from mlops_assets.errors import RegistryError
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.port import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS_CHAMPION,
    RELEASE_TAG,
    ModelVersion,
    Registry,
)
from mlops_assets.registry.promotion import REPLACED_TAG, Move, promote, roll_back

Register = Callable[..., ModelVersion]
Act = Callable[[Any, str], Any]


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the code under test may catch it."""


class Mortal:
    """A registry whose user is killed right before the n-th call, thus right after the one before."""

    def __init__(self, registry: Registry, calls: int) -> None:
        self._registry, self._left = registry, calls

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._registry, name)

        def call(*args: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                raise Killed
            return method(*args)

        return call


@pytest.fixture
def three(register: Register, registry: MlflowRegistry, model: str) -> str:
    """A model of three versions, of which the second serves and the third challenges."""
    for candidate in "abc":
        register(candidate * 64)
    forward(registry, model, "1")
    forward(registry, model, "2")
    registry.set_alias(model, CHALLENGER, "3")
    return model


def champion(registry: Any, model: str) -> ModelVersion | None:
    found: ModelVersion | None = registry.by_alias(model, CHAMPION)
    return found


def forward(registry: Any, model: str, version: str) -> Move:
    to = registry.version(model, version)
    return promote(
        registry, to, champion(registry, model), lambda to, replaced: f"{to.version} for {replaced}"
    )


def back(registry: Any, model: str, to: str | None = None) -> Move:
    current = champion(registry, model)
    return roll_back(registry, model, to, current, lambda to, replaced: f"{to.version} for {replaced}")


def aliases(registry: Registry, model: str) -> dict[str, str]:
    return registry.aliases()[model]


def test_a_promotion_moves_the_champion_and_keeps_the_way_back(registry: MlflowRegistry, three: str) -> None:
    assert aliases(registry, three) == {CHAMPION: "2", PREVIOUS_CHAMPION: "1", CHALLENGER: "3"}
    move = forward(registry, three, "3")
    released = registry.version(three, "3")
    assert released is not None
    assert released.tags[RELEASE_TAG] == "3 for 2"
    assert (move.previous, move.champion, move.moved) == ("2", "3", True)
    assert aliases(registry, three) == {CHAMPION: "3", PREVIOUS_CHAMPION: "2"}
    again = forward(registry, three, "3")
    assert (again.previous, again.champion, again.moved) == ("2", "3", False)


def test_a_rollback_is_the_way_back_and_there_again(registry: MlflowRegistry, three: str) -> None:
    assert back(registry, three).champion == "1"
    assert aliases(registry, three) == {CHAMPION: "1", PREVIOUS_CHAMPION: "2", CHALLENGER: "3"}
    assert back(registry, three).champion == "2"
    move = back(registry, three, to="1")
    assert (move.previous, move.champion, move.moved) == ("2", "1", True)
    assert not back(registry, three, to="1").moved


def test_a_rollback_that_cannot_be_says_why(registry: MlflowRegistry, register: Register, model: str) -> None:
    with pytest.raises(RegistryError, match="has no champion, so there is nothing to roll back"):
        back(registry, model)
    register("a" * 64)
    forward(registry, model, "1")
    with pytest.raises(RegistryError, match="has no previous champion; name a version with --to"):
        back(registry, model)
    with pytest.raises(RegistryError, match="has no version 9; it has 1"):
        back(registry, model, to="9")


ACTS: dict[str, Act] = {
    "promote": lambda registry, model: forward(registry, model, "3"),
    "roll back": back,
    "roll back to": lambda registry, model: back(registry, model, to="1"),
}


@pytest.mark.parametrize("act", ACTS)
def test_a_kill_anywhere_is_mended_by_running_again(registry: MlflowRegistry, three: str, act: str) -> None:
    start = aliases(registry, three)
    before = {v.version: dict(v.tags) for v in registry.versions(three)}

    def reset() -> None:
        for alias in (CHAMPION, PREVIOUS_CHAMPION, CHALLENGER):
            registry.delete_alias(three, alias)
            if alias in start:
                registry.set_alias(three, alias, start[alias])
        for version, tags in before.items():
            if REPLACED_TAG in tags:
                registry.set_tag(three, version, REPLACED_TAG, tags[REPLACED_TAG])
            else:
                registry.client.delete_model_version_tag(three, version, REPLACED_TAG)

    ACTS[act](registry, three)
    undisturbed = aliases(registry, three)
    for calls in range(1, 12):
        reset()
        try:
            ACTS[act](Mortal(registry, calls), three)
        except Killed:
            left = aliases(registry, three)
            assert left[CHAMPION] in (start[CHAMPION], undisturbed[CHAMPION])
            # At every moment there is a way back from whatever serves.
            way_back = back(registry, three)
            assert way_back.champion != left[CHAMPION]
            reset()
            with pytest.raises(Killed):
                ACTS[act](Mortal(registry, calls), three)
            ACTS[act](registry, three)
            assert aliases(registry, three) == undisturbed
        else:
            assert calls > 4  # it was killed at least once at each of its writes
            return
    pytest.fail("the act never came to its end")
