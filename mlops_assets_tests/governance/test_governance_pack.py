"""The audit pack: all that is recorded is in it, equal records give equal bytes, no secret gets out."""

import csv
import io
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from markdown_it import MarkdownIt

from mlops_assets.digests import of_bytes
from mlops_assets.errors import EvidenceError
from mlops_assets.governance.archive import read_archive
from mlops_assets.governance.envelope import unseal
from mlops_assets.governance.frameworks import POINTS, Evidence
from mlops_assets.governance.pack import MANIFEST, PACK, make_pack
from mlops_assets.governance.pack_index import _ELSEWHERE, _PARTS
from mlops_assets.governance.recorded import Recorded
from mlops_assets_tests.governance.cards import small_spec
from mlops_assets_tests.governance.packs import MANIFEST as PACKAGED
from mlops_assets_tests.governance.packs import Platform, approver_of, small_evidence


def unpacked(content: bytes, folder: Path) -> dict[str, bytes]:
    (folder / "pack.zip").write_bytes(content)
    return read_archive(folder / "pack.zip")


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    return Platform(tmp_path / "platform")


@pytest.fixture
def recorded(platform: Platform) -> Recorded:
    evidence = small_evidence()
    return platform.recorded(evidence, platform.released(evidence))


def test_everything_that_is_recorded_is_in_it(platform: Platform, recorded: Recorded, tmp_path: Path) -> None:
    files = unpacked(make_pack(recorded, platform.signer), tmp_path)
    manifest = unseal(PACK, files.pop(MANIFEST), platform.signer.verifier)
    assert manifest["files"] == {name: of_bytes(content) for name, content in files.items()}
    assert (manifest["model"], manifest["version"]) == ("small", "1")
    assert files["evidence.json"] == recorded.sealed_evidence
    assert files["package/manifest.json"] == recorded.package["manifest.json"]
    assert recorded.release is not None
    assert (
        files["release.json"].decode()
        == recorded.release.sealed
        == files["releases/0001-promote-version-1.json"].decode()
    )
    assert json.loads(files["spec.json"]) == recorded.evidence.spec
    assert json.loads(files["policy/then.json"]) == recorded.evidence.rules.model_dump(mode="json")
    assert len(files["audit/entries.jsonl"].splitlines()) == 3
    assert json.loads(files["monitoring/assessments.json"]) == [{"version": "1", "harm": False}]
    gates = {name.split("/")[1] for name in files if name.startswith("gates/")}
    judged = {*recorded.evidence.verdicts(), "smoke_test", "online_offline_parity"}
    assert gates == {f"{gate}.json" for gate in judged}
    contract = json.loads(files["gates/data_contract.json"])
    assert (contract["gate"], contract["passed"]) == ("data_contract", True)
    figures = list(csv.DictReader(io.StringIO(files["metrics/figures.csv"].decode(), newline="")))
    assert {row["gate"] for row in figures} <= judged
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(files["sbom.cdx.json"].decode()) is None
    assert b"Not for people." in files["card/model_card.html"]
    assert b"0 \xe2\x80\xa6 9" not in files["card/data_sheet.md"]


def test_the_same_record_gives_the_same_bytes(platform: Platform, recorded: Recorded) -> None:
    assert make_pack(recorded, platform.signer) == make_pack(recorded, platform.signer)


def test_ssh_keygen_verifies_what_people_signed_by_the_pack_alone(
    platform: Platform, recorded: Recorded, tmp_path: Path
) -> None:
    if shutil.which("ssh-keygen") is None:
        pytest.skip("this machine has no ssh-keygen")
    files = unpacked(make_pack(recorded, platform.signer), tmp_path)
    for name in ("allowed_signers", "01-approve.json", "01-approve.json.sig"):
        (tmp_path / name).write_bytes(files[f"approvals/{name}"])
    (command,) = re.findall(r"^ +(ssh-keygen -Y verify .*)$", files["README.md"].decode(), re.M)
    good = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True)
    assert good.returncode == 0, good.stderr
    assert good.stdout.startswith('Good "mlops-assets" signature for SHA256:')
    edited = (tmp_path / "01-approve.json").read_text().replace("in order", "out of order")
    (tmp_path / "01-approve.json").write_text(edited)
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True).returncode != 0


