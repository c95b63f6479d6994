"""People sign with the key they have; ssh-keygen and we believe each other, and nothing else."""

# ruff: noqa: E501  (tables: one case a line)

import base64
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlops_assets.errors import ApprovalError
from mlops_assets.governance.ssh_signatures import (
    PassphraseNeededError,
    load_private_key,
    public_line,
    sign,
    verify,
)
from mlops_assets.specs.ssh_public_key import fingerprint

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
CONTENT = b'{"decision":"approve"}'
SIGNATURE = sign(KEY, CONTENT)
PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
ENCRYPTED = KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, BestAvailableEncryption(b"open sesame"))


@pytest.fixture(autouse=True)
def no_passphrase_around(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLOPS_KEY_PASSPHRASE", raising=False)


def key_file(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    file = folder / "id_ed25519"
    file.write_bytes(content)
    file.chmod(mode)
    return file


Keygen = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="session")
def keygen() -> Keygen:
    """The real ``ssh-keygen``."""
    found = shutil.which("ssh-keygen")
    if found is None:
        pytest.skip("ssh-keygen is not installed (on Debian: apt-get install openssh-client)")

    def run(*arguments: object, content: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [found, *map(str, arguments)], input=content, capture_output=True, check=False, timeout=60
        )

    return run


class TestTogetherWithOpenSSH:
    @pytest.mark.parametrize("passphrase", ["", "open sesame"])
    @pytest.mark.parametrize("content", [b"", CONTENT, bytes(range(256)) * 500])
    def test_what_ssh_keygen_signs_we_believe(
        self, keygen: Keygen, tmp_path: Path, content: bytes, passphrase: str
    ) -> None:
        file, message = tmp_path / "id_ed25519", tmp_path / "message"
        made = keygen("-q", "-t", "ed25519", "-a", 1, "-N", "", "-C", "ada@example.com", "-f", file)
        assert made.returncode == 0, made.stderr
        message.write_bytes(content)
        signed = keygen("-Y", "sign", "-n", "mlops-assets", "-f", file, message)
        assert signed.returncode == 0, signed.stderr
        # Ed25519 knows no chance: who signs the same with the same key writes the same.
        key = load_private_key(file)
        armored = message.with_suffix(".sig").read_text()
        assert sign(key, content) == armored.strip()
        public = file.with_suffix(".pub").read_text()
        assert verify(armored, content, public)
        assert not verify(armored, content + b" ", public)
        assert public_line(key) == public.rpartition(" ")[0]
        # The same key, now under a passphrase.
        assert keygen("-p", "-q", "-a", 1, "-P", "", "-N", passphrase, "-f", file).returncode == 0
        assert sign(load_private_key(file, passphrase), content) == armored.strip()

    @pytest.mark.parametrize("content", [b"", CONTENT, bytes(range(256)) * 500])
    @pytest.mark.parametrize("end", ["", "\n"])
    def test_what_we_sign_ssh_keygen_believes(
        self, keygen: Keygen, tmp_path: Path, content: bytes, end: str
    ) -> None:
        signers, signature = tmp_path / "allowed_signers", tmp_path / "signature"
        signers.write_text(f"ada@example.com {public_line(KEY)}\n")
        signature.write_text(sign(KEY, content) + end)
        check = (
            "-Y",
            "verify",
            "-n",
            "mlops-assets",
            "-f",
            signers,
            "-I",
            "ada@example.com",
            "-s",
            signature,
        )
        good = keygen(*check, content=content)
        assert good.returncode == 0, good.stderr
        assert keygen(*check, content=content + b" ").returncode != 0
        signature.write_text(sign(OTHER, content))
        assert keygen(*check, content=content).returncode != 0

    def test_fingerprints_are_those_of_ssh_keygen(self, keygen: Keygen, tmp_path: Path) -> None:
        file = tmp_path / "key.pub"
        file.write_text(public_line(KEY) + " ada@example.com\n")
        _, shown, *_ = keygen("-l", "-f", file).stdout.decode().split()
        assert fingerprint(file.read_text()) == shown

    @pytest.mark.parametrize(
        ("options", "why"),
        [(("-n", "git"), "another namespace"), (("-n", "mlops-assets", "-O", "hashalg=sha256"), "another hash")],
    )  # fmt: skip
    def test_what_was_signed_for_another_purpose_is_not_believed(
        self, keygen: Keygen, tmp_path: Path, options: tuple[str, ...], why: str
    ) -> None:
        file, message = key_file(tmp_path, PRIVATE), tmp_path / "message"
        message.write_bytes(CONTENT)
        signed = keygen("-Y", "sign", *options, "-f", file, message)
        assert signed.returncode == 0, signed.stderr
        assert not verify(message.with_suffix(".sig").read_text(), CONTENT, public_line(KEY)), why


class TestVerify:
    @given(st.binary(), st.binary(min_size=32, max_size=32))
    def test_only_the_content_and_the_key_that_were_signed_with(self, content: bytes, seed: bytes) -> None:
        key = Ed25519PrivateKey.from_private_bytes(seed)
        signature = sign(key, content)
        assert verify(signature, content, public_line(key))
        assert not verify(signature, content + b"\0", public_line(key))
        assert not verify(signature, content, public_line(KEY if seed != bytes(range(32)) else OTHER))

    @settings(max_examples=1000)
    @given(st.integers(0, len(SIGNATURE) - 1), st.integers(1, 127))
    def test_any_flipped_byte_of_the_text_fails(self, place: int, flip: int) -> None:
        spoilt = SIGNATURE[:place] + chr(ord(SIGNATURE[place]) ^ flip) + SIGNATURE[place + 1 :]
        assert not verify(spoilt, CONTENT, public_line(KEY))

    @settings(max_examples=500)
    @given(st.data(), st.integers(1, 255))
    def test_any_flipped_byte_of_the_signature_itself_fails(self, data: st.DataObject, flip: int) -> None:
        blob = bytearray(base64.b64decode("".join(SIGNATURE.split("\n")[1:-1])))
        blob[data.draw(st.integers(0, len(blob) - 1))] ^= flip
        text = base64.b64encode(blob).decode()
        body = "\n".join(text[i : i + 70] for i in range(0, len(text), 70))
        spoilt = f"-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----"
        assert not verify(spoilt, CONTENT, public_line(KEY))

    @given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
    def test_any_flipped_byte_of_the_content_fails(self, place: int, flip: int) -> None:
        spoilt = bytearray(CONTENT)
        spoilt[place] ^= flip
        assert not verify(SIGNATURE, bytes(spoilt), public_line(KEY))

    @given(st.integers(0, 31), st.integers(1, 255))
    def test_any_flipped_byte_of_the_key_fails(self, place: int, flip: int) -> None:
        encoded = public_line(KEY).split()[1]
        blob = bytearray(base64.b64decode(encoded))
        blob[-32 + place] ^= flip
        assert not verify(SIGNATURE, CONTENT, f"ssh-ed25519 {base64.b64encode(blob).decode()}")

    @given(st.text() | st.text().map(lambda text: SIGNATURE[:40] + text + SIGNATURE[40:]), st.text())
    def test_nonsense_is_false_and_never_an_error(self, armored: str, public: str) -> None:
        assert verify(armored, CONTENT, public_line(KEY)) is (armored.strip() == SIGNATURE)
        assert not verify(SIGNATURE, CONTENT, public)


class TestPrivateKeyFile:
    def test_a_key_that_is_its_owners_alone_is_read(self, tmp_path: Path) -> None:
        for mode in (0o600, 0o400):
            assert sign(load_private_key(key_file(tmp_path, PRIVATE, mode)), CONTENT) == SIGNATURE

    @pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o604, 0o602, 0o610])
    def test_a_key_that_others_have_access_to_is_refused_as_ssh_does(self, tmp_path: Path, mode: int) -> None:
        with pytest.raises(ApprovalError, match=f"open to others .mode {mode:04o}.; run chmod 600"):
            load_private_key(key_file(tmp_path, PRIVATE, mode))

    def test_the_passphrase_is_given_or_in_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = key_file(tmp_path, ENCRYPTED)
        with pytest.raises(PassphraseNeededError, match="set MLOPS_KEY_PASSPHRASE"):
            load_private_key(file)
        assert sign(load_private_key(file, "open sesame"), CONTENT) == SIGNATURE
        for wrong in ("close sesame", "ö" * 100):
            with pytest.raises(ApprovalError, match="passphrase does not open") as raised:
                load_private_key(file, wrong)
            assert wrong not in str(raised.value)
        monkeypatch.setenv("MLOPS_KEY_PASSPHRASE", "open sesame")
        assert sign(load_private_key(file), CONTENT) == SIGNATURE
        # One that is not needed does no harm: the variable may be set for another key.
        assert sign(load_private_key(key_file(tmp_path, PRIVATE)), CONTENT) == SIGNATURE

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            (b"", "is no ssh-ed25519 private key"),
            (b"\xff" * 200, "is no ssh-ed25519 private key"),
            (PRIVATE[:200], "is no ssh-ed25519 private key"),
            (public_line(KEY).encode(), "is a public key; give the private one"),
            (KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), "is no ssh-ed25519 private key"),
            (rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), "is no ssh-ed25519 private key"),
            (ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), "is no ssh-ed25519 private key"),
            (KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "is no ssh-ed25519 private key"),
        ],
        ids=["empty", "no text", "cut off", "public", "PEM", "RSA", "ECDSA", "public PEM"],
    )  # fmt: skip
    def test_anything_else_is_refused_with_a_sentence(
        self, tmp_path: Path, content: bytes, said: str
    ) -> None:
        file = key_file(tmp_path, content)
        with pytest.raises(ApprovalError, match=said) as raised:
            load_private_key(file, "not needed")
        assert str(file) in str(raised.value)

    def test_a_file_that_is_not_there_or_a_folder_is_named(self, tmp_path: Path) -> None:
        for path in (tmp_path, tmp_path / "missing"):
            with pytest.raises(ApprovalError, match="cannot read the key"):
                load_private_key(path)

    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.integers(0, len(PRIVATE) - 1), st.integers(1, 255))
    def test_a_spoilt_file_is_refused_or_still_a_key(self, tmp_path: Path, place: int, flip: int) -> None:
        spoilt = bytearray(PRIVATE)
        spoilt[place] ^= flip
        try:
            key = load_private_key(key_file(tmp_path, bytes(spoilt)))
        except ApprovalError:
            return
        assert verify(sign(key, CONTENT), CONTENT, public_line(key))
