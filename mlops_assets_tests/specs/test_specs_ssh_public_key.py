"""A public key is one line that OpenSSH wrote, and its fingerprint is the one OpenSSH shows."""

# ruff: noqa: E501  (tables: one case a line)

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.specs.ssh_public_key import fingerprint, parse_public_key


def line_of(key: object) -> str:
    public = key.public_key()  # type: ignore[attr-defined]
    return str(public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode())


SEED = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
LINE = line_of(SEED)
ENCODED = LINE.split()[1]
PRIVATE = SEED.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


@given(
    st.binary(min_size=32, max_size=32),
    st.text(st.characters(categories=["L", "N", "P"])),
    st.sampled_from([" ", "  ", "\t"]),
)
def test_a_line_of_openssh_is_read_with_any_comment(seed: bytes, comment: str, space: str) -> None:
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed)
    line = line_of(key).replace(" ", space) + space + comment
    assert parse_public_key(line + "\n") == key.public_key().public_bytes_raw()
    assert fingerprint(line) == fingerprint(line_of(key))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "not one line"),
        ("ssh-ed25519", "incomplete or altered"),
        (f"ssh-ed25519 {ENCODED[:-4]}", "incomplete or altered"),
        (f"ssh-ed25519 {ENCODED}AAAA", "incomplete or altered"),
        (f"ssh-ed25519 {ENCODED[:40]}!{ENCODED[41:]}", "incomplete or altered"),
        (f"ssh-ed25519 {base64.b64encode(b'x' * 51).decode()}", "incomplete or altered"),
        (f"{LINE}\n{LINE}", "not one line"),
        (f"ssh-rsa {ENCODED}", "keys of type ssh-rsa are not accepted"),
        (line_of(rsa.generate_private_key(65537, 2048)), "keys of type ssh-rsa are not accepted"),
        (line_of(ec.generate_private_key(ec.SECP256R1())), "keys of type ecdsa-sha2-nistp256 are not accepted"),
        (f"sk-ssh-ed25519@openssh.com {ENCODED}", "keys of type sk-ssh-ed25519@openssh.com are not accepted"),
        (f'command="true" {LINE}', "no OpenSSH public key"),
        ("ada@example.com", "no OpenSSH public key"),
        (PRIVATE, "this is a private key"),
        (PRIVATE.replace("\n", " "), "this is a private key"),
    ],
)  # fmt: skip
def test_anything_else_is_refused_with_a_sentence_that_says_what_to_give(line: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        parse_public_key(line)
    assert "id_ed25519.pub" in str(raised.value)
    assert "b3BlbnNzaC1rZXktdjE" not in str(raised.value)


@given(st.text() | st.text().map("ssh-ed25519 ".__add__))
def test_no_text_makes_it_fail_otherwise(text: str) -> None:
    with pytest.raises(ValueError, match=r"id_ed25519\.pub"):
        parse_public_key(text)


@given(st.integers(0, len(ENCODED) - 1), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_changed_character_is_another_key_or_none(place: int, character: str) -> None:
    changed = ENCODED[:place] + character + ENCODED[place + 1 :]
    try:
        other = parse_public_key(f"ssh-ed25519 {changed}")
    except ValueError:
        return
    assert (other == parse_public_key(LINE)) is (changed == ENCODED)
