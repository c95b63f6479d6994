"""A spec may tighten the policy and never loosen it; every demanded value has a line it was written in."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import SpecError
from mlops_assets.specs.gate_rules import Gates
from mlops_assets.specs.loading import load_fleet
from mlops_assets.specs.policy import RISKS, Rules
from mlops_assets.specs.policy_file import DEFAULT_POLICY, leaves, load_policy
from mlops_assets.specs.resolution import effective_rules, explained
from mlops_assets.specs.strictness import loosenings, partial, stricter_way, tightened
from mlops_assets_tests.vouching import rules_of

SPEC = """\
type: mlops_assets.ModelLifecycle
attributes:
  name: credit
  owner: team:risk
  risk: high
  purpose: Decide which applications a person looks at.
  task: binary_classification
  data:
    source: {type: python, function: "nowhere:load"}
    time_column: t
    target: y
    features:
      - x
      - {name: sex, type: string, sensitive: true}
  training:
    estimator: sklearn.linear_model.LogisticRegression
  evaluation:
    primary_metric: roc_auc
    thresholds:
      roc_auc: {min: 0.7}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "credit").mkdir()
    (tmp_path / "credit" / "defs.yaml").write_text(SPEC)
    return tmp_path


def write(folder: Path, policy: str = "", spec: str = "") -> None:
    if policy:
        (folder / "policy.yaml").write_text(policy)
    (folder / "credit" / "defs.yaml").write_text(SPEC + spec)


def problems(folder: Path) -> list[str]:
    found = load_fleet([folder], folder).problems
    return [f"{p.file.name}:{p.line}: {p.message.replace(str(p.file.parent.parent), '')}" for p in found]


def rules(folder: Path) -> Rules:
    (loaded,) = load_fleet([folder], folder).require().specs
    return effective_rules(loaded.spec, load_policy(folder))


def test_without_a_policy_of_its_own_a_project_has_the_platforms(folder: Path) -> None:
    assert load_policy(folder).tiers == load_policy().tiers
    assert rules(folder).approvals.needed == load_policy().tiers["high"].approvals.needed


def test_every_gate_is_required_of_every_risk() -> None:
    for risk in RISKS:
        assert [n for n in Gates.model_fields if not rules_of(risk).gates.of(n).required] == []


def test_a_higher_risk_never_demands_less() -> None:
    tiers = load_policy().tiers
    for lower, higher in (("minimal", "limited"), ("limited", "high")):
        found = [f.path for f in loosenings(tiers[lower], tiers[higher])]  # type: ignore[index]
        # Personal data need a risk at which somebody looks after them.
        assert found in ([], [("sensitive_features",)])


def test_a_policy_says_only_what_is_different(folder: Path) -> None:
    write(folder, "tiers:\n  high:\n    approvals: {needed: 3}\n")
    own, platform = rules(folder), load_policy().tiers["high"]
    assert own.approvals == platform.approvals.model_copy(update={"needed": 3})
    assert own.gates.slices == platform.gates.slices
    assert load_policy(folder).tiers["limited"] == load_policy().tiers["limited"]


def test_what_holds_for_all_holds_unless_the_risk_says_otherwise(folder: Path) -> None:
    write(
        folder,
        "all:\n  evidence: {lifetime: 30d}\n  approvals: {needed: 1}\n"
        "tiers:\n  high:\n    approvals: {needed: 4}\n",
    )
    assert rules(folder).evidence.lifetime.days == 30
    assert rules(folder).approvals.needed == 4
    assert load_policy(folder).tiers["minimal"].approvals.needed == 1


