"""What the attacks share: a production that was established once and is put back before each attack."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("mlops_assets_tests.attacks.production")

from mlops_assets_tests.attacks.production import Production, Saved, Watched, established  # noqa: E402
from mlops_assets_tests.attacks.weak_candidate import refused_clinic, refused_home  # noqa: E402, F401
from mlops_assets_tests.environments import nothing_declared  # noqa: E402


@pytest.fixture(scope="session", autouse=True)
def _no_other_registry() -> Iterator[None]:
    with nothing_declared():
        yield


@pytest.fixture(scope="session")
def _established(fast_folder: Path) -> tuple[Production, Saved]:
    made = established(fast_folder / "production")
    return made, Saved.of(made.home.root, fast_folder / "saved")


@pytest.fixture
def production(_established: tuple[Production, Saved]) -> Production:
    """A production as if nobody had attacked it before."""
    made, saved = _established
    saved.restore()
    return Production(made.fleet)


@pytest.fixture
def watched(production: Production) -> Iterator[Watched]:
    """A production of the test's own, and a gateway that serves its champion."""
    (weak,) = (
        run.info.run_id
        for run in production.mlflow.search_runs([production.registry.experiment("m")])
        if run.info.run_id not in {v.run_id for v in production.registry.versions("m")}
    )
    with production.gateway() as gateway:
        made = Watched(production, gateway, weak)
        assert made.answer() == ("2", 2.0)
        assert made.incidents() == {}
        yield made
