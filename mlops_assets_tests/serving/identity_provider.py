"""An identity provider for tests: keys of every kind, tokens signed with them, and a place to fetch keys."""

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

ISSUER, AUDIENCE = "https://login.example", "mlops-gateway"


@cache
def private_key(algorithm: str, name: str = "") -> Any:
    """Return a private key for an algorithm; the same for the same name."""
    curves = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm]())
    return rsa.generate_private_key(65537, 1024 if name == "weak" else 2048)


def public_jwk(algorithm: str, kid: str | None, name: str = "", **more: Any) -> dict[str, Any]:
    """Return the public half as a JSON Web Key."""
    stated = get_default_algorithms()[algorithm].to_jwk(
        private_key(algorithm, name).public_key(), as_dict=True
    )
    return {**stated, **({} if kid is None else {"kid": kid}), "use": "sig", **more}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    known = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "reader",
        "exp": int(time.time()) + 600,
        "mlops_models": ["iris"],
    }
    return {name: value for name, value in {**known, **changes}.items() if value is not ...}


def token(algorithm: str = "ES256", kid: str | None = "k1", name: str = "", **changes: Any) -> str:
    headers = {} if kid is None else {"kid": kid}
    return jwt.encode(claims(**changes), private_key(algorithm, name), algorithm, headers)


def forged(header: Any, payload: Any, key: bytes | None = None) -> str:
    """Return what a library refuses to make: any header, signed with HMAC or not at all."""
    parts = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in (header, payload)]
    body = b".".join(map(_encoded, parts))
    signature = b"" if key is None else hmac.digest(key, body, hashlib.sha256)
    return b".".join([body, _encoded(signature)]).decode()


def _encoded(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")


class Provider:
    """Hands out what it was told to; counts how often it was asked."""

    def __init__(self) -> None:
        self.content, self.status, self.asked = b"", 200, 0
        self.url = ""


@contextmanager
def provider(content: bytes) -> Iterator[Provider]:
    """Run an identity provider."""
    state = Provider()
    state.content = content

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked += 1
            self.send_response(state.status)
            self.send_header("content-length", str(len(state.content)))
            self.end_headers()
            self.wfile.write(state.content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_port}/jwks"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield state
        server.shutdown()
