"""What a data scientist in a hurry can try, with the project's files and the runs of their own machine.

A weak candidate was evaluated, and gates refused it; version 1 serves. Whatever is tried to get it past them,
the gateway goes on with version 1.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops_assets.digests import of_bytes
from mlops_assets.governance.audit_chain import AuditChain
from mlops_assets.governance.signatures import Signer
from mlops_assets.home import Home
from mlops_assets.registry.proof import read_evidence
from mlops_assets.specs.policy_file import load_policy
from mlops_assets_tests.attacks.production import some
from mlops_assets_tests.attacks.weak_candidate import UP_TO_EVALUATION, WEAK, gateway, holds
from mlops_assets_tests.fleets import Fleet
from mlops_assets_tests.lifecycles import Clinic, MakeClinic

pytestmark = pytest.mark.slow

THE_REST = ("registered_version", "deployed_endpoint")
LAX = {
    "all": {
        "gates": {
            "metric_thresholds": {"required": False},
            "champion_comparison": {"required": False},
            "slices": {"required": False},
        }
    }
}


def record(clinic: Clinic, gate: str) -> Path:
    """Return the file of what a gate measured of the weak candidate."""
    candidate = clinic.record("evaluation")["trained"]["candidate"]
    (found,) = (clinic.root / "verdicts").glob(f"tumour/{candidate}/{gate}*")
    return found


@pytest.fixture
def clinic(refused_clinic: Clinic) -> Clinic:
    """A clinic of the test's own, whose newest candidate was refused."""
    return refused_clinic


# --- runs ---------------------------------------------------------------------------------------------------


def test_only_what_comes_after_the_gates_is_run(clinic: Clinic) -> None:
    holds(clinic, clinic.run(*THE_REST), "gate metric_thresholds refused")


def test_only_the_endpoint_is_run(clinic: Clinic) -> None:
    """What was registered last is what serves already, so nothing happens."""
    assert clinic.run("deployed_endpoint").success
    assert clinic.aliases == {"champion": "1"}
    holds(clinic)


def test_the_run_leaves_the_checks_out(clinic: Clinic) -> None:
    assert clinic.run("evaluation", checks=False).success
    holds(clinic, clinic.run("registered_version", checks=False), "gate metric_thresholds refused")


def test_another_candidate_is_put_under_the_same_name_after_the_gates_passed(clinic: Clinic) -> None:
    clinic.project.write_spec(training={"params": {"C": 0.9}})
    clinic.run(*UP_TO_EVALUATION)
    clinic.project.write_spec(**WEAK)
    assert clinic.run("trained_model", "evaluation", checks=False).success
    holds(clinic, clinic.run("registered_version"), "refused")


def test_outcomes_are_looked_at_without_the_gate_until_one_is_lucky(clinic: Clinic) -> None:
    """Each look at the hold-out counts, and asks for more certainty the next time."""
    looks = [e for e in clinic.audit.entries("tumour") if e.action == "compare"]
    for strength in (0.5, 0.7):
        clinic.project.write_spec(training={"params": {"C": strength}})
        assert clinic.run("trained_model", "evaluation", checks=False).success
    after = [e for e in clinic.audit.entries("tumour") if e.action == "compare"]
    assert len(after) == len(looks) + 2
    holds(clinic)


# --- spec ---------------------------------------------------------------------------------------------------


def test_thresholds_lowered_after_the_gates_looked(clinic: Clinic) -> None:
    clinic.project.write_spec(**WEAK, evaluation={"thresholds": {"roc_auc": {"min": 0.1}}})
    holds(clinic, clinic.run("registered_version"), "measured when the spec said something else")


def test_thresholds_lowered_while_the_gates_look_and_put_back(clinic: Clinic) -> None:
    clinic.project.write_spec(**WEAK, evaluation={"thresholds": {}})
    clinic.run("evaluation")
    clinic.project.write_spec(**WEAK)
    holds(clinic, clinic.run("registered_version"), "measured when the spec said something else")


def test_the_suite_lowered_while_the_gates_look_and_put_back(clinic: Clinic) -> None:
    """The spec only names the file, and says the same all the time."""
    suite, named = clinic.project.folder / "suite.json", {"contract": {"suite": "suite.json"}}
    clinic.project.write_spec(**WEAK, data=named)
    suite.write_text('{"expectations": []}')
    clinic.run(*UP_TO_EVALUATION)
    about = {"column": "mean_texture", "min_value": 0, "max_value": 1}
    strict = {"type": "expect_column_values_to_be_between", "kwargs": about}
    suite.write_text(json.dumps({"expectations": [strict]}))
    said = "gate data_contract measured when the spec said something else"
    holds(clinic, clinic.run("registered_version"), said)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git")
