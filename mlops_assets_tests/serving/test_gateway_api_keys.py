"""The file of API keys: it holds no key, and says what it is to say or is refused."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import AccessError
from mlops_assets.serving.api_keys import (
    KeyFile,
    KeyOwner,
    StoredKey,
    change_keys,
    digest_of,
    new_key,
    parse_keys,
    read_keys,
)
from mlops_assets.serving.callers import Limits
from mlops_assets_tests.together import together

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def owner(name: str = "booking", lifetime: timedelta | None = None) -> tuple[str, KeyOwner]:
    key, stored = new_key(NOW, lifetime)
    return key, KeyOwner(name, ("flight_delay",), ("predict", "see"), (stored,))


def add_one(given: tuple[str, str]) -> None:
    path, name = given
    change_keys(Path(path), lambda file: file.adding(owner(name)[1]))


def test_the_file_holds_no_key_and_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "api_keys.json"
    key, somebody = owner()
    change_keys(path, lambda file: file.adding(somebody))

    assert len(key) > 43
    assert key.encode() not in path.read_bytes()
    assert digest_of(key.encode()).hex().encode() in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_keys(path).callers == (somebody,)


def test_no_two_keys_are_alike() -> None:
    assert len({new_key(NOW, None)[0] for _ in range(1000)}) == 1000


def test_a_key_is_known_by_its_digest_with_scope_limits_and_end() -> None:
    key, somebody = owner(lifetime=DAY)
    [(digest, caller)] = KeyFile(callers=(somebody,)).callers_by_digest(Limits(concurrent=3))

    assert digest == digest_of(key.encode())
    assert (caller.name, caller.models, caller.rights) == ("booking", {"flight_delay"}, {"predict", "see"})
    assert caller.until == (NOW + DAY).timestamp()
    assert caller.limits == Limits(concurrent=3)  # the default, having none of its own


def test_rotating_leaves_the_old_key_for_a_while_and_no_longer_than_it_had() -> None:
    _, somebody = owner(lifetime=3 * DAY)
    file = KeyFile(callers=(somebody, owner("other")[1]))
    _, second = new_key(NOW + DAY, None)
    _, third = new_key(NOW + 2 * DAY, None)

    once = file.rotating("booking", second, 7 * DAY)
    assert [key.expires for key in once.owner("booking").keys] == [NOW + 3 * DAY, None]
    twice = once.rotating("booking", third, DAY / 2)
    assert [key.expires for key in twice.owner("booking").keys] == [
        *(NOW + 2.5 * DAY, NOW + 2.5 * DAY),
        None,
    ]
    late = twice.rotating("booking", new_key(NOW + 9 * DAY, None)[1], DAY)
    assert len(late.owner("booking").keys) == 2  # those that have ended are gone
    assert late.owner("other") is file.owner("other")


def test_who_is_revoked_has_no_key(tmp_path: Path) -> None:
    file = KeyFile(callers=(owner()[1], owner("other")[1])).revoking("booking")

    assert [each.name for each in file.callers] == ["other"]
    with pytest.raises(AccessError, match="no caller 'booking' has a key; who has: other"):
        file.owner("booking")


def test_a_caller_is_added_once() -> None:
    file = KeyFile(callers=(owner()[1],))
    with pytest.raises(AccessError, match="booking has a key already"):
        file.adding(owner()[1])


def test_nobody_is_lost_when_many_are_added_at_once(tmp_path: Path) -> None:
    path = tmp_path / "api_keys.json"
    names = [f"caller{number}" for number in range(4)]
    together(add_one, [(str(path), name) for name in names])
    assert sorted(each.name for each in read_keys(path).callers) == names


def stated(**changes: Any) -> dict[str, Any]:
    key = {"id": "a", "digest": "0" * 64, "created": "2026-11-22T09:00:00Z", "expires": None}
    known = {"name": "booking", "models": ["*"], "rights": ["predict"], "keys": [key]}
    return {**known, **changes}


WRONG: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "is no file of API keys"),
    "another version": ({"version": 2}, "version"),
    "a slip in a name": ({"version": 1, "caller": []}, "unknown field `caller`"),
    "a right there is not": ([stated(rights=["probe"])], "callers[0].rights[0]"),
    "no right": ([stated(rights=[])], "callers[0].rights"),
    "no model": ([stated(models=[])], "callers[0].models"),
    "a limit of nothing": ([stated(limits={"requests_per_second": 0})], "requests_per_second"),
    "a slip in a limit": ([stated(limits={"per_second": 1})], "per_second"),
    "a negative burst": ([stated(limits={"burst": -1})], "burst"),
    "a key in place of its digest": (
        [stated(keys=[{"id": "a", "digest": "mlops_x", "created": ""}])],
        "digest",
    ),
    "a time without a zone": (
        [stated(keys=[{"id": "a", "digest": "0" * 64, "created": "2026-11-22T09:00:00"}])],
        "created",
    ),
    "a caller twice": ([stated(), stated(keys=[{**stated()["keys"][0], "digest": "1" * 64}])], "one caller"),
    "a key twice": ([stated(), stated(name="other")], "one key stands there twice"),
    "the platform": ([stated(name="platform")], "'platform' is the platform itself"),
    "somebody with a token": ([stated(name="jwt:somebody")], "name"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_named(case: str) -> None:
    content, said = WRONG[case]
    if isinstance(content, list):
        content = {"version": 1, "callers": content}
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    with pytest.raises(AccessError) as refused:
        parse_keys(content, Path("keys.json"))
    assert said in str(refused.value)
    assert "keys.json" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_broken_file_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "api_keys.json"
    path.write_text("{")
    with pytest.raises(AccessError):
        change_keys(path, lambda file: file)
    assert path.read_text() == "{"


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="cannot read"):
        read_keys(tmp_path)
    assert read_keys(tmp_path / "none") == KeyFile()
    assert isinstance(owner()[1].keys[0], StoredKey)
