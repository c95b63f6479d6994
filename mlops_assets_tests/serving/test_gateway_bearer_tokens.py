"""Bearer tokens count for what they say, and whatever somebody could make of one does not."""

import base64
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import AccessError
from mlops_assets.serving.bearer_tokens import BearerTokens, NoKeysYet, NotAccepted
from mlops_assets.serving.json_web_keys import KeyFile, KeyUrl, key_source, read_web_keys
from mlops_assets_tests.serving.identity_provider import (
    AUDIENCE,
    ISSUER,
    claims,
    forged,
    key_set,
    private_key,
    provider,
    public_jwk,
    token,
)

ALGORITHMS = ("RS256", "RS512", "PS256", "ES256", "ES384", "ES512", "EdDSA")


@pytest.fixture
def accepting(tmp_path: Path) -> Callable[..., BearerTokens]:
    def made(*keys: dict[str, Any]) -> BearerTokens:
        path = tmp_path / "jwks.json"
        path.write_bytes(key_set(*keys or (public_jwk("ES256", "k1"),)))
        return BearerTokens(KeyFile(path), ISSUER, AUDIENCE)

    return made


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("declared", [True, False])
def test_a_token_is_its_subjects_with_the_models_it_lists(
    accepting: Any, algorithm: str, declared: bool
) -> None:
    stated = public_jwk(algorithm, "k1", **({"alg": algorithm} if declared else {}))
    caller = accepting(stated).caller(token(algorithm, mlops_models=["iris", "visits"]))

    assert (caller.name, caller.models) == ("jwt:reader", {"iris", "visits"})
    assert caller.may("predict", "iris")
    assert not caller.may("probe", "iris")
    assert caller.until >= claims()["exp"]


def test_all_models_and_none(accepting: Any) -> None:
    assert accepting().caller(token(mlops_models="*")).may("see", "*")
    assert not accepting().caller(token(mlops_models=...)).may("predict", "iris")


def test_the_models_claim_can_have_another_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(public_jwk("ES256", "k1")))
    for name, value in (("JWKS", path), ("JWT_ISSUER", ISSUER), ("JWT_AUDIENCE", AUDIENCE)):
        monkeypatch.setenv(f"MLOPS_{name}", str(value))
    monkeypatch.setenv("MLOPS_JWT_MODELS_CLAIM", "https://acme.example/models")
    tokens = BearerTokens.from_environment()
    assert tokens is not None
    sent = token(**{"https://acme.example/models": ["visits"]})
    assert tokens.caller(sent).models == {"visits"}


# Further off than a run of all tests takes: this is read when they begin.
TOMORROW, YESTERDAY = int(time.time()) + 86_400, int(time.time()) - 86_400
NOT_ACCEPTED: dict[str, tuple[Callable[[], str], str]] = {
    "expired": (lambda: token(exp=YESTERDAY), "has expired"),
    "not yet": (lambda: token(nbf=TOMORROW), "not valid"),
    "without an end": (lambda: token(exp=...), "lacks the claim 'exp'"),
    "an end that is none": (lambda: token(exp="never"), "not valid"),
    "an endless end": (lambda: forged({"alg": "ES256", "kid": "k1"}, b'{"exp": 1e999}'), "not valid"),
    "of another issuer": (lambda: token(iss="https://evil.example"), "another issuer"),
    "of an issuer with more to its name": (lambda: token(iss=f"{ISSUER}.evil.example"), "another issuer"),
    "of nobody": (lambda: token(iss=...), "lacks the claim 'iss'"),
    "for another audience": (lambda: token(aud="billing"), "another audience"),
    "for no audience": (lambda: token(aud=...), "lacks the claim 'aud'"),
    "without a subject": (lambda: token(sub=...), "lacks the claim 'sub'"),
    "an empty subject": (lambda: token(sub=""), "is no name"),
    "a subject of two lines": (lambda: token(sub="a\nb"), "is no name"),
    "a long subject": (lambda: token(sub="a" * 129), "is no name"),
    "models in one text": (lambda: token(mlops_models="iris visits"), "must be a list"),
    "models that are none": (lambda: token(mlops_models=[1]), "must be a list"),
    "an unknown key": (lambda: token(kid="k2"), "not known here"),
    "no key": (lambda: token(kid=None), "not known here"),
    "somebody else's key under a known name": (lambda: token(name="other"), "not valid"),
    "another kind of key under a known name": (lambda: token("RS256"), "not valid"),
    "the other key's name": (lambda: token("RS256", kid="k1"), "not valid"),
    "not signed": (lambda: forged({"alg": "none", "kid": "k1"}, claims()), "not valid"),
    "not signed, in other letters": (lambda: forged({"alg": "nOnE", "kid": "k1"}, claims()), "not valid"),
    "no algorithm": (lambda: forged({"kid": "k1"}, claims()), "not valid"),
    "signed with the public key as a secret": (
        lambda: forged({"alg": "HS256", "kid": "rsa"}, claims(), _public("RS256")),
        "not valid",
    ),
    "signed with the set as a secret": (
        lambda: forged({"alg": "HS256", "kid": "k1"}, claims(), key_set(public_jwk("ES256", "k1"))),
        "not valid",
    ),
    "an own key in the header": (
        lambda: forged(
            {"alg": "ES256", "jwk": public_jwk("ES256", "k1", "other"), "kid": "k1"}, claims(), b"x"
        ),
        "not valid",
    ),
    "a key's name that is none": (lambda: forged({"alg": "ES256", "kid": ["k1"]}, claims()), "not valid"),
    "an extension that must be understood": (
        lambda: forged({"alg": "ES256", "kid": "k1", "crit": ["acme"]}, claims()),
        "not valid",
    ),
    "a header without end": (lambda: forged(b"[" * 3000, b""), "not valid"),
    "claims without end": (lambda: forged({"alg": "ES256", "kid": "k1"}, b"[" * 4000), "not valid"),
    "too long": (lambda: token(more="x" * 9000), "too long"),
    "cut": (lambda: token()[:-4], "not valid"),
    "with another's claims": (lambda: _exchanged(token(), claims(sub="admin")), "not valid"),
}