@pytest.mark.parametrize("training", some({"function": "train:train"}, {"estimator": "tims.Tims"}))
def test_code_written_in_a_file_that_the_spec_does_not_name_as_a_function(
    training: dict[str, str], make_clinic: MakeClinic, prepared_home: Path
) -> None:
    """Whoever has a line in what named code imports, or in an estimator, is an author, too."""
    clinic = make_clinic(prepared_home)
    folder, package = clinic.project.folder, "clinic.defs.tumour"
    (folder / "tims.py").write_text(
        "from sklearn.linear_model import LogisticRegression\n\nclass Tims(LogisticRegression):\n    pass\n"
    )
    commit(clinic.project.root, "Tim")
    (folder / "train.py").write_text(
        f"from {package}.tims import Tims\n\n"
        "def train(features, target, params, seed):\n    return Tims().fit(features, target)\n"
    )
    named = {way: f"{package}.{name}" for way, name in training.items()}
    clinic.project.write_spec(training={"estimator": None, "params": {}, **named})
    commit(clinic.project.root, "Ada")
    launched = clinic.run(*UP_TO_EVALUATION, "registered_version")
    assert launched.success, launched.failures
    (version,) = clinic.registry.versions("tumour")
    evidence = read_evidence(clinic.registry, version, Signer.for_home(clinic.root).verifier)
    assert {"Ada", "Tim"} <= set(evidence.authors)


def commit(root: Path, name: str) -> None:
    """Commit all that is new in a folder under a name."""
    who = ("-c", f"user.name={name}", "-c", f"user.email={name}@example.com")
    for command in (("init", "--quiet"), ("add", "--all"), (*who, "commit", "--quiet", "-m", "model")):
        subprocess.run(("git", *command), cwd=root, check=True)


@pytest.mark.parametrize(
    "part",
    [
        {"gates": {"metric_thresholds": {"required": False}}},
        {"gates": {"champion_comparison": {"min_gain": -1}}},
        {"gates": {"champion_comparison": {"confidence": 0.5}}},
        {"gates": {"calibration": {"max_error": 0.9}}},
        {"evidence": {"lifetime": "9000d"}},
        {"approvals": {"needed": -1}},
        {"gates": {"metric_thresholds": {"skip": True}}},
        {"skip_gates": {"all": True}},
    ],
    ids=lambda part: json.dumps(part),
)
def test_a_spec_that_asks_for_less_than_the_policy(clinic: Clinic, part: dict[str, Any]) -> None:
    clinic.project.write_spec(**WEAK, **part)
    ended = clinic.command("run", "tumour", "--as-of", clinic.project.as_of)
    assert ended.code == 2
    assert "defs.yaml:" in ended.err
    assert "Traceback" not in ended.err
    assert clinic.aliases == {"champion": "1"}


def test_a_lower_risk_is_declared_than_the_champion_has(serving_clinic: Clinic) -> None:
    """Whose model has so far needed people's consent needs it for having none asked any more."""
    clinic = serving_clinic
    make_champion_risky(clinic)
    clinic.project.write_spec(data={"features": ["mean_texture", "mean_smoothness", "mean_radius"]})
    clinic.run(*UP_TO_EVALUATION)
    launched = clinic.run(*THE_REST)
    assert "is not promoted: 0 of 2 approvals" in " ".join(launched.failures.values())
    assert clinic.aliases == {"champion": "1"}


def test_a_lower_risk_is_declared_of_the_champion_itself_and_then_of_the_next(serving_clinic: Clinic) -> None:
    """What was registered for the champion and nobody has consented to does not make it one of lower risk."""
    clinic = serving_clinic
    make_champion_risky(clinic)
    launched = clinic.run(*THE_REST)
    assert "is not promoted: 0 of 2 approvals" in " ".join(launched.failures.values())
    clinic.project.write_spec(data={"features": ["mean_texture", "mean_smoothness", "mean_radius"]})
    clinic.run(*UP_TO_EVALUATION)
    launched = clinic.run(*THE_REST)
    assert "is not promoted: 0 of 2 approvals" in " ".join(launched.failures.values())
    assert clinic.aliases == {"champion": "1"}


