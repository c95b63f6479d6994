"""A project whose newest candidate the gates have refused, and what serves whatever is done to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.home import Home
from mlops_assets.serving.marks import Marks, entered_in
from mlops_assets.serving.proving import Prover
from mlops_assets.specs.policy_file import load_policy
from mlops_assets_tests.fleets import Fleet, InProcess, in_process
from mlops_assets_tests.lifecycles import Clinic, Launched, MakeClinic
from mlops_assets_tests.whole_processes import TumourProject

UP_TO_EVALUATION = ("raw_data", "validated_features", "trained_model", "evaluation")
WEAK: dict[str, Any] = {"training": {"estimator": "sklearn.dummy.DummyClassifier", "params": {}}}


@pytest.fixture(scope="session")
def refused_home(make_clinic: MakeClinic, champion_home: Path) -> Path:
    """Return a home in which version 1 serves and a weak candidate was refused; to be copied, not used."""
    clinic = make_clinic(champion_home)
    clinic.project.write_spec(**WEAK)
    launched = clinic.run(*UP_TO_EVALUATION)
    assert {"metric_thresholds", "champion_comparison"} <= set(launched.refused_by)
    return clinic.root


@pytest.fixture
def refused_clinic(refused_home: Path, make_clinic: MakeClinic, tmp_path: Path) -> Clinic:
    """Return a clinic of the test's own, whose newest candidate was refused."""
    project = TumourProject(tmp_path / "project")
    project.write_spec(**WEAK)
    return make_clinic(refused_home, project)


@contextmanager
def gateway(clinic: Clinic) -> Iterator[InProcess]:
    """Start a gateway under the project's own policy, which remembers nothing."""
    fleet = Fleet(Home(clinic.root))
    verifier = fleet.signer.verifier
    chain = AuditChain(clinic.home.state_url, clinic.home.audit_checkpoints)
    prover = Prover(verifier, lambda: load_policy(clinic.project.folder.parent))
    with in_process(
        fleet, clinic.root / "log.db", Marks(None, entered_in(chain, verifier)), prover
    ) as inside:
        inside.settle()
        yield inside


def holds(clinic: Clinic, launched: Launched | None = None, said: str = "") -> None:
    """Assert that version 1 serves, and why a run did not get further."""
    if launched is not None:
        assert not launched.success
        assert said in " ".join(launched.failures.values())
    with gateway(clinic) as inside:
        assert inside.router.table.routes["tumour"].champion == "1"
