"""Known vulnerabilities: who is affected, by OSV's rules, and files that cannot be used."""

# ruff: noqa: E501  (tables: one case a line)

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from mlops_assets.errors import SpecError
from mlops_assets.governance.advisories import Affected, is_affected, read_advisories


def record(id: str = "PYSEC-1", name: str = "Paper_Less", **affected: Any) -> dict[str, Any]:
    entry = {"package": {"ecosystem": "PyPI", "name": name}, **affected}
    return {"id": id, "modified": "2024-05-06T07:08:09Z", "summary": "It burns.", "affected": [entry]}


def events(*pairs: tuple[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    return {"ranges": [{"type": kind, "events": [{name: at} for name, at in pairs]}]}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(value: Any) -> Path:
        file = tmp_path / "osv.json"
        file.write_text(value if isinstance(value, str) else json.dumps(value))
        return file

    return write


UNTIL_2 = events(("introduced", "0"), ("fixed", "2.0"))


@pytest.mark.parametrize(
    ("affected", "inside", "outside"),
    [
        (UNTIL_2, ["0", "0.dev0", "1.9", "2.0rc1", "1.9+cpu"], ["2.0", "2.0+cpu", "2.0.post1", "3"]),
        (events(("introduced", "1.0"), ("last_affected", "1.5")), ["1.0", "1.5", "1.5+x"], ["0.9", "1.0rc1", "1.6"]),
        (events(("introduced", "1"), ("fixed", "2"), ("introduced", "3"), ("fixed", "3.1")), ["1", "3.0"], ["2", "2.5", "3.1"]),
        (events(("fixed", "2"), ("introduced", "1")), ["1", "1.9"], ["0", "2"]),
        (events(("introduced", "0"), ("limit", "2")), ["1"], ["2", "9"]),
        (events(("introduced", "0"), ("limit", "*")), ["1", "999"], []),
        ({"versions": ["1.0", "1.2"]}, ["1.0", "1.0.0", "1.2+local"], ["1.1"]),
        ({"versions": ["1.0"], **events(("introduced", "3"))}, ["1.0", "3", "99"], ["2"]),
        (events(("introduced", "0"), kind="GIT"), [], ["1.0"]),
        ({"versions": ["2004-beta"]}, ["2004-beta"], ["1.0"]),
        (UNTIL_2, ["not-a-version"], []),  # nobody can tell, so that it counts as affected
        (events(("introduced", "early"), ("fixed", "2")), ["1", "3"], []),
    ],
)  # fmt: skip
def test_versions_are_affected_by_the_schemas_rules(
    affected: Any, inside: list[str], outside: list[str]
) -> None:
    entry = Affected.model_validate(affected)
    assert [is_affected(version, entry) for version in inside] == [True] * len(inside)
    assert [is_affected(version, entry) for version in outside] == [False] * len(outside)


versions = st.builds(
    "{}.{}{}".format, st.integers(0, 5), st.integers(0, 3), st.sampled_from(["", "rc1", ".post1"])
)


@given(at=versions, ends=st.lists(versions, unique_by=Version, min_size=2, max_size=6), order=st.randoms())
def test_inside_is_what_lies_between_a_begin_and_the_next_fix(at: str, ends: list[str], order: Any) -> None:
    ends = sorted(ends, key=Version)
    kinds = ["introduced" if index % 2 == 0 else "fixed" for index in range(len(ends))]
    pairs = list(zip(kinds, ends, strict=True))
    order.shuffle(pairs)
    begun = sum(Version(at) >= Version(end) for end in ends)
    assert is_affected(at, Affected.model_validate(events(*pairs))) is (begun % 2 == 1)


@pytest.mark.parametrize(
    "form", [lambda r: r, lambda r: [r], lambda r: {"vulns": [r]}], ids=["one", "list", "answer"]
)
def test_one_record_a_list_and_an_answer_of_osv_are_read(write: Any, form: Any) -> None:
    known = read_advisories(write(form(record(**UNTIL_2))))
    (found,) = known.of("paper-less", "1.0")
    assert (found.id, found.fixed_in, found.summary) == ("PYSEC-1", "2.0", "It burns.")
    assert known.of("paper-less", "2.0") == ()
    assert known.of("paper", "1.0") == ()
    assert known.facts()["count"] == 1
    assert known.facts()["newest"] == "2024-05-06"


def test_one_flaw_told_by_two_databases_is_told_once(write: Any) -> None:
    first = record("PYSEC-1", **UNTIL_2) | {"aliases": ["CVE-1"]}
    again = record("GHSA-1", **UNTIL_2) | {"aliases": ["CVE-1"]}
    other = record("GHSA-2", **UNTIL_2) | {"database_specific": {"severity": "HIGH"}}
    found = read_advisories(write([first, again, other])).of("paper-less", "1.0")
    assert [(a.id, a.severity) for a in found] == [("PYSEC-1", ""), ("GHSA-2", "HIGH")]


def test_the_next_fixed_version_is_named_and_not_that_of_an_older_branch(write: Any) -> None:
    branches = events(("introduced", "0"), ("fixed", "1.9"), ("introduced", "2"), ("fixed", "2.10"))
    known = read_advisories(write([record(**branches), record("PYSEC-2", **events(("introduced", "2")))]))
    assert [a.fixed_in for a in known.of("paper-less", "2.9")] == ["2.10", None]


def test_what_was_withdrawn_or_is_about_another_ecosystem_does_not_count(write: Any) -> None:
    other = record(**UNTIL_2)
    other["affected"][0]["package"]["ecosystem"] = "npm"
    withdrawn = record("PYSEC-2", **UNTIL_2) | {"withdrawn": "2024-01-01T00:00:00Z"}
    known = read_advisories(write([other, withdrawn, record("PYSEC-3", name="else", **UNTIL_2)]))
    assert known.facts()["count"] == 1
    assert known.of("paper-less", "1.0") == ()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "it is not JSON"),
        ("<html>Not found</html>", "it is not JSON"),
        ([], "it holds no advisory on a package of the ecosystem PyPI"),
        ({"message": "rate limit"}, "record 1 is no advisory: id: Field required"),
        ([record(**UNTIL_2), 7], "record 2 is no advisory: Input should be"),
        ([{"id": "A", "affected": 7}], "record 1 is no advisory: affected: Input should be a valid tuple"),
        ([record(ranges=[{"type": "ECOSYSTEM"}])], "affected.0.ranges.0.events: Field required"),
        ([record(name=None, **UNTIL_2)], "affected.0.package.name: Input should be a valid string"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_with_the_reason(write: Any, content: Any, reason: str) -> None:
    file = write(content)
    with pytest.raises(SpecError) as raised:
        read_advisories(file)
    assert str(raised.value).startswith(f"{file}: ")
    assert reason in str(raised.value)
    assert "put OSV's records for PyPI there" in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"osv\.json: cannot be used .*No such file"):
        read_advisories(tmp_path / "osv.json")