def test_a_changed_file_is_read_again(folder: Path) -> None:
    write(folder, "all:\n  approvals: {needed: 5}\n")
    assert load_policy(folder).tiers["limited"].approvals.needed == 5
    write(folder, "all:\n  approvals: {needed: 66}\n")
    assert load_policy(folder).tiers["limited"].approvals.needed == 66


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ("all:\n  gatez: {}\n", "policy.yaml:2: unknown key 'all.gatez' (did you mean 'gates'?)"),
        (
            "all:\n  gates:\n    slices: {max_shortfal: 1}\n",
            "policy.yaml:3: unknown key 'all.gates.slices.max_shortfal' (did you mean 'max_shortfall'?)",
        ),
        ("tiers:\n  hi: {}\n", "policy.yaml:2: unknown key 'tiers.hi'"),
        ("all:\n  approvals: {needed: -1}\n", "policy.yaml:2: all.approvals.needed: "),
        (
            "all:\n  evidence: {lifetime: soon}\n",
            "policy.yaml:2: all.evidence.lifetime: 'soon' is not a duration",
        ),
        ("all:\n  gates:\n    cost: {required: null}\n", "policy.yaml:3: all.gates.cost.required: "),
        ("approvers:\n- {name: A, key: nonsense, identities: [a]}\n", "policy.yaml:2: approvers.0.key: "),
        ("all: [", "policy.yaml:1: is not valid YAML"),
        ("all:\n  approvals: {needed: 1}\nall: {}\n", "policy.yaml:3: key 'all' stands twice"),
        ("", None),
    ],
)
def test_a_wrong_policy_is_told_with_its_line_and_stops_everything(
    folder: Path, policy: str, said: str | None
) -> None:
    write(folder, policy)
    found = problems(folder)
    if said is None:
        assert found == []
        return
    assert found[0].startswith(said), found
    with pytest.raises(SpecError, match=r"policy\.yaml"):
        load_policy(folder)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("  approvals: {needed: 1}\n", "defs.yaml:21: approvals.needed: 1 is looser than the policy's 2"),
        (
            "  gates:\n    calibration: {max_error: 0.5}\n",
            "defs.yaml:22: gates.calibration.max_error: 0.5 is looser than the policy's",
        ),
        (
            "  gates:\n    fairness: {max_tpr_gap: null}\n",
            "defs.yaml:22: gates.fairness.max_tpr_gap: null is looser than the policy's",
        ),
        (
            "  gates:\n    cost: {required: false}\n",
            "defs.yaml:22: gates.cost.required: false is looser than",
        ),
        (
            "  gates:\n    model_card: {sections: [purpose]}\n",
            "defs.yaml:22: gates.model_card.sections: purpose is looser than the policy's purpose, owner,",
        ),
        (
            "  evidence: {lifetime: 900d}\n",
            "defs.yaml:21: evidence.lifetime: 900d is looser than the policy's",
        ),
        (
            "  rollout: {canary: [50]}\n",
            "defs.yaml:21: rollout.canary: 50 is looser than the policy's 5, 10, 25, 50",
        ),
        (
            "  rollout: {strategy: shadow}\n",
            "defs.yaml:21: rollout.strategy: shadow is looser than the policy's canary",
        ),
        (
            "  rollout: {guards: {performance: {margin: 0.5}}}\n",
            "defs.yaml:21: rollout.guards.performance.margin: 0.5 is looser than the policy's 0.01",
        ),
        ("  monitoring: {window: month}\n", "defs.yaml:21: monitoring.window: 'month' is longer than"),
        ("  monitoring: {tolerance: 0.5}\n", "defs.yaml:21: monitoring.tolerance: 0.5 is more than"),
        ("  retraining: {cooldown: 1h}\n", "defs.yaml:21: retraining.cooldown: 1h is shorter than"),
        ("    confidence: 0.9\n", "defs.yaml:21: evaluation.confidence: 0.9 is looser than the policy's"),
        # Who has to be surer that there is harm finds less of it.
        *(
            (
                f"  gates: {{{gate}: {{confidence: 0.999999}}}}\n",
                f"defs.yaml:21: gates.{gate}.confidence: 0.999999 is looser than the policy's",
            )
            for gate in ("label_noise", "slices", "fairness", "calibration", "robustness")
        ),
        (
            "  gates: {champion_comparison: {weighs_expectation: true}}\n",
            "defs.yaml:21: gates.champion_comparison.weighs_expectation: true is looser than the policy's",
        ),
        (
            "  gates: {metric_thresholds: {confidence: 0.6}}\n",
            "defs.yaml:21: gates.metric_thresholds.confidence: 0.6 is looser than the policy's",
        ),
    ],
)
def test_a_spec_that_loosens_the_policy_is_an_error_that_names_both_lines(
    folder: Path, more: str, said: str
) -> None:
    write(folder, spec=more)
    (found,) = problems(folder)
    assert found.startswith(said), found
    assert "policy.yaml:" in found
    with pytest.raises(SpecError):
        load_fleet([folder], folder).require()


def test_a_value_that_would_hold_anyway_stands_over_another_one_that_is_written_below(folder: Path) -> None:
    write(
        folder,
        "all:\n  gates: {champion_comparison: {weighs_expectation: true}}\n  monitoring: {false_alarms: 4}\n"
        "tiers:\n  high:\n    gates: {champion_comparison: {weighs_expectation: false}}\n"
        "    monitoring: {false_alarms: 1}\n",
    )
    tiers = load_policy(folder).tiers
    assert [tiers[risk].gates.champion_comparison.weighs_expectation for risk in RISKS] == [True, True, False]
    assert [tiers[risk].monitoring.false_alarms for risk in RISKS] == [4, 4, 1]


def test_a_gate_that_weighs_nothing_has_the_rules_it_had_before_it_could() -> None:
    rules = rules_of().gates.champion_comparison
    assert "weighs_expectation" not in rules.model_dump(mode="json")
    weighing = rules.model_copy(update={"weighs_expectation": True})
    assert type(rules).model_validate(weighing.model_dump(mode="json")) == weighing


