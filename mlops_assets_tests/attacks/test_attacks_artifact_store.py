"""What somebody can try who may write to the artifact store: exchange, alter, add, truncate, link, race.

Nothing that was not signed is served and, above all, nothing of it is run: a pickle and a feature function
are code. Both would leave a canary behind.
"""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.governance.signatures import Signer
from mlops_assets.registry.port import RELEASE_TAG, ModelVersion
from mlops_assets.serving import loading
from mlops_assets_tests.attacks.production import Production, Watched, some
from mlops_assets_tests.fleets import visits

NEW = "4"


class Canary:
    """Whoever unpickles it runs it."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.system, (f"touch {self._file}",)


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def pickled(canary: Path) -> bytes:
    return pickle.dumps(Canary(canary))


@pytest.fixture
def target(watched: Watched) -> Watched:
    """A production in which version 4, whose only form is a pickle, is released but not yet looked at."""
    version = watched.production.add(4.0, onnx=False)
    assert version.version == NEW
    watched.production.promote(NEW)
    assert not (package(watched) / "estimator.onnx").exists()
    return watched


def package(watched: Watched) -> Path:
    return watched.production.package(NEW)


def refuses(target: Watched, canary: Path, kind: str, said: str) -> None:
    """Assert that version 2 goes on serving, nothing was run, and why is told; also to who starts anew.

    Who starts anew finds no champion that it could load, and serves none: that is the harm which is left.
    """
    target.holds(kind, said, restarted=503)
    assert not canary.exists()


# --- files of the package -----------------------------------------------------------------------------------


def test_the_pickle_exchanged_for_one_that_runs_code(target: Watched, canary: Path) -> None:
    (package(target) / "estimator.pkl").write_bytes(pickled(canary))
    refuses(target, canary, "package_refused", "estimator.pkl was altered after signing")


def test_the_pickle_made_longer_by_one_that_runs_code(target: Watched, canary: Path) -> None:
    with (package(target) / "estimator.pkl").open("ab") as file:
        file.write(pickled(canary))
    refuses(target, canary, "package_refused", "estimator.pkl was altered after signing")


def test_the_canary_sings(canary: Path) -> None:
    """The attacks above would be noticed: what they plant does run when it is unpickled."""
    pickle.loads(pickled(canary))
    assert canary.exists()


def test_the_reference_exchanged(target: Watched, canary: Path) -> None:
    file = package(target) / "reference.parquet"
    shutil.copy(target.production.package("1") / "reference.parquet", file)
    refuses(target, canary, "package_refused", "reference.parquet was altered after signing")


@pytest.mark.parametrize("name", some("estimator.pkl", "reference.parquet", "manifest.json", "manifest.sig"))
def test_a_file_emptied(target: Watched, canary: Path, name: str) -> None:
    (package(target) / name).write_bytes(b"")
    refuses(target, canary, "package_refused", "")


@pytest.mark.parametrize("name", some("estimator.pkl", "reference.parquet", "manifest.json", "manifest.sig"))
def test_a_file_deleted(target: Watched, canary: Path, name: str) -> None:
    (package(target) / name).unlink()
    refuses(target, canary, "package_refused", "")


def test_the_manifest_edited_to_name_the_exchanged_pickle(target: Watched, canary: Path) -> None:
    from mlops_assets.digests import of_bytes

    files, evil = package(target), pickled(canary)
    old = of_bytes((files / "estimator.pkl").read_bytes())
    (files / "estimator.pkl").write_bytes(evil)
    manifest = (files / "manifest.json").read_text()
    assert old in manifest
    (files / "manifest.json").write_text(manifest.replace(old, of_bytes(evil)))
    refuses(target, canary, "package_refused", "the manifest is not signed with the platform key")


def test_the_manifest_signed_with_another_key(target: Watched, canary: Path, tmp_path: Path) -> None:
    files = package(target)
    stranger = Signer.for_home(tmp_path / "stranger")
    (files / "manifest.sig").write_bytes(stranger.sign((files / "manifest.json").read_bytes()))
    refuses(target, canary, "package_refused", "the manifest is not signed with the platform key")


@pytest.mark.parametrize("length", some(0, 1, 63, 65, 4096))
def test_a_signature_of_another_length(target: Watched, canary: Path, length: int) -> None:
    (package(target) / "manifest.sig").write_bytes(bytes(length))
    refuses(target, canary, "package_refused", "the manifest is not signed with the platform key")


def test_another_statement_that_the_platform_signed_in_the_manifests_place(
    target: Watched, canary: Path
) -> None:
    """A checkpoint of the audit chain is JSON that the platform key signed, too."""
    import json

    newest = json.loads(target.production.audit.checkpoints.path.read_bytes().splitlines()[-1])
    files = package(target)
    content = json.dumps(newest["checkpoint"], sort_keys=True, separators=(",", ":")).encode()
    signature = bytes.fromhex(newest["signature"])
    assert target.production.fleet.signer.verifier.verify(content, signature)
    (files / "manifest.json").write_bytes(content)
    (files / "manifest.sig").write_bytes(signature)
    refuses(target, canary, "package_refused", "")


def test_an_onnx_form_added_that_answers_something_else(target: Watched) -> None:
    shutil.copy(target.production.package("1") / "estimator.onnx", package(target))
    target.holds(None, champion=(NEW, 4.0))


def test_files_added_that_python_might_run(target: Watched, canary: Path) -> None:
    code = f"open({str(canary)!r}, 'w')\n"
    for name in ("features.py", "sitecustomize.py", "conftest.py", "__init__.py", "pickle.py", "a.pth"):
        (package(target) / name).write_text(code if not name.endswith("pth") else f"import os; {code}")
    target.holds(None, champion=(NEW, 4.0))
    assert not canary.exists()


def test_mlflows_own_description_of_the_model_altered(target: Watched, canary: Path) -> None:
    described = package(target).parents[1] / "MLmodel"
    assert described.exists()
    described.write_text("flavors:\n  python_function:\n    loader_module: os\n    data: data/package\n")
    target.holds(None, champion=(NEW, 4.0))
    assert not canary.exists()


def test_the_feature_function_exchanged(production: Production, canary: Path) -> None:
    """Its source travels with the package and is run at each request."""
    fleet = production.fleet
    fleet.promote("visits", fleet.add(visits()).version)
    file = production.package("1", "visits") / "features.py"
    file.write_text(f"open({str(canary)!r}, 'w')\n{file.read_text()}")
    with production.gateway() as gateway:
        watched = Watched(production, gateway, "")
        assert watched.answer(model="visits") == 503
        assert "features.py was altered after signing" in watched.incidents()["package_refused"]
    assert not canary.exists()


# --- whole packages -----------------------------------------------------------------------------------------


def _exchange(one: Path, other: Path) -> None:
    """Let two folders take each other's place."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