def make_champion_risky(clinic: Clinic) -> None:
    """Give version 1 evidence and a release of high risk, as if it had always been of high risk."""
    from mlops_assets.registry.proof import read_evidence, read_release, write_evidence

    fleet = Fleet(Home(clinic.root))
    version = fleet.registry.version("tumour", "1")
    assert version is not None
    evidence = read_evidence(fleet.registry, version, fleet.signer.verifier)
    release = read_release(version, fleet.signer.verifier)
    assert release is not None
    high = load_policy().tiers["high"]
    lenient = high.model_copy(update={"approvals": high.approvals.model_copy(update={"needed": 0})})
    risky = evidence.model_copy(update={"risk": "high", "rules": lenient})
    write_evidence(fleet.registry, version.run_id, risky, fleet.signer)
    again = release.model_copy(update={"serial": release.serial + 1, "evidence": risky.digest})
    chain = AuditChain(clinic.home.state_url, clinic.home.audit_checkpoints, lambda: fleet.signer)
    sealed = again.sealed(fleet.signer)
    chain.append("promote", "tumour", actor="deployer", version="1", serial=again.serial, release=sealed)
    fleet.registry.set_tag("tumour", "1", "mlops.evidence", risky.digest)
    fleet.registry.set_tag("tumour", "1", "mlops.release", sealed)


# --- policy -------------------------------------------------------------------------------------------------


def lax(file: Path) -> Path:
    file.write_text(yaml.safe_dump(LAX))
    return file


def test_a_laxer_policy_beside_the_spec(clinic: Clinic) -> None:
    lax(clinic.project.folder / "policy.yaml")
    holds(clinic, clinic.run("registered_version"), "gate metric_thresholds refused")


def test_the_environment_names_a_laxer_policy(clinic: Clinic, tmp_path: Path) -> None:
    policy = lax(tmp_path / "policy.yaml")
    holds(
        clinic, clinic.run("registered_version", MLOPS_POLICY=str(policy)), "gate metric_thresholds refused"
    )


def test_the_policy_is_loosened_for_one_run(clinic: Clinic) -> None:
    """The gateway asks today's policy, so what was promoted under another one does not take over."""
    with gateway(clinic) as inside:
        policy = lax(clinic.project.folder.parent / "policy.yaml")
        clinic.run("evaluation")
        clinic.run(*THE_REST)
        policy.unlink()
        inside.settle()
        assert inside.router.table.routes["tumour"].champion == "1"
    assert not clinic.run(*THE_REST).success


# --- code ---------------------------------------------------------------------------------------------------


def test_the_project_replaces_what_judges(clinic: Clinic) -> None:
    """The gateway holds the figures against the limits once more, with its own code."""
    (clinic.project.folder / "trainer.py").write_text(
        "import mlops_assets.registry.proof as proof\n"
        "import mlops_assets.stages.registered_version as stage\n"
        "from sklearn.dummy import DummyClassifier\n"
        "stage.gate_objections = stage.objections = proof.objections = lambda *a, **k: iter(())\n"
        "stage._measured_otherwise = lambda *a: []\n"
        "def train(features, target, params, seed):\n"
        "    return DummyClassifier().fit(features, target)\n"
    )
    trainer = {"function": "clinic.defs.tumour.trainer:train", "estimator": None}
    clinic.project.write_spec(training=trainer)
    assert clinic.run("trained_model", "evaluation", "registered_version", checks=False).success
    assert [v.version for v in clinic.registry.versions("tumour")] == ["1", "2"]
    holds(clinic, clinic.run("deployed_endpoint"), "gate metric_thresholds has not judged")


def test_the_project_adds_a_check_of_the_same_name(clinic: Clinic) -> None:
    own = clinic.project.folder.parent / "own.py"
    own.write_text(
        "import dagster as dg\n\n"
        "@dg.asset_check(asset=['tumour', 'evaluation'], name='metric_thresholds')\n"
        "def passes() -> dg.AssetCheckResult:\n    return dg.AssetCheckResult(passed=True)\n"
    )
    assert clinic.command("run", "tumour", "--as-of", clinic.project.as_of).code != 0
    holds(clinic)


# --- files of the home --------------------------------------------------------------------------------------


