"""Spec, policy and key may change in files; the audit chain tells it at the next registration."""

from pathlib import Path

import pytest

from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.changes import enter_changes

STAND = {"spec": "s1", "policy": "p1", "key": "k1"}


@pytest.fixture
def audit(tmp_path: Path) -> AuditChain:
    return AuditChain(f"sqlite:///{tmp_path}/fleet.db", tmp_path / "audit")


def entered(audit: AuditChain, **changes: str) -> list[str]:
    """Return what is entered beside a registration with these changes."""
    before = audit.head().length
    enter_changes(audit, "m", {**STAND, **changes}, "ada", "run")
    return [entry.action for entry in audit.entries("m", after=before)]


def test_a_first_registration_changes_nothing(audit: AuditChain) -> None:
    assert entered(audit) == []


def test_each_thing_that_changed_since_the_last_registration_is_entered(audit: AuditChain) -> None:
    audit.append("register", "m", version="1", stand=STAND)
    audit.append("register", "other", version="1", stand={"spec": "s9"})
    assert entered(audit) == []
    assert entered(audit, policy="p2") == ["policy_change"]
    assert entered(audit, spec="s2", key="k2") == ["spec_change", "key_change"]
    last = audit.entries("m")[-1]
    assert (last.detail["before"], last.detail["now"], last.actor) == ("k1", "k2", "ada")
    assert last.reason == "the key is another one than at the registration of version 1"


def test_a_change_is_entered_once_though_the_run_was_killed_before_it_registered(audit: AuditChain) -> None:
    audit.append("register", "m", version="1", stand=STAND)
    assert entered(audit, spec="s2") == ["spec_change"]
    assert entered(audit, spec="s2") == []
    assert entered(audit, spec="s3") == ["spec_change"]