def _public(algorithm: str) -> bytes:
    public = private_key(algorithm).public_key()
    content: bytes = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return content


def _exchanged(sent: str, other: dict[str, Any]) -> str:
    head, _, signature = sent.split(".")
    payload = base64.urlsafe_b64encode(json.dumps(other).encode()).rstrip(b"=").decode()
    return f"{head}.{payload}.{signature}"


@pytest.mark.parametrize("case", NOT_ACCEPTED)
def test_what_is_not_right_does_not_count(accepting: Any, case: str) -> None:
    made, said = NOT_ACCEPTED[case]
    tokens = accepting(public_jwk("ES256", "k1"), public_jwk("RS256", "rsa"))
    with pytest.raises(NotAccepted, match=said):
        tokens.caller(made())


@given(st.text(max_size=60) | st.builds(".".join, st.lists(st.text(max_size=20), min_size=3, max_size=3)))
def test_nothing_that_is_no_token_is_anything_else_than_not_accepted(sent: str) -> None:
    class Source:
        keys = read_web_keys(key_set(public_jwk("ES256", "k1")), "test")
        miss = staticmethod(lambda: None)

    with pytest.raises(NotAccepted):
        BearerTokens(Source(), ISSUER, AUDIENCE).caller(sent)  # type: ignore[arg-type]


def test_a_clock_that_is_a_little_off_is_forgiven(accepting: Any) -> None:
    now = int(time.time())
    assert accepting().caller(token(exp=now - 5, nbf=now - 60)).name == "jwt:reader"
    assert accepting().caller(token(nbf=now + 5)).name == "jwt:reader"


def test_a_token_without_a_key_name_is_checked_with_the_only_key(accepting: Any) -> None:
    assert accepting(public_jwk("ES256", None)).caller(token(kid=None)).name == "jwt:reader"


BAD_SETS: dict[str, tuple[Callable[[], bytes], str]] = {
    "no JSON": (lambda: b"{", "is no JSON Web Key Set"),
    "another document": (lambda: b'{"issuer": "x"}', "is no JSON Web Key Set"),
    "keys that are none": (lambda: b'{"keys": ["x"]}', "is no JSON Web Key Set"),
    "no keys": (lambda: key_set(), "holds no public key"),
    "a shared secret": (lambda: key_set({"kty": "oct", "k": "c2VjcmV0", "kid": "s"}), "holds no public key"),
    "for encryption only": (lambda: key_set(public_jwk("RS256", "e", use="enc")), "holds no public key"),
    "a weak key": (lambda: key_set(public_jwk("RS256", "w", "weak")), "1024 bits"),
    "two of one name": (
        lambda: key_set(public_jwk("RS256", "k"), public_jwk("ES256", "k")),
        "two keys are called 'k'",
    ),
    "a private key": (lambda: key_set(public_jwk("ES256", "k", d="AA")), "is a private key"),
    "half a key": (lambda: key_set({"kty": "EC", "crv": "P-256", "kid": "h"}), "key 'h' cannot be read"),
}


@pytest.mark.parametrize("case", BAD_SETS)
def test_a_set_that_cannot_be_trusted_is_refused(case: str) -> None:
    made, said = BAD_SETS[case]
    with pytest.raises(AccessError, match=said):
        read_web_keys(made(), "jwks.json")


