"""What somebody can try who may write to MLflow's registry: move, copy, forge, delete, register anew."""

from pathlib import Path

import pytest

from mlops_assets.registry.port import (
    CANDIDATE_TAG,
    CHALLENGER,
    CHAMPION,
    EVIDENCE_TAG,
    PREVIOUS_CHAMPION,
    RELEASE_TAG,
)
from mlops_assets_tests.attacks.production import Watched, some

# --- aliases ------------------------------------------------------------------------------------------------


def test_champion_pointed_at_a_version_that_nobody_released(watched: Watched) -> None:
    watched.production.crown("3")
    watched.holds("out_of_band", "version 3 is refused: it was never released")


def test_champion_pointed_back_at_what_served_before(watched: Watched) -> None:
    watched.production.crown("1")
    watched.holds("out_of_band", "was followed by release")


def test_champion_pointed_back_at_once_before_the_gateway_looked(watched: Watched) -> None:
    version = watched.production.add(5.0).version
    watched.production.promote(version)
    watched.production.crown("2")
    watched.holds("out_of_band", "was followed by release", champion=(version, 5.0))


def test_champion_and_release_taken_away_before_the_gateway_looked(watched: Watched) -> None:
    version = watched.production.add(5.0).version
    watched.production.promote(version)
    watched.production.crown("2")
    watched.production.mlflow.delete_model_version_tag("m", version, RELEASE_TAG)
    watched.holds("out_of_band", "was followed by release", champion=(version, 5.0))


def test_champion_pointed_at_each_version_in_turn_many_times(watched: Watched) -> None:
    for _ in range(5):
        for version in ("1", "3", "2"):
            watched.production.crown(version)
            assert watched.answer() == ("2", 2.0)
    watched.production.crown("3")
    watched.holds("out_of_band", "never released")


def test_champion_alias_deleted(watched: Watched) -> None:
    watched.production.mlflow.delete_registered_model_alias("m", CHAMPION)
    watched.holds("champion_missing", "version 2 goes on serving")


