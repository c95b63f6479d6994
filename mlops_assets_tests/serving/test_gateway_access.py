"""Who may call the gateway, what each may do, and that nobody learns more than that."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from starlette.testclient import TestClient

from mlops_assets.errors import AccessError, EndpointError
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.gateway_credential import platform_key
from mlops_assets.gateway_process import running_gateway
from mlops_assets.home import Home
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.resources import Platform
from mlops_assets.serving.access import Access
from mlops_assets.serving.api_keys import KeyOwner, change_keys, new_key
from mlops_assets.serving.callers import Limits
from mlops_assets.serving.declared_access import declared_access
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.refusal import Refusal
from mlops_assets_tests.serving.identity_provider import (
    AUDIENCE,
    ISSUER,
    key_set,
    provider,
    public_jwk,
    token,
)
from mlops_assets_tests.serving.visits_requests import VISITS, oip

NOW = datetime.now(UTC).replace(microsecond=0)
FLOWER = {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}
INVOCATION = {"instances": [list(FLOWER.values())]}


@pytest.fixture(autouse=True)
def _no_access_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("MLOPS_API", "MLOPS_JW", "MLOPS_CALLER", "MLOPS_GATEWAY")):
            monkeypatch.delenv(name)


@dataclass
class Keys:
    """A home's file of keys, and the clock of whoever follows it."""

    home: Home
    now: float = field(default_factory=NOW.timestamp)
    problems: list[Problem] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def add(self, name: str, *models: str, lifetime: timedelta | None = None, **changes: Any) -> str:
        key, stored = new_key(NOW, lifetime)
        stated = {"rights": ("predict", "feedback", "see"), **changes}
        owner = KeyOwner(name, models or ("*",), keys=(stored,), **stated)
        change_keys(self.home.api_keys, lambda file: file.adding(owner))
        return key

    def access(self, host: str = "127.0.0.1", **options: Any) -> Access:
        access = declared_access(self.home, host, on_problem=self.problems.append, **options)
        access._clock = self.clock
        access._looked = self.now
        return access

    def a_second_later(self) -> None:
        self.now += 1.0


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(Home(tmp_path).prepare())


def shown(key: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), (b"x-api-key", key.encode())]


def bearer(credential: str) -> list[tuple[bytes, bytes]]:
    return [(b"authorization", f"Bearer {credential}".encode())]


def refused(call: Callable[[], Any]) -> Refusal:
    with pytest.raises(Refusal) as found:
        call()
    return found.value


