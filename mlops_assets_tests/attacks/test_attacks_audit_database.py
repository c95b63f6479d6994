"""What somebody can try who may write to the audit database: edit, delete, re-order, slip in, put back.

Two things hold: whatever the entries say, nobody serves by them; and the verification says that they are not
as they were written.
"""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest

from mlops_assets.digests import canonical_json, of_bytes
from mlops_assets.errors import StorageError
from mlops_assets.governance.audit_entry import link
from mlops_assets.registry.proof import Refused
from mlops_assets_tests.attacks.production import Watched, some

Rows = list[dict[str, Any]]


def _rows(watched: Watched) -> Rows:
    with closing(sqlite3.connect(watched.production.home.root / "fleet.db")) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM audit_chain ORDER BY seq")]


def _write(watched: Watched, rows: Rows) -> None:
    """Have the table hold these rows and no others."""
    with closing(sqlite3.connect(watched.production.home.root / "fleet.db")) as database, database:
        database.execute("DELETE FROM audit_chain")
        for row in rows:
            database.execute("INSERT INTO audit_chain VALUES (:seq, :action, :model, :body, :hash)", row)


def _chained(rows: Rows) -> Rows:
    """Return the rows with their numbers and hashes computed anew, as somebody would who knows how."""
    previous, made = "0" * 64, []
    for seq, row in enumerate(rows, start=1):
        body = json.loads(row["body"]) | {"seq": seq, "previous": previous}
        text = canonical_json({name: value for name, value in body.items() if name != "hash"}).decode()
        previous = link(previous, of_bytes(text.encode()))
        made.append({**row, "seq": seq, "action": body["action"], "body": text, "hash": previous})
    return made


def _forged(watched: Watched, action: str, model: str = "m", **detail: Any) -> None:
    """Add an entry that the chain's hashes agree with."""
    rows = _rows(watched)
    like = json.loads(rows[-1]["body"])
    body = {**like, "action": action, "model": model, "detail": detail, "reason": "", "actor": "deployer"}
    _write(watched, _chained([*rows, {"action": action, "model": model, "body": json.dumps(body)}]))


def _moves(watched: Watched, model: str = "m") -> Rows:
    return [r for r in _rows(watched) if r["model"] == model and r["action"] in ("promote", "rollback")]


# --- entries that are there ---------------------------------------------------------------------------------


def test_an_entry_edited(watched: Watched) -> None:
    rows = _rows(watched)
    for row in rows:
        row["body"] = row["body"].replace('"actor":"deployer"', '"actor":"mallory"')
    _write(watched, rows)
    watched.holds(None, audit="entry 1 is not as it was written")


def test_an_entry_edited_and_its_hash_computed_anew(watched: Watched) -> None:
    rows = _rows(watched)
    rows[0]["body"] = rows[0]["body"].replace('"actor":"deployer"', '"actor":"mallory"')
    rows[0]["hash"] = link("0" * 64, of_bytes(rows[0]["body"].encode()))
    _write(watched, rows)
    watched.holds(None, audit="entry 2 was not written after the entry that stands before it")


def test_an_entry_edited_and_all_hashes_computed_anew(watched: Watched) -> None:
    rows = _rows(watched)
    rows[0]["body"] = rows[0]["body"].replace('"actor":"deployer"', '"actor":"mallory"')
    _write(watched, _chained(rows))
    watched.holds(None, audit="is not the one that was signed on")


def test_the_release_of_one_version_put_into_the_entry_of_another(watched: Watched) -> None:
    rows = _rows(watched)
    first, second = (json.loads(r["body"]) for r in _moves(watched))
    body = {**second, "detail": first["detail"]}
    rows = [{**r, "body": json.dumps(body)} if r["seq"] == second["seq"] else r for r in rows]
    _write(watched, _chained(rows))
    watched.holds(None, audit="is not the one that was signed on")


def test_the_columns_beside_the_text_altered(watched: Watched) -> None:
    watched.production.promote("1", "n")
    rows = _rows(watched)
    for row in rows:
        row["action"], row["model"] = "promote", "m"
    _write(watched, rows)
    watched.holds(None, audit="shows model 'm', but was written with 'n'")


@pytest.mark.parametrize("body", some("", "{}", "null", '{"seq": 1}', b"\xff\xfe", "[" * 50_000), ids=len)
def test_every_entry_made_unreadable(watched: Watched, body: Any) -> None:
    _write(watched, [{**row, "body": body} for row in _rows(watched)])
    watched.holds(None, audit="entry 1 ")
    watched.promotes()


