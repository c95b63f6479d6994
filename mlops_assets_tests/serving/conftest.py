"""What the gateway's tests share: models in a registry, and a gateway on it; see ``fleets.py``."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from mlops_assets.home import Home
from mlops_assets_tests.environments import nothing_declared
from mlops_assets_tests.fleets import (
    Fleet,
    InProcess,
    Served,
    Training,
    constant,
    diabetes,
    in_process,
    iris,
    serve,
    visits,
)


@pytest.fixture(scope="session", autouse=True)
def _no_other_registry() -> Iterator[None]:
    with nothing_declared():
        yield


@pytest.fixture(scope="session")
def trainings() -> dict[str, Training]:
    return {t.model: t for t in (visits(), iris(), diabetes())}


@pytest.fixture(scope="session")
def fleet(
    tmp_path_factory: pytest.TempPathFactory,
    copy_fleet: Callable[[Path], Fleet],
    trainings: dict[str, Training],
) -> Fleet:
    """Three models of three tasks, each with a champion; tests only read it."""
    made = copy_fleet(tmp_path_factory.mktemp("fleet"))
    for training in trainings.values():
        made.promote(training.model, made.add(training).version)
    return made


@pytest.fixture(scope="session")
def served(fleet: Fleet) -> Iterator[Served]:
    """One gateway for all tests that change nothing in its registry."""
    with serve(fleet) as running:
        yield running


@pytest.fixture(scope="session")
def _registered(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Versions 1, 2 and 3 of the model ``m``, which answer 1, 2 and 3; no alias names one."""
    made = Fleet(Home(tmp_path_factory.mktemp("registered")))
    for value in (1.0, 2.0, 3.0):
        made.add(constant("m", value))
    return made


@pytest.fixture(scope="session")
def copy_fleet(_registered: Fleet) -> Callable[[Path], Fleet]:
    """Return a fleet of one's own in a folder: versions 1, 2 and 3 of ``m``, no champion."""

    def copy(root: Path) -> Fleet:
        root = root / "home"
        # Only the registry is copied: packages stay where they are until somebody alters one.
        shutil.copytree(_registered.home.root, root, ignore=shutil.ignore_patterns("mlartifacts"))
        return Fleet(Home(root))

    return copy


@pytest.fixture
def own_fleet(tmp_path: Path, copy_fleet: Callable[[Path], Fleet]) -> Fleet:
    """Versions 1, 2 and 3 of ``m``, for tests that change their registry."""
    return copy_fleet(tmp_path)


@pytest.fixture(scope="session")
def make_training() -> type[Training]:
    return Training


@pytest.fixture(scope="session")
def constant_model() -> Callable[[str, float], Training]:
    return constant


@pytest.fixture(scope="session")
def start_gateway_on() -> Callable[[Fleet], AbstractContextManager[Served]]:
    return serve


@pytest.fixture(scope="session")
def gateway_in_process() -> Callable[..., AbstractContextManager[InProcess]]:
    return in_process