def test_the_package_of_another_version_in_its_place(target: Watched, canary: Path) -> None:
    shutil.rmtree(package(target))
    shutil.copytree(target.production.package("1"), package(target))
    refuses(target, canary, "package_refused", "holds another package")


def test_two_versions_exchanged(target: Watched, canary: Path) -> None:
    _exchange(package(target), target.production.package("3"))
    refuses(target, canary, "package_refused", "holds another package")
    _exchange(package(target), target.production.package("3"))


def test_the_package_of_another_model_in_its_place(target: Watched, canary: Path) -> None:
    shutil.rmtree(package(target))
    shutil.copytree(target.production.package("1", "n"), package(target))
    refuses(target, canary, "package_refused", "holds a package of n")


def test_a_package_that_the_gates_refused_in_its_place(target: Watched, canary: Path) -> None:
    weak = target.production.artifacts(target.weak) / "model" / "data" / "package"
    shutil.rmtree(package(target))
    shutil.copytree(weak, package(target))
    refuses(target, canary, "package_refused", "holds another package")


def test_package_and_evidence_of_another_version_in_their_place(target: Watched, canary: Path) -> None:
    shutil.rmtree(package(target))
    shutil.copytree(target.production.package("3"), package(target))
    shutil.copy(target.production.evidence_file("3"), target.production.evidence_file(NEW))
    refuses(target, canary, "package_refused", "holds another package")


def test_the_package_deleted(target: Watched, canary: Path) -> None:
    shutil.rmtree(package(target).parents[1])
    target.holds("load_failed", "", restarted=503)