# --- entries that are gone ----------------------------------------------------------------------------------


def test_the_newest_promotion_deleted(watched: Watched) -> None:
    watched.production.promote("1", "n")
    newest = _moves(watched)[-1]["seq"]
    _write(watched, [row for row in _rows(watched) if row["seq"] != newest])
    watched.holds(None, audit=f"entry {newest} is missing")
    watched.promotes()


def test_an_entry_deleted_and_all_hashes_computed_anew(watched: Watched) -> None:
    newest = _moves(watched)[-1]["seq"]
    _write(watched, _chained([row for row in _rows(watched) if row["seq"] != newest]))
    watched.holds(None, audit="its end was cut off")
    watched.promotes()


def test_the_end_cut_off(watched: Watched) -> None:
    _write(watched, _rows(watched)[:1])
    watched.holds(None, audit="its end was cut off")
    watched.promotes()


def test_every_entry_deleted(watched: Watched) -> None:
    _write(watched, [])
    watched.holds(None, audit="its end was cut off")
    watched.promotes()


def test_every_entry_deleted_and_the_alias_moved_back(watched: Watched) -> None:
    """Somebody with rights in both: a gateway that was there remembers."""
    _write(watched, [])
    watched.production.crown("1")
    assert watched.answer() == ("2", 2.0)
    with watched.production.gateway() as again:
        assert watched.answer(again) == ("2", 2.0)
        assert "was followed by release" in watched.incidents(again)["out_of_band"]
    assert "its end was cut off" in watched.production.findings


def test_entries_in_another_order(watched: Watched) -> None:
    rows = _rows(watched)
    _write(watched, [{**row, "seq": len(rows) - place} for place, row in enumerate(rows)])
    watched.holds(None, audit="shows seq")


def test_entries_in_another_order_with_all_hashes_computed_anew(watched: Watched) -> None:
    _write(watched, _chained(_rows(watched)[::-1]))
    watched.holds(None, audit="is not the one that was signed on")


# --- entries that were slipped in ---------------------------------------------------------------------------


def test_a_promotion_forged(watched: Watched) -> None:
    _forged(watched, "promote", version="3", serial=10**15, release="{}")
    watched.holds(None)
    watched.promotes()


def test_a_promotion_forged_and_the_alias_moved_to_it(watched: Watched) -> None:
    _forged(watched, "promote", version="3", serial=10**15, release="{}")
    watched.production.crown("3")
    watched.holds("out_of_band", "never released")


def test_an_old_promotion_entered_again(watched: Watched) -> None:
    _forged(watched, "promote", **json.loads(_moves(watched)[0]["body"])["detail"])
    watched.holds(None)
    watched.promotes()


def test_an_old_promotion_entered_again_as_if_it_were_the_newest_and_the_alias_moved_back(
    watched: Watched,
) -> None:
    detail = json.loads(_moves(watched)[0]["body"])["detail"]
    _forged(watched, "promote", **{**detail, "serial": 10**15})
    watched.production.crown("1")
    watched.holds("out_of_band", "was followed by release")


def test_the_promotion_of_another_model_entered_for_this_one(watched: Watched) -> None:
    watched.production.promote("1", "n")
    _forged(watched, "promote", **json.loads(_moves(watched, "n")[-1]["body"])["detail"])
    watched.holds(None)
    watched.promotes()


def test_a_number_so_large_that_no_entry_can_follow(watched: Watched) -> None:
    backup = _rows(watched)
    _write(watched, [*backup[:-1], {**backup[-1], "seq": 2**63 - 1}])
    watched.holds(None, audit="are missing")
    with pytest.raises(StorageError, match="audit chain: "):
        watched.production.promote("3")
    _write(watched, backup)
    watched.production.promote("3")
    watched.holds(None, champion=("3", 3.0))


# --- what people decided ------------------------------------------------------------------------------------


def _high(watched: Watched) -> str:
    """Register a version of high risk, which two people have to approve."""
    return watched.production.add(5.0, risk="high").version


def _refused(watched: Watched, version: str, said: str) -> None:
    with pytest.raises(Refused, match=said):
        watched.production.promote(version)
    watched.production.crown(version)
    assert watched.answer() == ("2", 2.0)


