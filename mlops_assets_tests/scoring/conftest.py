"""What the tests of batch scoring share: models that serve, and scorers of them; see ``scorings.py``."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.home import Home
from mlops_assets.specs.data_spec import Entity
from mlops_assets_tests.environments import nothing_declared
from mlops_assets_tests.fleets import Fleet, diabetes, iris, visits
from mlops_assets_tests.scorings import Desk


@pytest.fixture(scope="session", autouse=True)
def _no_other_registry() -> Iterator[None]:
    with nothing_declared():
        yield


@pytest.fixture(scope="session")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Three models of three tasks that serve; tests change nothing in their registry."""
    folder = tmp_path_factory.mktemp("scoring")
    fleet = Fleet(Home(folder / "home"))
    for training, entity in ((visits(), Entity(column="customer")), (iris(), None), (diabetes(), None)):
        fleet.promote(training.model, fleet.add(training, entity=entity).version)
    return Desk(fleet, folder / "packages")


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of tests are small, and have several chunks nevertheless."""
    Desk.shrink_chunks(monkeypatch.setattr)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """A file of 9,500 rows for the model diabetes."""
    return Desk.write_rows(tmp_path / "rows.parquet", 9_500)