def test_the_champions_package_exchanged_while_it_serves(watched: Watched, canary: Path) -> None:
    (watched.production.package("2") / "estimator.pkl").write_bytes(pickled(canary))
    watched.holds(None, restarted=503)
    assert not canary.exists()


def test_the_way_backs_package_exchanged(watched: Watched, canary: Path) -> None:
    (watched.production.package("1") / "estimator.pkl").write_bytes(pickled(canary))
    with watched.production.gateway() as again:
        watched.production.roll_back()
        assert watched.answer(again) == 503
        assert "estimator.pkl was altered" in watched.incidents(again)["package_refused"]
    assert not canary.exists()


# --- links --------------------------------------------------------------------------------------------------


def _file_to_another_versions(target: Watched, secret: Path) -> tuple[Path, Path]:
    return package(target) / "estimator.pkl", target.production.package("1") / "estimator.pkl"


def _file_to_a_secret(target: Watched, secret: Path) -> tuple[Path, Path]:
    return package(target) / "manifest.json", secret


def _folder_to_another_versions(target: Watched, secret: Path) -> tuple[Path, Path]:
    return package(target), target.production.package("1")


def _evidence_to_another_versions(target: Watched, secret: Path) -> tuple[Path, Path]:
    return target.production.evidence_file(NEW), target.production.evidence_file("3")


def _file_to_itself_elsewhere(target: Watched, secret: Path) -> tuple[Path, Path]:
    """Whoever can turn the link later could exchange what was verified."""
    elsewhere = secret.with_name("elsewhere.pkl")
    shutil.copy(package(target) / "estimator.pkl", elsewhere)
    return package(target) / "estimator.pkl", elsewhere


@pytest.mark.parametrize(
    "link",
    [
        _file_to_another_versions,
        _file_to_a_secret,
        _folder_to_another_versions,
        _evidence_to_another_versions,
        _file_to_itself_elsewhere,
    ],
)
def test_a_link_in_the_store(
    target: Watched, canary: Path, tmp_path: Path, link: Callable[[Watched, Path], tuple[Path, Path]]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("swordfish")
    linked, to = link(target, secret)
    shutil.rmtree(linked) if linked.is_dir() else linked.unlink()
    linked.symlink_to(to)
    out = link in (_evidence_to_another_versions, _folder_to_another_versions)
    said = "leads out of" if out else "is a link or no plain file"
    refuses(target, canary, "load_failed", said)
    assert "swordfish" not in target.gateway.client.get("/fleet").text


# --- races --------------------------------------------------------------------------------------------------


def _after_verification(monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], None]) -> None:
    """Act when the package and every file in it were verified, right before anything of it is loaded."""
    proven = loading._require_registered

    def proven_then_exchanged(package: Any, registered: ModelVersion) -> None:
        proven(package, registered)
        if registered.version == NEW:
            act(package.folder)

    monkeypatch.setattr(loading, "_require_registered", proven_then_exchanged)


