"""``mlops-assets keys``: keys are shown once, count as they were made, and every change is on record."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.home import Home
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.serving.api_keys import digest_of, read_keys
from mlops_assets_tests.lifecycles import Clinic


@pytest.fixture
def keys(warm: Any, home: Path, tmp_path: Path) -> Any:
    def run(*argv: object, **env: str) -> Any:
        return warm.cli("keys", *argv, cwd=tmp_path, home=home, **env)

    return run


def test_a_key_is_printed_alone_and_once(keys: Any, home: Path) -> None:
    added = keys("add", "booking", "--model", "a", "--model", "b", "--expires", "90d")
    assert added.code == 0, added.err
    key = added.out.strip()
    [owner] = read_keys(home / "api_keys.json").callers
    assert owner.keys[0].digest == digest_of(key.encode()).hex()
    assert (owner.models, owner.lifetime) == (("a", "b"), timedelta(days=90))
    assert "it is shown this once" in added.err
    assert key not in added.err

    listed = keys("list")
    assert listed.code == 0
    assert key not in listed.out + keys("list", "--json").out
    assert all(
        words in listed.out for words in ("booking", "a, b", "predict, feedback, see", owner.keys[0].id)
    )


def test_scope_rights_and_limits_are_kept_as_stated(keys: Any) -> None:
    added = keys(
        *("add", "web", "--right", "predict", "--requests-per-second", 2.5, "--burst", 9, "--concurrent", 3),
        "--json",
    )
    assert added.code == 0, added.err
    [told] = keys("list", "--json").json["callers"]
    assert told["models"] == ["*"]
    assert told["rights"] == ["predict"]
    assert told["limits"] == {"requests_per_second": 2.5, "burst": 9, "concurrent": 3}
    [key] = told["keys"]
    assert (key["id"], key["counts"]) == (added.json["id"], True)
    assert "2.5 a second, 9 at once, 3 at a time" in keys("list").out


def test_an_exchanged_key_has_an_end_and_the_new_one_lasts_as_long(keys: Any) -> None:
    keys("add", "booking", "--expires", "90d")
    rotated = keys("rotate", "booking", "--overlap", "2h", "--json")
    assert rotated.code == 0, rotated.err
    [told] = keys("list", "--json").json["callers"]
    old, new = told["keys"]
    assert new["id"] == rotated.json["id"]
    made = datetime.fromisoformat(new["created"])
    assert datetime.fromisoformat(old["expires"]) == made + timedelta(hours=2)
    assert datetime.fromisoformat(new["expires"]) == made + timedelta(days=90)


def test_every_change_is_on_record_with_each_model_in_scope(
    keys: Any, warm: Any, home: Path, tmp_path: Path
) -> None:
    key = keys("add", "booking", "--model", "a", "--model", "b").out.strip()
    keys("rotate", "booking")
    assert keys("revoke", "booking", "--reason", "found in a repository").code == 0

    told = warm.cli("audit", "--verify", "--json", cwd=tmp_path, home=home).json
    actions = [(entry["action"], entry["model"]) for entry in told["entries"]]
    assert actions == [(f"key_{done}", model) for done in ("added", "rotated", "revoked") for model in "ab"]
    assert {entry["detail"]["caller"] for entry in told["entries"]} == {"booking"}
    assert told["entries"][-1]["reason"] == "found in a repository"
    assert told["problems"] == []
    assert key not in json.dumps(told)
    assert digest_of(key.encode()).hex() not in json.dumps(told)


def test_who_is_revoked_is_no_longer_listed(keys: Any, home: Path) -> None:
    keys("add", "booking")
    revoked = keys("revoke", "booking", "--json")
    assert revoked.code == 0, revoked.err
    assert keys("list", "--json").json == {"callers": []}
    assert (home / "api_keys.json").exists()  # so that a gateway stays closed


def test_keys_are_where_they_are_said_to_be(keys: Any, home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "secret" / "callers.json"
    assert keys("add", "booking", MLOPS_API_KEYS=str(elsewhere)).code == 0
    assert [owner.name for owner in read_keys(elsewhere).callers] == ["booking"]
    assert not (home / "api_keys.json").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["add", "no name"], "$.name"),
        (["add", "x", "--right", "everything"], "$.rights[0]"),
        (["add", "x", "--model", ""], "$.models[0]"),
        (["add", "x", "--expires", "soon"], "--expires: 'soon' is not a duration"),
        (["add", "x", "--requests-per-second", "0"], "$.limits.requests_per_second"),
        (["add", "platform"], "'platform' is the platform itself"),
        (["add", "booking"], "booking has a key already"),
        (["rotate", "booking", "--overlap", "-1d"], "--overlap: '-1d' is not a duration"),
        (["rotate", "nobody"], "no caller 'nobody' has a key; who has: booking"),
        (["revoke", "nobody"], "no caller 'nobody' has a key; who has: booking"),
    ],
)
def test_what_is_refused_changes_nothing_and_is_on_no_record(
    keys: Any, warm: Any, home: Path, tmp_path: Path, argv: list[str], said: str
) -> None:
    assert keys("add", "booking").code == 0
    before = (home / "api_keys.json").read_bytes()
    ended = keys(*argv)
    assert (ended.code, ended.out) == (2, "")
    [line] = ended.err.splitlines()
    assert said in line
    assert (home / "api_keys.json").read_bytes() == before
    assert len(warm.cli("audit", "--json", cwd=tmp_path, home=home).json["entries"]) == 1


def test_a_broken_file_is_named_and_left_alone(keys: Any, home: Path) -> None:
    home.mkdir(exist_ok=True)
    (home / "api_keys.json").write_text("{")
    for argv in (["list"], ["add", "x"], ["rotate", "x"], ["revoke", "x"]):
        ended = keys(*argv)
        assert ended.code == 2
        assert f"{home / 'api_keys.json'} is no file of API keys" in ended.err
    assert (home / "api_keys.json").read_text() == "{"


def test_a_gateway_is_not_opened_to_others_by_forgetting(warm: Any, home: Path, tmp_path: Path) -> None:
    ended = warm.cli("serve", "--host", "0.0.0.0", "--port", 0, cwd=tmp_path, home=home)
    assert ended.code == 2
    assert "keys add" in ended.err
    assert "--allow-anonymous" in ended.err


@pytest.mark.slow
def test_a_lifecycle_goes_its_way_through_a_gateway_that_knows_only_other_callers(
    warm: Any, project: Any, home: Path
) -> None:
    assert warm.cli("keys", "add", "booking", "--model", "tumour", cwd=project.root, home=home).code == 0
    ended = warm.cli("run", "tumour", "--as-of", project.as_of, cwd=project.root, home=home)
    assert ended.code == 0, ended.out + ended.err
    log = PredictionLog(Home(home).prediction_log)
    # What the stage asked was believed to be the platform's, so none of it is traffic.
    assert log.window("tumour", datetime.min, datetime.max, datetime.max).empty
    segments = [path for path in Home(home).prediction_log.rglob("*") if path.is_file()]
    assert any(b"platform" in path.read_bytes() for path in segments)


def test_explain_tells_who_asked(warm: Any, serving_clinic: Clinic) -> None:
    serving_clinic.serve_some(rows=1, start="2024-02-05")
    log = PredictionLog(serving_clinic.home.prediction_log)
    found = log.window("tumour", datetime.min, datetime.max, datetime.max)
    shown = warm.cli(
        "explain", found["prediction_id"].iloc[0], cwd=serving_clinic.project.root, home=serving_clinic.root
    )
    assert shown.code == 0, shown.err
    assert " to platform at " in shown.out