def test_a_gates_record_is_edited(clinic: Clinic) -> None:
    file = record(clinic, "metric_thresholds")
    content = json.loads(file.read_text())
    for figure in content["value"]["measurement"]["figures"]:
        figure["value"] = figure["low"] = figure["high"] = 0.99
    file.write_text(json.dumps(content))
    holds(clinic, clinic.run("registered_version"), "metric_thresholds")


def test_a_gates_record_is_taken_from_the_champion(clinic: Clinic) -> None:
    mine = record(clinic, "metric_thresholds")
    folders = (f for f in mine.parent.parent.iterdir() if f != mine.parent)
    (champions,) = (f / mine.name for f in folders if (f / mine.name).exists())
    shutil.copy(champions, mine)
    holds(clinic, clinic.run("registered_version"), "metric_thresholds")


def test_a_gates_record_is_deleted(clinic: Clinic) -> None:
    record(clinic, "metric_thresholds").unlink()
    holds(clinic, clinic.run("registered_version"), "gate metric_thresholds has not judged")


def test_the_gates_records_are_signed_with_a_key_of_ones_own(clinic: Clinic, tmp_path: Path) -> None:
    from mlops_assets.governance.ledger import Ledger

    candidate = clinic.record("evaluation")["trained"]["candidate"]
    found = clinic.ledger.find("tumour", candidate, "metric_thresholds")
    assert found is not None
    better = tuple(
        f.model_copy(update={"value": 0.99, "low": 0.99, "high": 0.99}) for f in found.measurement.figures
    )
    forged = found.measurement.model_copy(update={"figures": better})
    stranger = Ledger(clinic.root / "verdicts", Signer.for_home(tmp_path / "stranger"))
    stranger.file(found.model_copy(update={"measurement": forged}))
    holds(clinic, clinic.run("registered_version"), "is not signed with the platform key")


def _edited(clinic: Clinic, file: Path) -> None:
    content = json.loads(file.read_text())
    content["value"]["comparison"] = {**content["value"]["comparison"], "same": True}
    file.write_text(json.dumps(content))


def _unsigned(clinic: Clinic, file: Path) -> None:
    file.write_text(json.dumps(json.loads(file.read_text())["value"]))


def _another_stages(clinic: Clinic, file: Path) -> None:
    shutil.copy(file.with_name("trained_model.json"), file)


@pytest.mark.parametrize("change", [_edited, _unsigned, _another_stages])
def test_the_record_of_a_stage_is_changed(clinic: Clinic, change: Callable[[Clinic, Path], None]) -> None:
    change(clinic, clinic.root / "records" / "tumour" / "evaluation.json")
    launched = clinic.run("registered_version")
    holds(clinic, launched, "run that stage again")


def test_the_rows_are_exchanged_after_the_contract_was_checked(clinic: Clinic) -> None:
    raw = clinic.record("raw_data")
    file = clinic.home.snapshot("tumour", raw["digest"])
    content = file.read_bytes()
    file.chmod(0o600)
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert of_bytes(file.read_bytes()) != raw["digest"]
    clinic.project.write_spec(training={"params": {"C": 0.3}})
    launched = clinic.run("trained_model", "evaluation", "registered_version")
    holds(clinic, launched, raw["digest"][:12])


def test_a_run_with_a_key_of_its_own(clinic: Clinic, tmp_path: Path) -> None:
    Signer.for_home(tmp_path / "stranger")
    file = tmp_path / "stranger" / "keys" / "platform_ed25519.pem"
    launched = clinic.run("registered_version", MLOPS_SIGNING_KEY=file.read_text())
    holds(clinic, launched, "MLOPS_SIGNING_KEY is not the private half of")
    public = file.with_suffix(".pub.pem").read_text()
    launched = clinic.run("registered_version", MLOPS_SIGNING_KEY=file.read_text(), MLOPS_VERIFY_KEY=public)
    holds(clinic, launched, "is not signed with the platform key")


def test_a_run_with_an_audit_database_of_its_own(clinic: Clinic, tmp_path: Path) -> None:
    """Who has no past has no champion to beat and no hold-out that was used."""
    own = {"MLOPS_STATE_URL": f"sqlite:///{tmp_path / 'own.db'}", "MLOPS_AUDIT_CHECKPOINTS": str(tmp_path)}
    launched = clinic.run("evaluation", *THE_REST, **own)
    assert "champion_comparison" in launched.refused_by
    holds(clinic)