def test_the_pickle_exchanged_between_verification_and_load(
    target: Watched, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _after_verification(
        monkeypatch, lambda _: (package(target) / "estimator.pkl").write_bytes(pickled(canary)) and None
    )
    assert target.answer() == (NEW, 4.0)
    assert not canary.exists()


def test_the_gateways_own_copy_exchanged_between_verification_and_load(
    target: Watched, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody should get there; and who does comes too late, because what is read is verified again."""
    _after_verification(
        monkeypatch, lambda folder: (folder / "estimator.pkl").write_bytes(pickled(canary)) and None
    )
    assert target.answer() == ("2", 2.0)
    assert "estimator.pkl was altered after signing" in target.incidents()["package_refused"]
    assert not canary.exists()


def test_the_package_exchanged_while_it_is_fetched(
    target: Watched, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = target.production.reader
    fetch = reader.fetch_package

    def fetched_while_exchanged(version: ModelVersion, into: Path) -> Path:
        folder = fetch(version, into)
        if version.version == NEW:
            shutil.copy(target.production.package("1") / "manifest.json", folder)
            shutil.copy(target.production.package("1") / "manifest.sig", folder)
        return folder

    monkeypatch.setattr(reader, "fetch_package", fetched_while_exchanged)
    assert target.answer() == ("2", 2.0)
    assert "package_refused" in target.incidents()


# --- evidence -----------------------------------------------------------------------------------------------


def test_the_evidence_exchanged_for_another_candidates(target: Watched, canary: Path) -> None:
    shutil.copy(target.production.evidence_file("3"), target.production.evidence_file(NEW))
    refuses(target, canary, "evidence_refused", "was exchanged for")


def test_the_evidence_exchanged_for_another_models(target: Watched, canary: Path) -> None:
    shutil.copy(target.production.evidence_file("1", "n"), target.production.evidence_file(NEW))
    refuses(target, canary, "evidence_refused", "was exchanged for")


def test_the_evidence_edited(target: Watched, canary: Path) -> None:
    file = target.production.evidence_file(NEW)
    edited = file.read_text().replace('"risk":"limited"', '"risk":"minimal"')
    assert edited != file.read_text()
    file.write_text(edited)
    refuses(target, canary, "evidence_refused", "its evidence is not signed with the platform key")


def test_the_evidence_signed_with_another_key(target: Watched, canary: Path, tmp_path: Path) -> None:
    good = target.production.evidence(NEW)
    target.production.evidence_file(NEW).write_text(good.sealed(Signer.for_home(tmp_path / "stranger")))
    refuses(target, canary, "evidence_refused", "its evidence is not signed with the platform key")


def test_a_release_in_the_evidences_place(target: Watched, canary: Path) -> None:
    release = target.production.version(NEW).tags[RELEASE_TAG]
    target.production.evidence_file(NEW).write_text(release)
    refuses(target, canary, "evidence_refused", "its evidence states 'release/1', not 'evidence/1'")


def test_a_record_of_a_gate_in_the_evidences_place(target: Watched, canary: Path) -> None:
    production = target.production
    (record, *_) = production.evidence(NEW).gates
    from mlops_assets.governance.ledger import Ledger

    Ledger(production.home.root / "verdicts", production.fleet.signer).file(record)
    (file,) = (production.home.root / "verdicts").rglob("*.json")
    shutil.copy(file, production.evidence_file(NEW))
    refuses(target, canary, "evidence_refused", "its evidence states 'gate/1', not 'evidence/1'")


@pytest.mark.parametrize(
    "content",
    some(b"", b"{}", b"[]", b"null", b"\x00" * 100, b'{"kind": NaN}', "\u2028".encode() * 9, b"[" * 100_000),
    ids=len,
)
def test_the_evidence_exchanged_for_what_is_none(target: Watched, canary: Path, content: bytes) -> None:
    target.production.evidence_file(NEW).write_bytes(content)
    refuses(target, canary, "evidence_refused", "its evidence is no signed statement")


def test_the_evidence_deleted(target: Watched, canary: Path) -> None:
    target.production.evidence_file(NEW).unlink()
    refuses(target, canary, "evidence_refused", "is gone")


# --- any byte -----------------------------------------------------------------------------------------------


@given(place=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), file=st.integers(0, 5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
def test_any_byte_of_any_file_changed(target: Watched, place: float, flip: int, file: int) -> None:
    """Whatever is changed, a version answers as it was signed, or not at all."""
    production = target.production
    files = [*sorted(p for p in package(target).iterdir() if p.is_file()), production.evidence_file(NEW)]
    chosen = files[file % len(files)]
    content = bytearray(was := chosen.read_bytes())
    content[int(place * len(content))] ^= flip
    chosen.write_bytes(content)
    try:
        with production.gateway() as again:
            assert target.answer(again) == 503
            assert target.incidents(again).keys() & {"package_refused", "evidence_refused"}
    finally:
        chosen.write_bytes(was)


# --- the gateway's own memory -------------------------------------------------------------------------------


@pytest.mark.parametrize("release", some("", "{}"))
def test_what_a_gateway_remembers_forged_so_that_no_release_is_late_enough(
    watched: Watched, release: str
) -> None:
    """It opens nothing, because what is remembered is signed, but nobody answers after the next start."""
    watched.answer()
    mark = {"version": "3", "serial": 10**18, "release": release}
    watched.production.home.served.write_text(json.dumps({"m": mark}))
    with watched.production.gateway() as again:
        assert watched.answer(again) == ("2", 2.0)