def test_champion_pointed_astray_while_the_champion_cannot_be_loaded_keeps_nobody_busy(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a registry that tells no changes it is read at each look; what was refused, in due time."""
    production, fetched = watched.production, []
    fetch = production.reader.fetch_package
    monkeypatch.setattr(
        production.reader, "fetch_package", lambda v, into: fetched.append(v.version) or fetch(v, into)
    )
    (production.package("2") / "manifest.json").write_text("{}")
    production.crown("3")
    with production.gateway(tells_changes=False) as again:
        for _ in range(6):
            again.router.follow()
            for loading in again.router._loads.pending.values():
                loading.exception()
        assert fetched.count("2") == 1
        assert watched.answer(again) == 503


def test_previous_champion_pointed_elsewhere_so_that_a_rollback_goes_astray(watched: Watched) -> None:
    watched.production.promote("3")
    watched.production.mlflow.set_registered_model_alias("m", PREVIOUS_CHAMPION, "1")
    watched.production.roll_back()
    watched.holds(None)


def test_previous_champion_pointed_at_an_unproven_version_so_that_a_rollback_fails(watched: Watched) -> None:
    bad = watched.production.by_hand(watched.weak)
    watched.production.mlflow.set_registered_model_alias("m", PREVIOUS_CHAMPION, bad)
    watched.production.roll_back()
    watched.holds(None, champion=("1", 1.0))


def test_challenger_pointed_at_an_unproven_version_is_not_even_reached_by_its_number(
    watched: Watched,
) -> None:
    bad = watched.production.by_hand(watched.weak)
    watched.production.mlflow.set_registered_model_alias("m", CHALLENGER, bad)
    watched.holds("package_refused", "holds another package")
    assert watched.gateway.client.get(f"/v2/models/m/versions/{bad}").status_code == 404


def test_champion_alias_in_another_spelling(watched: Watched) -> None:
    for alias in ("Champion", "CHAMPION", "champion_", "champion-1"):
        watched.production.mlflow.set_registered_model_alias("m", alias, "3")
    watched.holds(None)


# --- tags ---------------------------------------------------------------------------------------------------


def test_a_refused_run_registered_by_hand(watched: Watched) -> None:
    watched.production.crown(watched.production.by_hand(watched.weak))
    watched.holds("package_refused", "holds another package")


def test_a_refused_run_registered_with_the_tags_of_the_champion(watched: Watched) -> None:
    tags = watched.production.version("2").tags
    named = {"mlops_evidence": tags[EVIDENCE_TAG], "mlops_candidate": tags[CANDIDATE_TAG]}
    watched.production.crown(
        watched.production.by_hand(watched.weak, **named, mlops_release=tags[RELEASE_TAG])
    )
    watched.holds("package_refused", "holds another package")


def test_a_refused_run_registered_with_its_own_digest_and_the_champions_evidence(
    watched: Watched, tmp_path: Path
) -> None:
    tags = watched.production.version("2").tags
    candidate = watched.production.fleet.trained_package(watched.weak).digest
    watched.production.mlflow.log_artifact(
        watched.weak, str(watched.production.evidence_file("2")), "evidence"
    )
    watched.production.crown(
        watched.production.by_hand(
            watched.weak,
            mlops_candidate=candidate,
            mlops_evidence=tags[EVIDENCE_TAG],
            mlops_release=tags[RELEASE_TAG],
        )
    )
    watched.holds("evidence_refused", "the evidence is of m candidate")


def test_the_release_of_the_champion_copied_to_a_version_with_evidence(watched: Watched) -> None:
    release = watched.production.version("2").tags[RELEASE_TAG]
    watched.production.mlflow.set_model_version_tag("m", "3", RELEASE_TAG, release)
    watched.production.crown("3")
    watched.holds("evidence_refused", "its release is for m version 2")


def test_the_release_of_another_model_copied(watched: Watched) -> None:
    watched.production.promote("1", "n")
    release = watched.production.version("1", "n").tags[RELEASE_TAG]
    watched.production.mlflow.set_model_version_tag("m", "3", RELEASE_TAG, release)
    watched.production.crown("3")
    watched.holds("evidence_refused", "its release is for n version 1")


def test_the_champions_release_deleted(watched: Watched) -> None:
    watched.production.mlflow.delete_model_version_tag("m", "2", RELEASE_TAG)
    watched.holds(None)


@pytest.mark.parametrize(
    "content",
    some("", "{}", "nonsense", '{"kind": "release/1"}', "9" * 90_000, "\u2028" * 30_000, "[" * 90_000),
    ids=len,
)
def test_the_champions_release_overwritten(watched: Watched, content: str) -> None:
    watched.production.mlflow.set_model_version_tag("m", "2", RELEASE_TAG, content)
    watched.holds(None)


def test_the_champions_release_exchanged_for_an_older_one_of_its_own(watched: Watched) -> None:
    older = watched.production.version("2").tags[RELEASE_TAG]
    watched.production.promote("3")
    assert watched.answer() == ("3", 3.0)
    watched.production.roll_back()
    assert watched.answer() == ("2", 2.0)
    watched.production.mlflow.set_model_version_tag("m", "2", RELEASE_TAG, older)
    watched.holds(None)


def test_a_release_edited(watched: Watched) -> None:
    release = watched.production.version("2").tags[RELEASE_TAG]
    forged = release.replace('"version":"2"', '"version":"3"')
    assert forged != release
    watched.production.mlflow.set_model_version_tag("m", "3", RELEASE_TAG, forged)
    watched.production.crown("3")
    watched.holds("evidence_refused", "its release is not signed with the platform key")


@pytest.mark.parametrize(
    "named",
    some("../../x", "../evidence/x", "/etc/passwd", "..\\..\\x", "%2e%2e/x", "x\n", "*", ".", "a" * 90_000),
    ids=len,
)
def test_an_evidence_tag_that_leads_elsewhere(watched: Watched, named: str) -> None:
    watched.production.mlflow.set_model_version_tag("m", "3", EVIDENCE_TAG, named)
    watched.production.crown("3")
    watched.holds("evidence_refused", "which names no evidence")


def test_the_champions_evidence_tag_deleted(watched: Watched) -> None:
    watched.production.mlflow.delete_model_version_tag("m", "2", EVIDENCE_TAG)
    watched.holds(None)


def test_the_champions_evidence_and_release_tags_deleted_serves_nobody_else(watched: Watched) -> None:
    for tag in (EVIDENCE_TAG, RELEASE_TAG):
        watched.production.mlflow.delete_model_version_tag("m", "2", tag)
    watched.holds(None, restarted=503)


def test_the_champions_candidate_tag_altered_serves_nobody_else(watched: Watched) -> None:
    watched.production.mlflow.set_model_version_tag("m", "2", CANDIDATE_TAG, "f" * 64)
    watched.holds(None, restarted=503)


def test_the_way_back_forged_in_a_tag(watched: Watched) -> None:
    bad = watched.production.by_hand(watched.weak)
    watched.production.mlflow.delete_registered_model_alias("m", PREVIOUS_CHAMPION)
    watched.production.mlflow.set_model_version_tag("m", "2", "mlops.replaced", bad)
    watched.production.roll_back()
    watched.holds(None, champion=("1", 1.0))


# --- versions and models ------------------------------------------------------------------------------------


def test_the_champions_version_deleted(watched: Watched) -> None:
    watched.production.mlflow.delete_model_version("m", "2")
    watched.holds("champion_missing", "version 2 goes on serving", restarted=404)
    watched.promotes()


def test_the_champions_version_deleted_and_made_anew_with_all_its_tags(watched: Watched) -> None:
    before = watched.production.version("2")
    watched.production.mlflow.delete_model_version("m", "2")
    made = watched.production.mlflow.create_model_version(
        "m", f"runs:/{before.run_id}/model", before.run_id, tags=dict(before.tags)
    )
    watched.production.crown(str(made.version))
    watched.holds("evidence_refused", "its release is for m version 2", restarted=503)


def _registered_anew(watched: Watched, *runs: str, tags: dict[str, str]) -> None:
    """Delete the model and register it again, so that version numbers begin at 1."""
    mlflow = watched.production.mlflow
    mlflow.delete_registered_model("m")
    mlflow.create_registered_model("m")
    for run in runs:
        mlflow.create_model_version("m", f"runs:/{run}/model", run, tags=tags)


def test_the_model_registered_anew_so_that_a_refused_run_has_the_champions_number(watched: Watched) -> None:
    tags = dict(watched.production.version("2").tags)
    _registered_anew(watched, watched.weak, watched.weak, tags=tags)
    watched.production.crown("2")
    watched.holds("package_refused", "holds another package", restarted=503)
    watched.promotes()


def test_the_model_registered_anew_with_its_own_digest_under_the_champions_number(watched: Watched) -> None:
    tags = dict(watched.production.version("2").tags)
    candidate = watched.production.fleet.trained_package(watched.weak).digest
    _registered_anew(watched, watched.weak, watched.weak, tags={**tags, CANDIDATE_TAG: candidate})
    watched.production.crown("2")
    watched.holds("evidence_refused", "is gone", restarted=503)
    watched.promotes()


def test_the_model_registered_anew_with_versions_that_were_proven_in_another_order(watched: Watched) -> None:
    versions = [watched.production.version(v) for v in ("2", "1", "3")]
    mlflow = watched.production.mlflow
    mlflow.delete_registered_model("m")
    mlflow.create_registered_model("m")
    for version in versions:
        mlflow.create_model_version(
            "m", f"runs:/{version.run_id}/model", version.run_id, tags=dict(version.tags)
        )
    watched.production.crown("2")
    watched.holds("evidence_refused", "", restarted=503)
    watched.promotes()


def test_the_model_registered_anew_and_promoted_by_right_serves(watched: Watched) -> None:
    """Nobody attacks here any more: what is done by right gets through, whatever number it has."""
    watched.production.mlflow.delete_registered_model("m")
    version = watched.production.add(6.0).version
    assert version == "1"
    watched.production.promote(version)
    watched.holds(None, champion=("1", 6.0))
    second = watched.production.add(7.0).version
    assert second == "2"
    watched.production.promote(second)
    watched.holds(None, champion=("2", 7.0))


def test_the_model_deleted(watched: Watched) -> None:
    watched.production.mlflow.delete_registered_model("m")
    watched.holds("champion_missing", "version 2 goes on serving", restarted=404)
    watched.promotes()


def test_the_model_deleted_does_not_make_the_next_candidate_the_first(watched: Watched) -> None:
    """The first version of a model has no champion to beat: whoever deletes the model would spare a candidate
    the comparison."""
    before = watched.production.version("2")
    watched.production.mlflow.delete_registered_model("m")
    champion = watched.production.authority.champion("m")
    assert champion is not None
    assert (champion.run_id, champion.candidate) == (before.run_id, before.candidate)


def test_another_model_renamed_into_the_place_of_one(watched: Watched) -> None:
    watched.production.promote("1", "n")
    watched.production.mlflow.rename_registered_model("m", "elsewhere")
    watched.production.mlflow.rename_registered_model("n", "m")
    watched.holds("package_refused", "m has no version 2", restarted=503)


def test_a_model_renamed(watched: Watched) -> None:
    watched.production.mlflow.rename_registered_model("m", "elsewhere")
    watched.holds("champion_missing", "version 2 goes on serving", restarted=404)
    assert watched.answer(model="elsewhere") == 503


def test_a_version_of_a_run_whose_source_is_another(watched: Watched) -> None:
    good = watched.production.version("3")
    made = watched.production.mlflow.create_model_version(
        "m", f"runs:/{watched.weak}/model", good.run_id, tags=dict(good.tags)
    )
    watched.production.crown(str(made.version))
    watched.holds("out_of_band", "never released")


def test_a_version_without_a_run(watched: Watched, tmp_path: Path) -> None:
    tags = dict(watched.production.version("2").tags)
    made = watched.production.mlflow.create_model_version("m", str(tmp_path), tags=tags)
    watched.production.crown(str(made.version))
    watched.holds("load_failed", "")


def test_a_version_of_another_models_run(watched: Watched) -> None:
    other = watched.production.version("1", "n")
    made = watched.production.by_hand(
        other.run_id, mlops_candidate=other.candidate, mlops_evidence=other.tags[EVIDENCE_TAG]
    )
    watched.production.crown(made)
    watched.holds("package_refused", "holds a package of n")


def test_a_version_registered_before_the_platform_does_with_a_foreign_run(watched: Watched) -> None:
    """Whoever knows a candidate's digest takes its place in the registry, so that it never gets one."""
    run, candidate = watched.production.trained(5.0)
    watched.production.by_hand(watched.weak, mlops_candidate=candidate)
    made = watched.production.registry.register("m", run, candidate, {})
    assert made.run_id == run


# --- runs ---------------------------------------------------------------------------------------------------


def test_the_champions_package_overwritten_through_mlflow(watched: Watched, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    manifest.write_text("{}")
    watched.production.mlflow.log_artifact(
        watched.production.version("2").run_id, str(manifest), "model/data/package"
    )
    watched.holds(None, restarted=503)


def test_the_evidence_overwritten_through_mlflow(watched: Watched, tmp_path: Path) -> None:
    good = watched.production.evidence_file("3")
    forged = tmp_path / good.name
    forged.write_bytes(good.read_bytes().replace(b'"limited"', b'"minimal"'))
    assert forged.read_bytes() != good.read_bytes()
    watched.production.mlflow.log_artifact(watched.production.version("3").run_id, str(forged), "evidence")
    watched.production.crown("3")
    watched.holds("evidence_refused", "its evidence is not signed with the platform key")
