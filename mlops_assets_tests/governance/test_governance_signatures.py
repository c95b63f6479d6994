"""The platform key: made once, kept from others, and nothing else vouches."""

# ruff: noqa: E501  (tables: one case a line)

import shutil
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import PackageError, StorageError
from mlops_assets.governance import signatures
from mlops_assets.governance.signatures import Signer, Verifier
from mlops_assets_tests.together import together


def private_pem(key: object, password: bytes | None = None) -> str:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()  # type: ignore[attr-defined]


def public_pem(key: object) -> str:
    public = key.public_key()  # type: ignore[attr-defined]
    return str(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


@pytest.fixture(autouse=True)
def no_keys_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_SIGNING_KEY", raising=False)
    monkeypatch.delenv("MLOPS_VERIFY_KEY", raising=False)


def test_the_embedded_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    signature = Signer.for_home(tmp_path).sign(b"content")
    assert Signer.for_home(tmp_path).sign(b"content") == signature
    file = tmp_path / "keys" / "platform_ed25519.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    assert Verifier.for_home(tmp_path).verify(b"content", signature)
    assert not Verifier.for_home(tmp_path / "other").verify(b"content", signature)


def test_the_public_key_lies_beside_the_private_one_to_be_handed_over(tmp_path: Path) -> None:
    signature = Signer.for_home(tmp_path).sign(b"content")
    file = tmp_path / "keys" / "platform_ed25519.pub.pem"
    handed = tmp_path / "handed.pem"
    handed.write_bytes(file.read_bytes())
    assert b"PRIVATE" not in handed.read_bytes()
    assert Verifier.handed_over(handed, tmp_path / "nowhere").verify(b"content", signature)
    assert Verifier.handed_over(None, tmp_path).verify(b"content", signature)
    file.unlink()
    Signer.for_home(tmp_path)  # a home from before it was laid there
    assert file.read_bytes() == handed.read_bytes()


def test_a_key_that_is_lost_is_not_replaced_by_another(tmp_path: Path) -> None:
    Signer.for_home(tmp_path)
    (tmp_path / "keys" / "platform_ed25519.pem").unlink()
    with pytest.raises(
        PackageError, match=r"signing key is gone: .*platform_ed25519\.pub\.pem was made with it"
    ):
        Signer.for_home(tmp_path)

    shutil.rmtree(tmp_path / "keys")
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "checkpoints.jsonl").touch()
    with pytest.raises(PackageError, match=r"signing key is gone: .*checkpoints\.jsonl was made with it"):
        Verifier.for_home(tmp_path)
    assert not (tmp_path / "keys").exists()


def test_who_verifies_makes_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PackageError, match="give the platform's public key with --key FILE"):
        Verifier.handed_over(None, tmp_path)
    assert not (tmp_path / "keys").exists()
    key = ed25519.Ed25519PrivateKey.generate()
    monkeypatch.setenv("MLOPS_VERIFY_KEY", public_pem(key))
    assert Verifier.handed_over(None, tmp_path).verify(b"content", key.sign(b"content"))


def test_a_home_that_cannot_be_written_still_signs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signature = Signer.for_home(tmp_path).sign(b"content")
    (tmp_path / "keys" / "platform_ed25519.pub.pem").unlink()

    def read_only(*_: object) -> None:
        raise StorageError("no permission")

    monkeypatch.setattr(signatures, "write_atomically", read_only)
    assert Signer.for_home(tmp_path).sign(b"content") == signature


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no usable public key"),
        (private_pem(ed25519.Ed25519PrivateKey.generate()).encode(), "holds no usable public key"),
        (public_pem(ec.generate_private_key(ec.SECP256R1())).encode(), "must hold an Ed25519 key"),
    ],
    ids=["nothing", "a private key", "another curve"],
)
def test_a_wrong_key_that_was_handed_over_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(content)
    with pytest.raises(PackageError, match=rf"key\.pem {said}"):
        Verifier.handed_over(file, tmp_path)


def _sign(root: Path) -> bytes:
    return Signer.for_home(root).sign(b"content")


def test_processes_that_begin_together_have_one_key(tmp_path: Path) -> None:
    assert len(set(together(_sign, [tmp_path] * 6))) == 1