def test_a_rejection_deleted(watched: Watched) -> None:
    version = _high(watched)
    for name, decision in (("Ada", "approve"), ("Grace", "approve"), ("Grace", "reject")):
        watched.production.decisions.file(watched.production.decided(name, version, decision))  # type: ignore
    _refused(watched, version, "rejected by Grace")
    _write(watched, [row for row in _rows(watched) if row["action"] != "reject"])
    _refused(watched, version, "who consented cannot be told, because the audit chain is not as it was")


def test_a_rejection_deleted_and_all_hashes_computed_anew(watched: Watched) -> None:
    version = _high(watched)
    for name, decision in (("Ada", "approve"), ("Grace", "approve"), ("Grace", "reject")):
        watched.production.decisions.file(watched.production.decided(name, version, decision))  # type: ignore
    _write(watched, _chained([row for row in _rows(watched) if row["action"] != "reject"]))
    _refused(watched, version, "who consented cannot be told")


def test_a_rejection_made_unreadable(watched: Watched) -> None:
    version = _high(watched)
    for name, decision in (("Ada", "approve"), ("Grace", "approve"), ("Grace", "reject")):
        watched.production.decisions.file(watched.production.decided(name, version, decision))  # type: ignore
    rows = _rows(watched)
    _write(watched, [{**row, "body": "{}"} if row["action"] == "reject" else row for row in rows])
    _refused(watched, version, "who consented cannot be told")


def _unsigned(watched: Watched, version: str) -> dict[str, Any]:
    signed = watched.production.decided("Ada", version).model_dump(mode="json")
    return {**signed, "signature": ""}


def _of_a_stranger(watched: Watched, version: str) -> dict[str, Any]:
    return watched.production.decided("Mallory", version).model_dump(mode="json")


def _of_the_last_version(watched: Watched, version: str) -> dict[str, Any]:
    return watched.production.decided("Ada", "2").model_dump(mode="json")


def _moved_to_this_version(watched: Watched, version: str) -> dict[str, Any]:
    this = watched.production.decided("Ada", version).model_dump(mode="json")
    last = watched.production.decided("Ada", "2").model_dump(mode="json")
    return {**last, "decision": this["decision"]}


def _nonsense(watched: Watched, version: str) -> Any:
    return ["Ada", "says", "yes"]


@pytest.mark.parametrize(
    "forge", [_unsigned, _of_a_stranger, _of_the_last_version, _moved_to_this_version, _nonsense]
)
def test_an_approval_forged(watched: Watched, forge: Callable[[Watched, str], Any]) -> None:
    version = _high(watched)
    watched.production.decisions.file(watched.production.decided("Grace", version))
    for _ in range(2):
        _forged(watched, "approve", version=version, signed=forge(watched, version))
    _refused(watched, version, "it is not approved: 1 of 2 approvals")


def test_decisions_that_are_none_keep_no_other_model_from_being_promoted(watched: Watched) -> None:
    for detail in ({}, {"signed": None}, {"signed": {}, "version": 3}, {"version": []}):
        for action in ("approve", "reject", "register", "compare", "promote"):
            _forged(watched, action, **detail)
    watched.holds(None)
    watched.promotes()


# --- the whole database -------------------------------------------------------------------------------------


def test_the_database_put_back_to_an_earlier_time(watched: Watched) -> None:
    earlier = _rows(watched)
    version = watched.production.add(5.0).version
    watched.production.promote(version)
    assert watched.answer() == (version, 5.0)
    _write(watched, earlier)
    watched.holds(None, champion=(version, 5.0), audit="its end was cut off")
    watched.promotes(6.0)


def test_the_checkpoints_removed(watched: Watched) -> None:
    watched.production.audit.checkpoints.path.unlink()
    watched.holds(None, audit="no checkpoint in")
    watched.production.promote("3")
    assert "no checkpoint in" in watched.production.findings, "an honest entry does not mend it"


def test_the_checkpoints_forged(watched: Watched) -> None:
    file = watched.production.audit.checkpoints.path
    file.write_text(file.read_text().replace('"length":', '"length":1'))
    watched.holds(None, audit="no checkpoint that the platform key signed")


def test_a_rollback_goes_where_it_was_signed_to_go_whatever_the_entries_say(watched: Watched) -> None:
    watched.production.promote("3")
    rows = _rows(watched)
    _write(watched, [{**r, "body": r["body"].replace('"previous":"2"', '"previous":"1"')} for r in rows])
    watched.production.roll_back()
    assert watched.answer() == ("2", 2.0)
