"""A gateway goes on with the policy that it knows, until there is another one that it can read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.errors import SpecError
from mlops_assets.serving.proving import last_good
from mlops_assets.specs.policy_file import Policy, current_policy

STRICT = "all:\n  approvals: {needed: 4}\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's own policy, with the project around the working folder."""
    monkeypatch.delenv("MLOPS_POLICY", raising=False)
    monkeypatch.chdir(tmp_path)
    defs = tmp_path / "clinic" / "defs"
    defs.mkdir(parents=True)
    (tmp_path / "dg.toml").write_text('directory_type = "project"\n[project]\nroot_module = "clinic"\n')
    (defs / "policy.yaml").write_text(STRICT)
    return defs / "policy.yaml"


@pytest.fixture
def needed(file: Path) -> Callable[[], int]:
    """Tells how many approvals are asked for a model of limited risk."""
    policy: Callable[[], Policy] = last_good(current_policy)
    return lambda: policy().tiers["limited"].approvals.needed


def test_a_policy_that_changes_counts_at_once(file: Path, needed: Callable[[], int]) -> None:
    assert needed() == 4
    file.write_text(STRICT.replace("4", "15"))
    assert needed() == 15


def test_a_policy_that_breaks_goes_on_as_it_was(file: Path, needed: Callable[[], int]) -> None:
    file.write_text("all: [")
    assert needed() == 4


def test_a_policy_that_is_gone_is_not_replaced_by_the_platforms_which_asks_for_less(
    file: Path, needed: Callable[[], int]
) -> None:
    file.unlink()
    assert needed() == 4
    file.write_text(STRICT.replace("4", "15"))
    assert needed() == 15


def test_a_project_that_gets_a_policy_of_its_own_has_it(file: Path) -> None:
    file.unlink()
    policy = last_good(current_policy)
    assert policy().tiers["limited"].approvals.needed == 0
    file.write_text(STRICT)
    assert policy().tiers["limited"].approvals.needed == 4


def test_a_gateway_does_not_start_on_a_broken_policy(file: Path) -> None:
    file.write_text("all: [")
    with pytest.raises(SpecError):
        last_good(current_policy)