def test_a_project_whose_policy_demands_a_metric_can_be_surpassed_and_not_undercut(folder: Path) -> None:
    policy = "all:\n  gates:\n    metric_thresholds:\n      thresholds:\n        roc_auc: {min: %s}\n"
    write(folder, policy % "0.8")
    (found,) = problems(folder)
    assert found.startswith(
        "defs.yaml:20: evaluation.thresholds.roc_auc.min: 0.7 is looser than the policy's 0.8"
    )
    write(folder, policy % "0.65", "      brier: {max: 0.2}\n")
    kept = rules(folder).gates.metric_thresholds.thresholds
    assert {m: (x.min, x.max) for m, x in kept.items()} == {"roc_auc": (0.7, None), "brier": (None, 0.2)}


def test_a_spec_may_ask_for_more(folder: Path) -> None:
    write(
        folder,
        spec="  approvals: {needed: 3}\n  gates:\n    calibration: {max_error: 0.001}\n"
        "    components: {denied_licences: [AGPL-3.0-only, AGPL-3.0-or-later, SSPL-1.0, GPL-3.0-only]}\n",
    )
    assert problems(folder) == []
    own = rules(folder)
    assert own.approvals.needed == 3
    assert own.gates.calibration.max_error == 0.001
    assert "GPL-3.0-only" in own.gates.components.denied_licences


def test_sensitive_columns_need_a_risk_that_allows_them(folder: Path) -> None:
    (folder / "credit" / "defs.yaml").write_text(SPEC.replace("risk: high", "risk: minimal"))
    (found,) = problems(folder)
    assert found.startswith(
        "defs.yaml:14: data.features.1: 'sex' is sensitive, which the policy does not allow"
    )


def test_every_demanded_value_is_explained_with_the_line_it_stands_in(folder: Path) -> None:
    write(folder, "tiers:\n  high:\n    approvals:\n      needed: 3\n", "  evidence: {lifetime: 90d}\n")
    (loaded,) = load_fleet([folder], folder).require().specs
    told = {".".join(d.path): (d.told, d.origin) for d in explained(loaded, load_policy(folder))}
    assert told["approvals.needed"][0] == "3"
    assert (told["approvals.needed"][1].file.name, told["approvals.needed"][1].line) == ("policy.yaml", 4)
    assert told["evidence.lifetime"][0] == "90d"
    assert (told["evidence.lifetime"][1].file.name, told["evidence.lifetime"][1].line) == ("defs.yaml", 21)
    auc = told["gates.metric_thresholds.thresholds.roc_auc.min"]
    assert (auc[0], auc[1].line) == ("0.7", 20)
    platform = DEFAULT_POLICY.read_text().split("\n")
    for path, (_, origin) in told.items():
        if origin.file.resolve() == DEFAULT_POLICY and path != "gates.metric_thresholds.thresholds":
            assert path.split(".")[-1] in platform[origin.line - 1], path


def test_the_platforms_policy_leaves_nothing_open() -> None:
    written = yaml.safe_load(DEFAULT_POLICY.read_text())
    for risk in RISKS:
        for path in leaves(load_policy().tiers[risk]):
            found = any(
                _has(written[top] if top == "all" else written["tiers"][risk], path) for top in ("all", risk)
            )
            assert found or path[-1] == "thresholds", path


def _has(value: Any, path: tuple[Any, ...]) -> bool:
    for step in path:
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return True


def test_what_is_left_out_loosens_nothing_and_changes_nothing() -> None:
    nothing = partial(Rules)()
    for risk in RISKS:
        assert list(loosenings(rules_of(risk), nothing)) == []
        assert tightened(rules_of(risk), nothing) == rules_of(risk)


@given(st.data())
def test_whatever_is_not_looser_is_at_least_as_strict_and_the_other_way_round(data: st.DataObject) -> None:
    demanded = rules_of(data.draw(st.sampled_from(RISKS)))
    gate = data.draw(st.sampled_from(list(Gates.model_fields)))
    kind = type(demanded.gates.of(gate))
    name = data.draw(
        st.sampled_from([n for n, (_, _) in demanded.gates.of(gate).limits().items() if "." not in n])
    )
    value = data.draw(st.none() | st.floats(-10, 10))
    given_part = partial(Rules).model_validate({"gates": {gate: {name: value}}})
    found = list(loosenings(demanded, given_part))
    mark, limit = stricter_way(kind, name), getattr(demanded.gates.of(gate), name)
    assert mark is not None
    looser = value is None or (value > limit if mark.way == "lower" else value < limit)
    assert bool(found) == looser
    assert getattr(tightened(demanded, given_part).gates.of(gate), name) == value