def test_only_those_who_decided_are_named_with_every_key_they_had(
    platform: Platform, recorded: Recorded, tmp_path: Path
) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    old_key = approver_of("Ada", Ed25519PrivateKey.generate(), valid_until="2020-01-01")
    changed = Platform.recorded(
        platform, recorded.evidence, *recorded.releases, approvers=(*platform.approvers, old_key)
    )
    files = unpacked(make_pack(changed, platform.signer), tmp_path)
    listed = json.loads(files["approvals/approvers.json"])
    assert [approver["name"] for approver in listed] == ["Ada", "Ada"]
    # With what no signature in Base64 has by chance.
    assert b"Bob@" not in b"".join(files.values())


def test_nothing_is_told_of_other_models(platform: Platform, recorded: Recorded, tmp_path: Path) -> None:
    files = unpacked(make_pack(recorded, platform.signer), tmp_path)
    assert b"nobody's business" not in b"".join(files.values())
    assert b'"other"' not in b"".join(files.values())


def test_the_index_names_every_file_and_every_point_of_the_frameworks(
    platform: Platform, recorded: Recorded, tmp_path: Path
) -> None:
    files = unpacked(make_pack(recorded, platform.signer), tmp_path)
    page = MarkdownIt().enable("table").render(files["README.md"].decode())
    for name in files:
        assert name == "README.md" or f"<code>{name}</code>" in page, name
    for point in POINTS:
        assert f"<td>{point.place}</td>" in page
    assert "<td>evidence.json, gates/, metrics/</td>" in page
    assert "prediction log: kept by the gateway, not in the pack" in page


def test_every_part_that_the_frameworks_know_has_a_place_or_a_reason_for_having_none() -> None:
    placed = {part for _, part, _ in _PARTS}
    assert set(get_args(Evidence)) == placed | _ELSEWHERE.keys()


def test_a_version_of_which_little_is_recorded_says_so(platform: Platform, tmp_path: Path) -> None:
    bare = platform.recorded(
        small_evidence(),
        package=platform.package(PACKAGED, None),
        columns=(),
        columns_note="What its columns held cannot be told: snapshot dddddddddddd is gone or altered.",
        assessments=(),
    )
    files = unpacked(make_pack(bare, platform.signer), tmp_path)
    page = files["README.md"].decode()
    for said in (
        "Release: none; this version was never let serve",
        "No version of this model was ever released.",
        "bill of materials: the environment was not recorded",
        "approvals: nobody has decided about this version",
        "monitoring reports: no window was assessed yet",
        "snapshot dddddddddddd is gone or altered",
    ):
        assert said in page
    for name in ("package/environment.json", "sbom.cdx.json", "release.json", "approvals/approvers.json"):
        assert name not in files
    assert b"snapshot dddddddddddd is gone" in files["card/data_sheet.html"]
    assert b"snapshot dddddddddddd is gone" in files["card/model_card.md"]


@pytest.mark.parametrize(
    "source",
    [
        {"type": "sql", "url": "postgresql://reader:hunter2@db.example/x", "table": "t"},
        {"type": "sql", "url": "postgresql://:hunter2@db.example/x", "table": "t"},
        {"type": "sql", "url": "postgresql://reader:hun/ter2@db.example/x", "table": "t"},
        {"type": "sql", "url": "postgresql://db.example/x?user=reader&password=hunter2", "table": "t"},
        {"type": "sql", "url": "mssql://?odbc_connect=UID%3Dreader%3BPWD%3Dhunter2", "table": "t"},
        {"type": "sql", "url": "sqlite://", "query": "-----BEGIN OPENSSH PRIVATE KEY-----"},
    ],
)
def test_no_pack_is_written_that_would_hold_a_secret(source: dict[str, Any], platform: Platform) -> None:
    # As in evidence from before specs refused it.
    evidence = small_evidence(small_spec())
    evidence = evidence.model_copy(
        update={"spec": evidence.spec | {"data": evidence.spec["data"] | {"source": source}}}
    )
    with pytest.raises(EvidenceError, match=r"holds a private key|holds a password") as raised:
        make_pack(platform.recorded(evidence), platform.signer)
    assert "hunter2" not in str(raised.value)


def test_hostile_text_stays_text(platform: Platform, tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script> | `x` [a](javascript:b)\n# h"
    evidence = small_evidence(small_spec(purpose=hostile))
    release = platform.released(evidence, actor=hostile, reason=hostile)
    files = unpacked(make_pack(platform.recorded(evidence, release), platform.signer), tmp_path)
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(files["README.md"].decode())
    assert "<script>" not in page
    assert "<a href" not in page
    assert page.count("<h1>") == 1
    assert b"<script>" not in files["card/model_card.html"]