class TestWhoCalls:
    @pytest.mark.parametrize("form", [shown, bearer])
    def test_a_key_is_its_owners_however_it_is_shown(self, keys: Keys, form: Any) -> None:
        first, second = keys.add("first"), keys.add("second")
        access = keys.access()
        for _ in range(2):  # found out, and remembered
            assert access.caller(form(first)).name == "first"
            assert access.caller(form(second)).name == "second"

    @pytest.mark.parametrize(
        "headers",
        [
            [],
            shown("mlops_wrong"),
            shown(""),
            bearer(""),
            bearer("a.b.c"),
            [(b"authorization", b"Basic dXNlcjpwYXNz")],
            [(b"authorization", b"\xff\xfe")],
            [(b"authorization", b"Bearer \xff.\xff.\xff")],
        ],
    )
    def test_nobody_else_is_anybody(self, keys: Keys, headers: Any) -> None:
        keys.add("somebody")
        refusal = refused(lambda: keys.access().caller(headers))
        assert refusal.status == 401
        assert refusal.headers["www-authenticate"].startswith('Bearer realm="mlops-assets"')

    def test_the_digest_in_the_file_is_no_key(self, keys: Keys) -> None:
        keys.add("somebody")
        digest = json.loads(keys.home.api_keys.read_text())["callers"][0]["keys"][0]["digest"]
        for wrong in (digest, bytes.fromhex(digest).hex().upper()):
            assert refused(lambda wrong=wrong: keys.access().caller(shown(wrong))).status == 401

    def test_two_credentials_are_one_too_many(self, keys: Keys) -> None:
        key = keys.add("somebody")
        refusal = refused(lambda: keys.access().caller([*shown(key), *bearer(key)]))
        assert "one credential" in str(refusal)

    def test_what_counts_in_one_header_does_not_in_the_other(self, keys: Keys) -> None:
        access, key = keys.access(), keys.add("somebody")
        keys.a_second_later()
        assert access.caller(bearer(key)).name == "somebody"
        assert refused(lambda: access.caller(shown(f"Bearer {key}"))).status == 401
        assert refused(lambda: access.caller([(b"authorization", key.encode())])).status == 401

    def test_the_platform_is_known_by_its_own_key(self, keys: Keys) -> None:
        keys.add("somebody")
        caller = keys.access().caller(shown(platform_key(keys.home.root)))
        assert caller.name == "platform"
        assert caller.may("probe", "iris")
        assert (keys.home.root / "keys" / "gateway.key").stat().st_mode & 0o777 == 0o600

    def test_or_by_one_that_it_was_given(self, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
        keys.add("somebody")
        monkeypatch.setenv("MLOPS_GATEWAY_KEY", "k" * 32)
        assert keys.access().caller(shown("k" * 32)).name == "platform"
        monkeypatch.setenv("MLOPS_GATEWAY_KEY", "short")
        with pytest.raises(AccessError, match="MLOPS_GATEWAY_KEY must be 32"):
            keys.access()

    def test_tokens_and_keys_count_beside_each_other(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        declare_provider(keys.home, monkeypatch)
        key = keys.add("somebody")
        access = keys.access("0.0.0.0")
        assert access.caller(shown(key)).name == "somebody"
        assert access.caller(bearer(token())).name == "jwt:reader"
        assert refused(lambda: access.caller(shown(token()))).status == 401
        assert 'error="invalid_token"' in str(refused(lambda: access.caller(bearer(token(aud="x")))).headers)

    def test_a_token_is_checked_once_and_ends_all_the_same(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        declare_provider(keys.home, monkeypatch)
        access, sent = keys.access(), token()
        assert access.caller(bearer(sent)) is access.caller(bearer(sent))
        keys.now += 3600
        assert refused(lambda: access.caller(bearer(sent))).status == 401

    def test_a_token_ends_with_the_key_that_signed_it(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = declare_provider(keys.home, monkeypatch)
        access, sent = keys.access(), token()
        access.caller(bearer(sent))
        path.write_bytes(key_set(public_jwk("RS256", "other")))
        keys.a_second_later()
        assert refused(lambda: access.caller(bearer(sent))).status == 401

    def test_what_is_remembered_has_an_end(self, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("mlops_assets.serving.access._MOST_KNOWN", 3)
        declare_provider(keys.home, monkeypatch)
        access = keys.access()
        for number in range(10):
            assert access.caller(bearer(token(sub=f"n{number}"))).name == f"jwt:n{number}"
            refused(lambda number=number: access.caller(bearer(f"wrong{number}")))
        assert sum(map(len, access._known.values())) == 3


def declare_provider(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = home.root / "jwks.json"
    path.write_bytes(key_set(public_jwk("ES256", "k1")))
    for name, value in (("JWKS", str(path)), ("JWT_ISSUER", ISSUER), ("JWT_AUDIENCE", AUDIENCE)):
        monkeypatch.setenv(f"MLOPS_{name}", value)
    return path


class TestWhileTheGatewayRuns:
    def test_a_key_that_is_revoked_counts_no_more(self, keys: Keys) -> None:
        access, key = keys.access(), keys.add("somebody")
        other = keys.add("other")
        keys.a_second_later()
        access.caller(shown(key))

        change_keys(keys.home.api_keys, lambda file: file.revoking("somebody"))
        keys.a_second_later()

        assert refused(lambda: access.caller(shown(key))).status == 401
        assert access.caller(shown(other)).name == "other"

    def test_a_key_counts_until_it_ends(self, keys: Keys) -> None:
        key = keys.add("somebody", lifetime=timedelta(seconds=60))
        access = keys.access()
        keys.now = NOW.timestamp() + 59.9
        access.caller(shown(key))
        keys.now = NOW.timestamp() + 60
        assert refused(lambda: access.caller(shown(key))).status == 401

    def test_while_a_key_is_exchanged_both_count(self, keys: Keys) -> None:
        old = keys.add("somebody")
        access = keys.access()
        new, stored = new_key(NOW, None)
        change_keys(keys.home.api_keys, lambda file: file.rotating("somebody", stored, timedelta(hours=1)))
        keys.a_second_later()
        assert access.caller(shown(old)).name == access.caller(shown(new)).name == "somebody"
        keys.now += 3600
        assert refused(lambda: access.caller(shown(old))).status == 401
        assert access.caller(shown(new)).name == "somebody"

    @pytest.mark.parametrize(
        ("spoil", "said"),
        [
            (lambda path: path.write_text('{"version": 1, "callers": [{}]}'), "is no file of API keys"),
            (lambda path: path.unlink(), "is gone"),
            (lambda path: path.chmod(0o666), "can be written by others"),
        ],
    )
    def test_a_file_that_is_spoilt_changes_nothing_and_is_told(
        self, keys: Keys, spoil: Callable[[Path], Any], said: str
    ) -> None:
        key = keys.add("somebody")
        access, kept = keys.access(), keys.home.api_keys.read_bytes()
        spoil(keys.home.api_keys)
        keys.a_second_later()

        assert access.caller(shown(key)).name == "somebody"
        assert refused(lambda: access.caller([])).status == 401
        [problem] = access.problems
        assert problem.kind == "access_unreadable"
        assert said in problem.message
        assert keys.problems == [problem]  # told once

        keys.home.api_keys.unlink(missing_ok=True)
        keys.home.api_keys.write_bytes(kept)
        keys.home.api_keys.chmod(0o600)
        keys.a_second_later()
        assert access.problems == []

    def test_the_first_key_closes_a_gateway_that_was_open_to_its_machine(self, keys: Keys) -> None:
        access = keys.access()
        assert access.caller([]).may("probe", "iris")
        assert access.caller(shown("of another server")).may("predict", "iris")
        key = keys.add("somebody")
        keys.a_second_later()
        assert refused(lambda: access.caller([])).status == 401
        assert refused(lambda: access.caller(shown("of another server"))).status == 401
        assert access.caller(shown(key)).name == "somebody"

    def test_it_stays_closed_when_the_last_key_is_revoked(self, keys: Keys) -> None:
        key = keys.add("somebody")
        access = keys.access()
        change_keys(keys.home.api_keys, lambda file: file.revoking("somebody"))
        keys.a_second_later()
        for headers in ([], shown(key)):
            assert refused(lambda headers=headers: access.caller(headers)).status == 401
        assert refused(lambda: keys.access().caller([])).status == 401  # and when it is started again

    def test_a_clock_that_is_put_back_keeps_nothing_from_being_seen(self, keys: Keys) -> None:
        access, key = keys.access(), keys.add("somebody")
        keys.now -= 86_400
        assert access.caller(shown(key)).name == "somebody"


class TestWhereItListens:
    @pytest.mark.parametrize(
        "host", ["0.0.0.0", "::", "10.0.0.1", "gateway.example", "127.0.0.1.evil.example"]
    )
    def test_others_are_not_let_in_by_forgetting(self, keys: Keys, host: str) -> None:
        with pytest.raises(AccessError, match=r"keys add.*MLOPS_JWKS.*--allow-anonymous"):
            keys.access(host)

    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
    def test_on_its_own_machine_it_is_open(self, keys: Keys, host: str) -> None:
        access = keys.access(host)
        assert access.caller([]).name == ""
        assert access.warnings == []

    def test_whoever_may_call_is_let_in_when_that_is_said(self, keys: Keys) -> None:
        access = keys.access("0.0.0.0", allow_anonymous=True)
        caller = access.caller([])
        assert caller.may("predict", "iris")
        assert not caller.may("probe", "iris")
        assert "--allow-anonymous" in access.warnings[0]

    def test_beside_keys_too_but_not_with_a_wrong_one(self, keys: Keys) -> None:
        key = keys.add("somebody", "iris")
        access = keys.access("0.0.0.0", allow_anonymous=True)
        assert access.caller([]).name == ""
        assert access.caller(shown(key)).name == "somebody"
        assert refused(lambda: access.caller(shown("wrong"))).status == 401

    def test_a_file_that_is_named_must_be_there(self, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLOPS_API_KEYS", str(keys.home.root / "elsewhere.json"))
        with pytest.raises(AccessError, match=r"elsewhere\.json: there is no such file"):
            keys.access()
        keys.add("somebody")
        keys.access("0.0.0.0")

    def test_it_does_not_start_with_a_file_that_is_broken(self, keys: Keys) -> None:
        keys.home.api_keys.write_text("{")
        with pytest.raises(AccessError, match="is no file of API keys"):
            keys.access()

    def test_a_gateway_that_nobody_is_known_to_ends_with_a_reason(self, keys: Keys) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "mlops_assets.serving", "--host", "0.0.0.0", "--port", "0"],
            env=os.environ | keys.home.environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 2
        [line] = [line for line in done.stderr.splitlines() if line]
        assert line.startswith("gateway: on 0.0.0.0 other machines can call")


class TestLimits:
    def test_a_caller_is_held_to_those_of_the_key(self, keys: Keys) -> None:
        key = keys.add("somebody", limits=Limits(requests_per_second=1, burst=2))
        access = keys.access()
        for _ in range(2):
            access.admit(shown(key), "predict", "iris")
        refusal = refused(lambda: access.admit(shown(key), "predict", "iris"))
        assert (refusal.status, refusal.headers["retry-after"]) == (429, "1")

    def test_or_to_the_default(self, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MLOPS_CALLER_REQUESTS_PER_SECOND", "2")
        own = keys.add("own", limits=Limits(concurrent=1))
        access = keys.access("0.0.0.0", allow_anonymous=True)
        for headers in ([], shown(keys.add("later"))):
            keys.a_second_later()
            for _ in range(2):
                access.admit(headers, "predict", "iris")
            assert refused(lambda headers=headers: access.admit(headers, "predict")).status == 429
        for _ in range(5):
            access.admit(shown(own), "predict", "iris")

    @pytest.mark.parametrize("value", ["many", "0", "-1", "nan"])
    def test_a_default_that_is_no_number_is_named(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv("MLOPS_CALLER_REQUESTS_PER_SECOND", value)
        with pytest.raises(AccessError, match="MLOPS_CALLER_REQUESTS_PER_SECOND"):
            keys.access()

    def test_what_is_refused_for_its_scope_takes_nothing(self, keys: Keys) -> None:
        key = keys.add("somebody", "iris", limits=Limits(requests_per_second=0.001, burst=1))
        access = keys.access()
        for _ in range(3):
            assert refused(lambda: access.admit(shown(key), "predict", "visits")).status == 403
        access.admit(shown(key), "predict", "iris")

    def test_a_request_counts_once_however_often_it_is_asked_about(self, keys: Keys) -> None:
        key = keys.add("somebody", limits=Limits(requests_per_second=0.001, burst=1))
        access, scope = keys.access(), {"headers": shown(key)}
        for _ in range(3):
            assert access.admitted(scope, "predict", "iris").name == "somebody"

    def test_who_was_let_in_for_one_thing_is_not_for_another(self, keys: Keys) -> None:
        key = keys.add("somebody", "iris", rights=("predict",))
        access, scope = keys.access(), {"headers": shown(key)}
        access.admitted(scope, "predict", "iris")
        for right, model in (("see", "iris"), ("predict", "visits")):
            assert refused(lambda r=right, m=model: access.admitted(scope, r, m)).status == 403


@dataclass
class Asked:
    """A gateway with keys, and what it answers to whom."""

    inside: Any
    client: Any
    keys: Keys
    by_name: dict[str, str]

    def get(self, path: str, who: str | None = None, **headers: str) -> Any:
        return self.client.get(path, headers=self._headers(who, headers))

    def post(self, path: str, body: Any, who: str | None = None, **headers: str) -> Any:
        return self.client.post(path, content=orjson.dumps(body), headers=self._headers(who, headers))

    def _headers(self, who: str | None, more: dict[str, str]) -> dict[str, str]:
        shown = {} if who is None else {"x-api-key": self.by_name.get(who, who)}
        return {**shown, **{name.replace("_", "-"): value for name, value in more.items()}}


@pytest.fixture(scope="module")
def asked(gateway_in_process: Any, fleet: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("access")
    keys = Keys(Home(folder).prepare())
    by_name = {
        "all": keys.add("all"),
        "florist": keys.add("florist", "iris"),
        "planner": keys.add("planner", "iris", "visit"),
        "reader": keys.add("reader", "iris", rights=("see",)),
        "asker": keys.add("asker", "iris", rights=("predict",)),
        "slow": keys.add("slow", "iris", limits=Limits(requests_per_second=0.001, burst=1)),
        "platform": platform_key(keys.home.root),
    }
    with gateway_in_process(fleet, folder / "log", access=keys.access("0.0.0.0")) as inside:
        inside.settle()
        client = TestClient(inside.gateway.app(), raise_server_exceptions=False)
        yield Asked(inside, client, keys, by_name)


PATHS = {
    "/v2/models/{}/infer": lambda: oip(VISITS),
    "/v2/models/{}/versions/1/infer": lambda: oip(VISITS),
    "/models/{}/invocations": lambda: INVOCATION,
    "/v1/models/{}:predict": lambda: INVOCATION,
    "/v2/models/{}/feedback": lambda: {"labels": []},
    "/v2/models/{}": None,
    "/v2/models/{}/versions/1": None,
    "/v2/models/{}/ready": None,
    "/v2/models/{}/versions/1/ready": None,
    "/v1/models/{}": None,
    "/models/{}/ping": None,
}


def everything_but_the_name(answer: Any, model: str) -> tuple[Any, ...]:
    headers = sorted((k, v) for k, v in answer.headers.items() if k != "content-length")
    return answer.status_code, answer.text.replace(model, "MODEL"), headers


@pytest.mark.parametrize("who", ["florist", "planner", None, "mlops_wrong"])
@pytest.mark.parametrize("path", PATHS)
def test_a_model_out_of_scope_is_as_one_that_there_is_not(asked: Asked, path: str, who: str | None) -> None:
    def answer(model: str) -> Any:
        body = PATHS[path]
        if body is None:
            return asked.get(path.format(model), who)
        return asked.post(path.format(model), body(), who)

    there, nowhere = answer("visits"), answer("visitor")
    assert there.status_code == (403 if who in ("florist", "planner") else 401)
    assert everything_but_the_name(there, "visits") == everything_but_the_name(nowhere, "visitor")
    for leaked in ("device", "spent", "pages", "version", "iris", "diabetes", "did you mean"):
        assert leaked not in there.text.lower(), leaked


@pytest.mark.parametrize("path", PATHS)
def test_a_model_in_scope_that_there_is_not_suggests_none_out_of_scope(asked: Asked, path: str) -> None:
    body = PATHS[path]
    filled = path.format("visit")
    answer = asked.post(filled, body(), "planner") if body else asked.get(filled, "planner")
    assert answer.status_code == 404
    assert "visits" not in answer.text
    assert asked.get("/v2/models/visit", "all").json()["error"].endswith("(did you mean 'visits'?)")


@pytest.mark.parametrize("path", [path for path, body in PATHS.items() if body is None])
def test_what_is_in_scope_is_seen(asked: Asked, path: str) -> None:
    for who in ("all", "florist", "reader"):
        assert asked.get(path.format("iris"), who).status_code == 200
    assert asked.get(path.format("iris"), "asker").status_code == 403


def test_rights_are_told_apart(asked: Asked) -> None:
    assert asked.post("/models/iris/invocations", INVOCATION, "asker").status_code == 200
    assert asked.post("/models/iris/invocations", INVOCATION, "reader").status_code == 403
    assert asked.post("/v2/models/iris/feedback", {"labels": []}, "asker").status_code == 403
    assert asked.post("/v2/models/iris/feedback", {"labels": []}, "florist").status_code == 400


@pytest.mark.parametrize("unusual", [False, True])
def test_the_log_holds_who_asked(asked: Asked, unusual: bool) -> None:
    more = {"expect": "nothing"} if unusual else {}
    answer = asked.post("/models/iris/invocations", INVOCATION, "florist", **more)
    [found] = answer.json()["prediction_ids"]
    assert asked.inside.log.find(found).caller == "florist"


def test_the_log_holds_who_asked_in_vain(asked: Asked) -> None:
    asked.post("/models/iris/invocations", {"instances": [["wide", 1, 1, 1]]}, "florist")
    segments = [*asked.keys.home.root.joinpath("log").rglob("*")]
    assert any(b"florist" in path.read_bytes() for path in segments if path.is_file())


def test_only_the_platform_can_keep_a_request_out_of_monitoring(asked: Asked) -> None:
    def logged(who: str) -> bool:
        answer = asked.post("/models/iris/invocations", INVOCATION, who, x_mlops_probe="1")
        [found] = answer.json()["prediction_ids"]
        return bool(asked.inside.log.find(found).probe)

    assert not logged("all")
    assert logged("platform")


def test_who_names_no_model_means_the_only_one_in_scope(asked: Asked) -> None:
    assert asked.post("/invocations", INVOCATION, "florist").json()["model"] == "iris"
    several = asked.post("/invocations", INVOCATION, "all")
    assert (several.status_code, "3 models are served" in several.text) == (404, True)
    assert asked.post("/invocations", INVOCATION).status_code == 401


def test_who_asks_too_much_is_told_when_to_come_again(asked: Asked) -> None:
    first = asked.post("/models/iris/invocations", INVOCATION, "slow")
    second = asked.post("/models/iris/invocations", INVOCATION, "slow")
    assert (first.status_code, second.status_code) == (200, 429)
    assert int(second.headers["retry-after"]) >= 1
    assert asked.post("/models/iris/invocations", INVOCATION, "florist").status_code == 200
    counted = asked.get("/metrics", "all").text
    assert 'mlops_gateway_denied_total{status="429"}' in counted
    assert 'mlops_gateway_requests_total{model="iris",status="429"' not in counted


def test_health_is_for_everybody_and_its_details_for_whom_they_are(asked: Asked) -> None:
    assert asked.get("/v2/health/live").status_code == 200
    for who in (None, "mlops_wrong", "asker"):
        assert asked.get("/v2/health/ready", who).json() == {"ready": True}
    assert asked.get("/ping").status_code == 200
    assert set(asked.get("/v2/health/ready", "florist").json()["models"]) == {"iris"}
    assert set(asked.get("/v2/health/ready", "all").json()["models"]) == {"diabetes", "iris", "visits"}


def test_names_of_models_are_those_in_scope(asked: Asked) -> None:
    assert asked.get("/v1/models").status_code == 401
    assert asked.get("/v1/models", "florist").json() == {"models": ["iris"]}
    assert len(asked.get("/v1/models", "all").json()["models"]) == 3


@pytest.mark.parametrize("path", ["/metrics", "/fleet", "/fleet/iris", "/fleet/visits"])
def test_the_fleet_is_for_who_may_see_all_of_it(asked: Asked, path: str) -> None:
    answers = [asked.get(path, who).status_code for who in (None, "florist", "all", "platform")]
    assert answers == [401, 403, 200, 200]


@pytest.mark.parametrize("path", ["/fleet/{}", "/fleet/{}/reports/x.html"])
def test_who_may_not_see_the_fleet_learns_from_its_pages_of_no_model(asked: Asked, path: str) -> None:
    real, made_up = (asked.get(path.format(model), "florist") for model in ("visits", "nobody"))
    assert real.status_code == made_up.status_code == 403
    assert real.text.replace("visits", "nobody") == made_up.text


def test_the_description_is_open_and_describes_no_model(asked: Asked) -> None:
    described = asked.get("/openapi.json")
    assert described.status_code == 200
    for leaked in ("iris", "visits", "sepal", "spent"):
        assert leaked not in described.text
    document = described.json()
    assert set(document["components"]["securitySchemes"]) == {"key", "bearer"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            answer = asked.client.request(method, path.replace("{model}", "iris").replace("{version}", "1"))
            assert str(answer.status_code) in operation["responses"], (method, path)
            is_open = operation.get("security", document["security"]) in (
                [],
                [{}, {"key": []}, {"bearer": []}],
            )
            assert is_open == (answer.status_code != 401), (method, path)


def test_a_problem_of_the_keys_is_told_to_who_may_see_all(asked: Asked) -> None:
    path = asked.keys.home.api_keys
    kept = path.read_bytes()
    path.write_text("{")
    asked.keys.a_second_later()
    try:
        [problem] = asked.get("/v2/health/ready", "all").json()["problems"]
        assert problem["kind"] == "access_unreadable"
        assert asked.get("/v2/health/ready", "florist").json()["problems"] == []
        assert (
            'mlops_gateway_problems{kind="access_unreadable",model=""} 1.0'
            in asked.get("/metrics", "all").text
        )
    finally:
        path.write_bytes(kept)
        asked.keys.a_second_later()


def test_a_gateway_that_is_open_to_all_says_so(gateway_in_process: Any, fleet: Any, tmp_path: Path) -> None:
    access = Keys(Home(tmp_path).prepare()).access("0.0.0.0", allow_anonymous=True)
    with gateway_in_process(fleet, tmp_path / "log", access=access) as inside:
        inside.settle()
        assert "--allow-anonymous" in inside.client.get("/v2/health/ready").json()["warnings"][0]
        answer = inside.client.post(
            "/models/iris/invocations", json=INVOCATION, headers={"x-mlops-probe": "1"}
        )
        assert not inside.log.find(answer.json()["prediction_ids"][0]).probe


@contextmanager
def closed_gateway(own_fleet: Any) -> Iterator[tuple[Keys, GatewayClient]]:
    keys = Keys(own_fleet.home)
    own_fleet.promote("m", "1")
    keys.add("first")
    with running_gateway(own_fleet.home) as client:
        yield keys, client


@pytest.mark.slow
def test_a_running_gateway_follows_its_keys_and_knows_the_platform(
    own_fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandas as pd

    with closed_gateway(own_fleet) as (keys, platform):
        row = pd.DataFrame({"x": [1.0]})
        assert platform.infer("m", row, probe=True).version == "1"
        assert platform.live()
        monkeypatch.setenv("MLOPS_HOME", str(own_fleet.home.root))
        with closing(Platform().gateway_at(platform.url)) as stage:
            assert stage.infer("m", row).version == "1"
        with closing(GatewayClient(platform.url)) as nobody:
            assert "401: show who you are" in refusal_of(nobody, row)

        key = keys.add("somebody", "m")
        with closing(GatewayClient(platform.url, key)) as somebody:
            assert any(refusal_of(somebody, row) is None for _ in range(5000))
            change_keys(keys.home.api_keys, lambda file: file.revoking("somebody"))
            refusals = (refusal_of(somebody, row) for _ in range(5000))
            assert "unknown, has ended or was revoked" in next(filter(None, refusals))
        with httpx.Client(base_url=platform.url, trust_env=False) as http:
            assert http.get("/v2/health/ready").json() == {"ready": True}


@pytest.mark.slow
def test_a_running_gateway_fetches_its_providers_keys(
    own_fleet: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_fleet.promote("m", "1")
    body = {"instances": [[1.0]]}
    with provider(key_set(public_jwk("ES256", "k1"))) as running:
        for name, value in (("JWKS", running.url), ("JWT_ISSUER", ISSUER), ("JWT_AUDIENCE", AUDIENCE)):
            monkeypatch.setenv(f"MLOPS_{name}", value)
        with running_gateway(own_fleet.home) as platform:
            sent = {"authorization": f"Bearer {token(mlops_models=['m'])}"}
            with httpx.Client(base_url=platform.url, trust_env=False) as http:
                answers = (http.post("/models/m/invocations", json=body, headers=sent) for _ in range(5000))
                answer = next(answer for answer in answers if answer.status_code != 503)
                assert answer.status_code == 200, answer.text
                assert http.post("/models/m/invocations", json=body).status_code == 401
            [found] = answer.json()["prediction_ids"]
        assert PredictionLog(own_fleet.home.prediction_log).find(found).caller == "jwt:reader"
        assert running.asked == 1


def refusal_of(client: GatewayClient, row: Any) -> str | None:
    try:
        client.infer("m", row)
    except EndpointError as error:
        return str(error)
    return None