def test_keys_for_other_purposes_are_left_out() -> None:
    keys = read_web_keys(
        key_set(public_jwk("RS256", "sign"), public_jwk("RS256", "encrypt", use="enc"), {"kty": "new"}), "x"
    )
    assert set(keys) == {"sign"}


@pytest.mark.parametrize("where", ["http://login.example/keys", "ftp://login.example/keys", "nowhere.json"])
def test_keys_come_from_where_they_can_be_trusted(where: str) -> None:
    with pytest.raises(AccessError, match=r"must be the path of a file or begin with https|no such file"):
        key_source(where)


@pytest.mark.parametrize("given_", [("JWT_ISSUER",), ("JWT_AUDIENCE",), ()])
def test_an_issuer_and_an_audience_must_be_named(
    given_: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLOPS_JWKS", "https://login.example/keys")
    for name in given_:
        monkeypatch.setenv(f"MLOPS_{name}", "x")
    with pytest.raises(AccessError, match="MLOPS_JWT_ISSUER and MLOPS_JWT_AUDIENCE"):
        BearerTokens.from_environment()


class Fetched:
    """Answers fetches one at a time, each as the test says."""

    def __init__(self) -> None:
        self.asked, self._answer, self._ready = threading.Semaphore(0), b"", threading.Semaphore(0)
        self.times: list[float] = []

    def __call__(self, _: str) -> bytes:
        self.times.append(time.monotonic())
        self.asked.release()
        assert self._ready.acquire(timeout=30)
        if not self._answer:
            raise AccessError("cannot fetch")
        return self._answer

    def answer(self, content: bytes) -> None:
        """Wait until it is asked, and answer."""
        assert self.asked.acquire(timeout=30)
        self._answer = content
        self._ready.release()


def test_a_new_key_of_the_provider_is_fetched_when_a_token_names_it() -> None:
    fetched = Fetched()
    source = KeyUrl("https://login.example", fetched, every=3600.0, at_least=0.01)
    tokens = BearerTokens(source, ISSUER, AUDIENCE)
    with pytest.raises(NoKeysYet):
        tokens.caller(token())
    source.start()
    try:
        fetched.answer(b"")  # the provider is down: it is tried again
        fetched.answer(key_set(public_jwk("ES256", "k1")))
        _until(lambda: source.keys is not None)
        assert tokens.caller(token()).name == "jwt:reader"

        sent = token("RS256", kid="k2")
        with pytest.raises(NotAccepted, match="not known here"):
            tokens.caller(sent)
        fetched.answer(key_set(public_jwk("RS256", "k2")))
        _until(lambda: source.look() and "k2" in (source.keys or ()))
        assert tokens.caller(sent).name == "jwt:reader"
        with pytest.raises(NotAccepted):
            tokens.caller(token())  # whose key is gone from the set

        fetched.answer(b"")  # down again: what is known stays
        _until(lambda: source.problem is not None)
        assert tokens.caller(sent).name == "jwt:reader"
    finally:
        source.stop()
        fetched._ready.release()


def test_unknown_keys_however_many_have_it_fetched_no_more_often_than_may_be() -> None:
    fetched = Fetched()
    source = KeyUrl("https://login.example", fetched, every=3600.0, at_least=0.05)
    source.start()
    try:
        for _ in range(4):
            fetched.answer(key_set(public_jwk("ES256", "k1")))
            for _ in range(100):
                source.miss()
        assert fetched.asked.acquire(timeout=30)
        apart = [later - earlier for earlier, later in zip(fetched.times, fetched.times[1:], strict=False)]
        assert min(apart) >= 0.05
    finally:
        source.stop()
        fetched._ready.release()


def test_keys_are_fetched_from_a_real_server() -> None:
    with provider(key_set(public_jwk("ES256", "k1"))) as running:
        source = key_source(running.url)
        source.start()
        try:
            _until(lambda: source.keys is not None)
            assert BearerTokens(source, ISSUER, AUDIENCE).caller(token()).name == "jwt:reader"
        finally:
            source.stop()


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"{}", 500, "answers with 500"),
        (b"x" * (1024 * 1024 + 1), 200, "more than"),
        (b"<html>", 200, "no JSON"),
    ],
)
def test_what_a_server_answers_instead_is_told(content: bytes, status: int, said: str) -> None:
    with provider(content) as running:
        running.status = status
        source = key_source(running.url)
        source.start()
        try:
            _until(lambda: source.problem is not None)
            assert said in str(source.problem)
            assert running.url in str(source.problem)
        finally:
            source.stop()


def _until(true: Callable[[], Any]) -> None:
    """Wait for another thread, which nothing else tells of."""
    ended, pause = time.monotonic() + 30, threading.Event()
    while not true():
        assert time.monotonic() < ended
        pause.wait(0.005)
