"""What two policies demand differently is told value by value: the line of each, and which is stricter."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.specs.policy import RISKS
from mlops_assets.specs.policy_difference import (
    ApproverChange,
    Change,
    approver_changes,
    policy_changes,
)
from mlops_assets.specs.policy_file import DEFAULT_POLICY, Policy, policy_of

_KEYS = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + letter * 42 + "A" for letter in "ABC"]


def policy(folder: Path, text: str, name: str = "new.yaml") -> Policy:
    (folder / name).write_text(text)
    return policy_of(folder / name)


# Written out, so that these tests do not turn on what the platform's own policy demands.
_TODAY = """\
tiers:
  limited:
    gates:
      slices: {max_shortfall: 0.75}
      fairness: {required: false, max_tpr_gap: null}
      cost: {price_per_cpu_hour: 0.05}
      components: {advisories: null}
      model_card: {sections: [purpose, owner]}
      smoke_test: {max_failed: 1}
      champion_comparison: {weighs_expectation: false}
"""


def changed(folder: Path, text: str) -> list[Change]:
    """Return what a policy changes about that of today."""
    return policy_changes(policy(folder, _TODAY, "today.yaml"), policy(folder, text))


def test_a_policy_differs_in_nothing_from_itself(tmp_path: Path) -> None:
    assert changed(tmp_path, _TODAY) == []
    assert policy_changes(policy_of(DEFAULT_POLICY), policy(tmp_path, "tiers: {}\n")) == []


@pytest.mark.parametrize(
    ("text", "path", "old", "new", "direction"),
    [
        ("slices: {max_shortfall: 0.4}", "slices.max_shortfall", "0.75", "0.4", "stricter"),
        ("slices: {max_shortfall: 0.9}", "slices.max_shortfall", "0.75", "0.9", "looser"),
        ("slices: {max_shortfall: null}", "slices.max_shortfall", "0.75", "null", "looser"),
        ("fairness: {required: false, max_tpr_gap: 0.1}", "fairness.max_tpr_gap", "null", "0.1", "stricter"),
        ("fairness: {required: true, max_tpr_gap: null}", "fairness.required", "false", "true", "stricter"),
        (
            "champion_comparison: {weighs_expectation: true}",
            "champion_comparison.weighs_expectation",
            "false",
            "true",
            "looser",
        ),
        ("cost: {price_per_cpu_hour: 0.07}", "cost.price_per_cpu_hour", "0.05", "0.07", "other"),
        ("components: {advisories: osv.json}", "components.advisories", "null", "osv.json", "stricter"),
        ("model_card: {sections: [purpose]}", "model_card.sections", "purpose, owner", "purpose", "looser"),
        ("model_card: {sections: [limits]}", "model_card.sections", "purpose, owner", "limits", "other"),
        (
            "metric_thresholds: {thresholds: {roc_auc: {min: 0.7}}}",
            "metric_thresholds.thresholds.roc_auc.min",
            None,
            "0.7",
            "stricter",
        ),
    ],
)
def test_each_value_tells_which_way_it_went(
    text: str, path: str, old: str | None, new: str | None, direction: str, tmp_path: Path
) -> None:
    gate = text.partition(":")[0]
    kept = [line for line in _TODAY.splitlines() if not line.strip().startswith(gate)]
    kept.append(f"      {text}")
    (change,) = changed(tmp_path, "\n".join(kept))
    assert change.path == ("gates", *path.split("."))
    assert (change.old, change.new, change.direction) == (old, new, direction)
    assert change.risks == ("limited",)
    assert change.new_origin is not None
    assert (change.new_origin.file.name, change.new_origin.line) == ("new.yaml", len(kept))
    if old is not None:
        assert change.old_origin is not None
        assert change.old_origin.file.name == "today.yaml"
        assert path.rpartition(".")[2] in _TODAY.splitlines()[change.old_origin.line - 1]


def test_a_value_that_changes_alike_for_all_risks_is_told_once(tmp_path: Path) -> None:
    old = policy(tmp_path, "all: {gates: {smoke_test: {max_failed: 1}}}\n", "old.yaml")
    (change,) = policy_changes(old, policy(tmp_path, "all: {gates: {smoke_test: {max_failed: 2}}}\n"))
    assert change.path == ("gates", "smoke_test", "max_failed")
    assert change.risks == RISKS


def test_a_value_that_only_a_digit_far_back_tells_apart_is_told_in_full(tmp_path: Path) -> None:
    close = _TODAY.replace("0.75", "0.7500000001")
    (change,) = changed(tmp_path, close)
    assert (change.old, change.new) == ("0.75", "0.7500000001")


@given(st.floats(0, 9), st.floats(0, 9))
def test_what_is_stricter_one_way_is_looser_the_other(first: float, second: float) -> None:
    made = [_with_shortfall(value) for value in (first, second)]
    there, back = policy_changes(*made), policy_changes(*reversed(made))
    assert [(c.path, c.old, c.new) for c in there] == [(c.path, c.new, c.old) for c in back]
    opposite = {"stricter": "looser", "looser": "stricter"}
    assert [c.direction for c in there] == [opposite[c.direction] for c in back]
    assert bool(there) == (first != second)


def _with_shortfall(value: float) -> Policy:
    base = policy_of(DEFAULT_POLICY)
    tiers = {}
    for risk, rules in base.tiers.items():
        slices = rules.gates.slices.model_copy(update={"max_shortfall": value})
        gates = rules.gates.model_copy(update={"slices": slices})
        tiers[risk] = rules.model_copy(update={"gates": gates})
    return replace(base, tiers=tiers)


def test_approvers_who_come_go_or_change_are_named(tmp_path: Path) -> None:
    def listed(*people: str) -> str:
        return "approvers:\n" + "".join(f"  - {{{person}}}\n" for person in people)

    stays = f"name: A, key: {_KEYS[0]}, identities: [a@example.org]"
    goes = f"name: B, key: {_KEYS[1]}, identities: [b@example.org]"
    comes = f"name: C, key: {_KEYS[2]}, identities: [c@example.org]"
    old = policy(tmp_path, listed(stays, goes), "old.yaml")
    new = policy(tmp_path, listed(f"{stays}, revoked_on: 2026-01-02", comes))
    keys = {a.name: a.fingerprint for a in (*old.approvers, *new.approvers)}
    assert approver_changes(old, new) == [
        ApproverChange("A", keys["A"], "changed"),
        ApproverChange("B", keys["B"], "removed"),
        ApproverChange("C", keys["C"], "added"),
    ]
    assert approver_changes(new, new) == []


def test_who_is_told_and_what_all_models_share_are_changes_too(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(
        "fleet: {retrainings: 3}\n"
        'alerts:\n  cooldown: 2h\n  routes: [{owner: "team:ops", severity: page, url_env: OPS_PAGER}]\n'
    )
    found = {
        ".".join(change.path): change for change in policy_changes(policy_of(DEFAULT_POLICY), policy_of(file))
    }
    assert set(found) == {"alerts.routes", "alerts.cooldown", "fleet.retrainings"}
    assert found["alerts.routes"].new == "team:ops page OPS_PAGER"
    assert (found["fleet.retrainings"].old, found["fleet.retrainings"].new) == (None, "3")
    assert {change.direction for change in found.values()} == {"other"}