@given(content=st.binary(max_size=50), spoilt=st.binary(max_size=50), signature=st.binary(max_size=80))
def test_only_the_very_content_and_signature_verify(content: bytes, spoilt: bytes, signature: bytes) -> None:
    signer = Signer(ed25519.Ed25519PrivateKey.generate())
    right = signer.sign(content)
    assert signer.verifier.verify(content, right)
    assert signer.verifier.verify(spoilt, right) is (spoilt == content)
    assert signer.verifier.verify(content, signature) is (signature == right)


def test_production_keys_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    monkeypatch.setenv("MLOPS_SIGNING_KEY", private_pem(key))
    signature = Signer.for_home(tmp_path).sign(b"content")
    assert not (tmp_path / "keys").exists()
    monkeypatch.delenv("MLOPS_SIGNING_KEY")
    monkeypatch.setenv("MLOPS_VERIFY_KEY", public_pem(key))
    assert Verifier.for_home(tmp_path).verify(b"content", signature)
    assert not (tmp_path / "keys").exists()  # a gateway has the public half only, and makes no key
    assert Signer.if_given(tmp_path) is None
    monkeypatch.setenv("MLOPS_SIGNING_KEY", private_pem(key))
    assert Signer.if_given(tmp_path) is not None
    assert not (tmp_path / "keys").exists()


def test_a_key_that_is_not_the_platforms_signs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = Signer.for_home(tmp_path), ed25519.Ed25519PrivateKey.generate()
    monkeypatch.setenv("MLOPS_SIGNING_KEY", private_pem(other))
    with pytest.raises(PackageError, match=r"not the private half of .*platform_ed25519\.pub\.pem.*remove"):
        Signer.for_home(tmp_path)
    monkeypatch.setenv("MLOPS_VERIFY_KEY", public_pem(other))
    assert Signer.for_home(tmp_path).verifier.fingerprint != own.verifier.fingerprint
    monkeypatch.setenv("MLOPS_VERIFY_KEY", own.verifier.pem.decode())
    with pytest.raises(PackageError, match="not the private half of MLOPS_VERIFY_KEY"):
        Signer.for_home(tmp_path)


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        ("no key at all", "MLOPS_SIGNING_KEY holds no usable private key"),
        (private_pem(ec.generate_private_key(ec.SECP256R1())), "MLOPS_SIGNING_KEY must hold an Ed25519 key"),
        (private_pem(rsa.generate_private_key(65537, 2048)), "MLOPS_SIGNING_KEY must hold an Ed25519 key"),
        (private_pem(ed25519.Ed25519PrivateKey.generate(), b"secret"), "MLOPS_SIGNING_KEY holds no usable private key"),
        (public_pem(ed25519.Ed25519PrivateKey.generate()), "MLOPS_SIGNING_KEY holds no usable private key"),
    ],
    ids=["text", "another curve", "RSA", "with a password", "a public key"],
)  # fmt: skip
def test_a_wrong_signing_key_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pem: str, said: str
) -> None:
    monkeypatch.setenv("MLOPS_SIGNING_KEY", pem)
    with pytest.raises(PackageError, match=said) as raised:
        Signer.for_home(tmp_path)
    assert pem.splitlines()[len(pem.splitlines()) // 2] not in str(raised.value) or pem == "no key at all"


@pytest.mark.parametrize(
    ("pem", "said"),
    [
        ("no key at all", "MLOPS_VERIFY_KEY holds no usable public key"),
        (public_pem(ec.generate_private_key(ec.SECP256R1())), "MLOPS_VERIFY_KEY must hold an Ed25519 key"),
        (private_pem(ed25519.Ed25519PrivateKey.generate()), "MLOPS_VERIFY_KEY holds no usable public key"),
    ],
    ids=["text", "another curve", "a private key"],
)
def test_a_wrong_verify_key_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pem: str, said: str
) -> None:
    monkeypatch.setenv("MLOPS_VERIFY_KEY", pem)
    with pytest.raises(PackageError, match=said):
        Verifier.for_home(tmp_path)


def test_a_spoilt_key_file_is_named_and_never_replaced(tmp_path: Path) -> None:
    Signer.for_home(tmp_path)
    file = tmp_path / "keys" / "platform_ed25519.pem"
    file.write_text("spoilt")
    with pytest.raises(PackageError, match=r"platform_ed25519\.pem holds no usable private key"):
        Signer.for_home(tmp_path)
    assert file.read_text() == "spoilt"
