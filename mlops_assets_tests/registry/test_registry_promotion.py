"""The champion's move is one step; a kill before or after any other step is mended by running again."""

from collections.abc import Callable
from typing import Any

import pytest

from mlops_assets.errors import RegistryError
from mlops_assets.registry.mlflow_registry import MlflowRegistry
from mlops_assets.registry.port import CHALLENGER, CHAMPION, PREVIOUS_CHAMPION, ModelVersion, Registry
from mlops_assets.registry.promotion import REPLACED_TAG, promote, roll_back

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
    promote(registry, model, "1")
    promote(registry, model, "2")
    registry.set_alias(model, CHALLENGER, "3")
    return model


def aliases(registry: Registry, model: str) -> dict[str, str]:
    return registry.aliases()[model]


def test_a_promotion_moves_the_champion_and_keeps_the_way_back(registry: MlflowRegistry, three: str) -> None:
    assert aliases(registry, three) == {CHAMPION: "2", PREVIOUS_CHAMPION: "1", CHALLENGER: "3"}
    move = promote(registry, three, "3")
    assert (move.previous, move.champion, move.moved) == ("2", "3", True)
    assert aliases(registry, three) == {CHAMPION: "3", PREVIOUS_CHAMPION: "2"}
    again = promote(registry, three, "3")
    assert (again.previous, again.champion, again.moved) == ("2", "3", False)


def test_a_rollback_is_the_way_back_and_there_again(registry: MlflowRegistry, three: str) -> None:
    assert roll_back(registry, three).champion == "1"
    assert aliases(registry, three) == {CHAMPION: "1", PREVIOUS_CHAMPION: "2", CHALLENGER: "3"}
    assert roll_back(registry, three).champion == "2"
    move = roll_back(registry, three, to="1")
    assert (move.previous, move.champion, move.moved) == ("2", "1", True)
    assert not roll_back(registry, three, to="1").moved


def test_a_rollback_that_cannot_be_says_why(registry: MlflowRegistry, register: Register, model: str) -> None:
    with pytest.raises(RegistryError, match="has no champion, so there is nothing to roll back"):
        roll_back(registry, model)
    register("a" * 64)
    promote(registry, model, "1")
    with pytest.raises(RegistryError, match="has no previous champion; name a version with --to"):
        roll_back(registry, model)
    with pytest.raises(RegistryError, match="has no version 9; it has 1"):
        roll_back(registry, model, to="9")


ACTS: dict[str, Act] = {
    "promote": lambda registry, model: promote(registry, model, "3"),
    "roll back": roll_back,
    "roll back to": lambda registry, model: roll_back(registry, model, to="1"),
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
            way_back = roll_back(registry, three)
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
