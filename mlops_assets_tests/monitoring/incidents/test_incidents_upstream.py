"""The same source in two specs is known as the same, and who hangs on what follows from the specs."""

from pathlib import Path
from typing import Any

import pytest

from mlops_assets.monitoring.incidents.alarm import Upstream
from mlops_assets.monitoring.incidents.upstream import Lineage, WatchedModel, source_identity
from mlops_assets.specs.data_spec import Data
from mlops_assets_tests.alarmed_fleet import DAY, START
from mlops_assets_tests.conftest import MakeSpec

ROOT = Path("/project")


def identity(folder: str = "a", **source: Any) -> str:
    data = Data(source=source, time_column="t", target="y", features=("x",))  # type: ignore[arg-type]
    return source_identity(data.source, ROOT / "acme" / "defs" / folder, ROOT)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"type": "csv", "path": "../data/x.csv"}, {"type": "csv", "path": "/project/acme/defs/data/x.csv"}),
        ({"type": "csv", "path": "../x.parquet"}, {"type": "parquet", "path": "../x.parquet"}),
        ({"type": "sql", "url_env": "W", "table": "t"}, {"type": "sql", "url_env": "W", "table": "t"}),
        (
            {"type": "sql", "url_env": "W", "query": "SELECT *\n  FROM t"},
            {"type": "sql", "url_env": "W", "query": "SELECT * FROM t"},
        ),
        ({"type": "python", "function": "a.b:load"}, {"type": "python", "function": "a.b:load"}),
    ],
)
def test_the_same_source_is_the_same_from_any_folder(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert identity("a", **one) == identity("b", **other)


def test_other_sources_are_others_and_have_names_that_people_can_read() -> None:
    names = [
        identity(type="csv", path="x.csv"),
        identity("b", type="csv", path="x.csv"),
        identity(type="csv", path="/elsewhere/x.csv"),
        identity(type="sql", url_env="W", table="t"),
        identity(type="sql", url_env="V", table="t"),
        identity(type="sql", url="sqlite:///w.db", table="t"),
        identity(type="python", function="a.b:load"),
    ]
    assert names == [
        "file acme/defs/a/x.csv",
        "file acme/defs/b/x.csv",
        "file /elsewhere/x.csv",
        "table t in $W",
        "table t in $V",
        "table t in sqlite:///w.db",
        "function a.b:load",
    ]


def test_lineage_comes_of_the_specs(make_spec: MakeSpec, tmp_path: Path) -> None:
    one, two = make_spec(name="one"), make_spec(name="two", data={"target": "z", "features": ["b", "y"]})
    watched = [
        WatchedModel.of(one, tmp_path / "one", tmp_path, judged_until=START),
        WatchedModel.of(two, tmp_path / "two", tmp_path),
    ]
    lineage, source = Lineage(watched), "function nowhere:load"
    assert lineage.readers(source) == {"one", "two"}
    assert lineage.readers(source, "a") == {"one"}
    assert lineage.readers(source, "b") == {"one", "two"}
    assert lineage.readers(source, "nothing") == frozenset()
    assert lineage.labelled_by(source) == {"one", "two"}
    assert lineage.labelled_by(source, "z") == {"two"}
    assert lineage.labels_of("one") == Upstream(source=source, column="y")
    assert watched[0].upstream_of("a") == (Upstream(source=source, column="a"),)
    assert lineage.judged_since("one", START - DAY)
    assert not lineage.judged_since("one", START)
    assert not lineage.judged_since("two", START - DAY)


def test_a_batch_input_is_a_source_as_well(make_spec: MakeSpec, tmp_path: Path) -> None:
    spec = make_spec(name="scored", batch={"input": {"type": "csv", "path": "in.csv"}, "output": "out.csv"})
    watched = WatchedModel.of(spec, tmp_path / "defs", tmp_path)
    assert watched.sources == ("file defs/in.csv", "function nowhere:load")
    assert len(watched.upstream_of("a")) == 2
