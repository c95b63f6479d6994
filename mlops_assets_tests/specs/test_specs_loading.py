"""Every problem of every file at once, each with its line and the nearest right name."""

# ruff: noqa: E501  (the table of mistakes: one a line)

from pathlib import Path

import pytest

from mlops_assets.errors import SpecError
from mlops_assets.specs.loading import load_fleet

SPEC = """\
type: mlops_assets.ModelLifecycle
attributes:
  name: arrivals
  owner: team:ops
  risk: minimal
  purpose: Tell which arrivals are late.
  task: binary_classification
  data:
    source: {type: python, function: "nowhere:load"}
    time_column: t
    target: y
    features:
      - x
      - {name: z, type: string}
  training:
    estimator: sklearn.linear_model.LogisticRegression
  evaluation:
    primary_metric: roc_auc
"""


def problems(folder: Path, text: str | bytes, *, import_code: bool = False) -> list[str]:
    """Return the problems of one file as ``line: message``."""
    (folder / "defs.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    found = load_fleet([folder], import_code=import_code).problems
    return [f"{p.line}: {p.message}" for p in found]


def test_a_right_spec_has_no_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, SPEC) == []
    (loaded,) = load_fleet([tmp_path / "defs.yaml"]).specs
    assert loaded.spec.name == "arrivals"
    assert [c.type for c in loaded.spec.data.features] == ["number", "string"]


_METRIC = "primary_metric: roc_auc"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("risk: minimal", "risk: minimel", ["5: risk: 'minimel' is not one of minimal, limited, high (did you mean 'minimal'?)"]),
        ("  owner: team:ops\n", "", ["2: owner is required"]),
        ("owner: team:ops", "ownr: team:ops", ["2: owner is required", "4: unknown key 'ownr' (did you mean 'owner'?)"]),
        ("type: string", "typ: string", ["14: unknown key 'data.features.1.typ' (did you mean 'type'?)"]),
        ("type: string", "type: strin", ["14: data.features.1.type: 'strin' is not one of number, integer, string, boolean, datetime (did you mean 'string'?)"]),
        ("- x", "- 5", ["13: data.features.0: must be a mapping of keys to values, not 5"]),
        ("type: python", "type: pyton", ["9: data.source.type: unknown 'pyton' (did you mean 'python'?); known: python, csv, parquet, sql"]),
        ("type: python, ", "", ["9: data.source.type is required: one of python, csv, parquet, sql"]),
        ("function:", "functon:", ["9: data.source.function is required", "9: unknown key 'data.source.functon' (did you mean 'function'?)"]),
        ("nowhere:load", "nowhere.load", ["9: data.source.function: 'nowhere.load' is not a reference; write package.module:function"]),
        ('{type: python, function: "nowhere:load"}', "{type: sql, url: x, url_env: y, table: t}", ["9: data.source: give exactly one of url and url_env"]),
        ('{type: python, function: "nowhere:load"}', "{type: sql, url: 'postgresql://me:hunter2@db/x', table: t}", ["9: data.source: the url holds a password, and specs are signed and kept: put the whole URL into an environment variable and name that in url_env"]),
        ("metric: roc_auc", "metric: roc_au", ["18: evaluation.primary_metric: 'roc_au' is not one of roc_auc, brier, log_loss, accuracy, macro_recall, r2, mae, rmse (did you mean 'roc_auc'?)"]),
        ("metric: roc_auc", "metric: r2", ["18: evaluation.primary_metric: 'r2' is no metric for binary_classification; known: roc_auc, brier, log_loss, accuracy"]),
        ("metric: roc_auc", "metric: roc_auc\n    thresholds: {brie: {max: 1}, roc_auc: 0.5,\n      log_loss: {mn: 1}}", [
            "19: evaluation.thresholds.brie: 'brie' is not one of roc_auc, brier, log_loss, accuracy, macro_recall, r2, mae, rmse (did you mean 'brier'?)",
            "19: evaluation.thresholds.roc_auc: must be a mapping of keys to values, not 0.5",
            "20: unknown key 'evaluation.thresholds.log_loss.mn' (did you mean 'min'?)",
        ]),
        ("metric: roc_auc", "metric: roc_auc\n    slices:\n      - x\n      - zz", ["21: evaluation.slices.1: 'zz' is no declared column (did you mean 'z'?)"]),
        ("- x", "- y", ["13: data.features.0: the target 'y' is also declared as a feature"]),
        ("- x", "- z", ["14: data.features.1: feature 'z' is declared twice"]),
        ("- x", "- prediction", ["13: data.features.0: a feature cannot be named 'prediction': the platform keeps predictions under that name"]),
        ("target: y", "target: t", ["11: data.target: 't' is both the target and the time column"]),
        ("type: string", "type: string, range: [0, 1]", ["14: data.features.1: a range needs a number or integer column, not string"]),
        ("- x", "- {name: x, range: [2, 1]}", ["13: data.features.0: the range 2.0..1.0 is empty"]),
        ("type: string", "type: string, allowed: [NO, SE]", ["14: data.features.1: allowed holds False, which is not of type string (YAML reads no, off and the like as truth values: quote it)"]),
        ("target: y", "target: y\n    window: 9d\n    label_delay: 10d", ["12: data.window: a window of 9d leaves nothing to train on after a label delay of 10d and a hold-out of 21d"]),
        ("target: y", "target: y\n    window: 99999999999d", ["12: data.window: '99999999999d' is not a duration; write a number and m, h, d or w, such as 90d"]),
        ("risk: minimal", "risk: minimal\n  risk: high", ["6: key 'risk' stands twice"]),
        ("risk: minimal", "risk: 2013-13-45", ["5: is not valid YAML: month must be in 1..12"]),
        ("  owner", "\towner", ["4: is not valid YAML: while scanning for the next token found character '\\t' that cannot start any token"]),
        ("mlops_assets.ModelLifecycle", "mlops_assets.ModelLifecyle", ["1: type must be mlops_assets.ModelLifecycle, not 'mlops_assets.ModelLifecyle'"]),
        (_METRIC, _METRIC + """
  monitoring:
    kpis:
      - {name: sales, goal: up, target: 1}
      - {name: sales, goal: higher, targt: 1}
      - {name: refunds, goal: lower, target: 1, sql: {url_env: SHOP, table: t}}
      - {name: both, goal: lower, target: 1, function: "a:b", sql: {url_env: SHOP, query: q}}""", [
            "21: monitoring.kpis.0.goal: 'up' is not one of higher, lower",
            "22: monitoring.kpis.1.target is required",
            "22: unknown key 'monitoring.kpis.1.targt' (did you mean 'target'?)",
            "23: monitoring.kpis.2.sql.table: figures need a query: SELECT prediction_id and value, or value alone",
            "24: monitoring.kpis.3: give function or sql, or neither if values are sent as feedback",
        ]),
        (_METRIC, _METRIC + """
  monitoring:
    kpis: [{name: sales, goal: lower, target: 1}, {name: sales, goal: higher, target: 1}]
    costs:
      - {name: bureau, per_1000: 2.5}
      - {name: bureau, per_1000: 3}""", [
            "20: monitoring.kpis.1.name: 'sales' is there twice",
            "23: monitoring.costs.1.name: 'bureau' is there twice",
        ]),
        (_METRIC, _METRIC + "\n  retraining: {on_gain: 0}", ["19: retraining.on_gain: Input should be greater than 0, not 0"]),
        (_METRIC, _METRIC + "\n  retraining:\n    on_gain: 5%", ["20: retraining.on_gain: Input should be a valid number, unable to parse string as a number, not '5%'"]),
        (_METRIC, _METRIC + "\n  retraining:\n    on_gains: 0.02", ["20: unknown key 'retraining.on_gains' (did you mean 'on_gain'?)"]),
        (_METRIC, _METRIC + "\n  monitoring: {costs: [{name: processor, per_1000: -1}, {name: processor, per_1000: 1}]}", [
            "19: monitoring.costs.0.per_1000: Input should be greater than or equal to 0, not -1",
            "19: monitoring.costs.1.name: the processor's cost is measured; give another name",
        ]),
        ("- x", "- &a [*a]", ["13: data.features.0: must be a mapping of keys to values, not [[...]]"]),
    ],
)  # fmt: skip
def test_each_mistake_is_named_at_its_line(
    tmp_path: Path, before: str, after: str, expected: list[str]
) -> None:
    assert SPEC.count(before) == 1
    assert problems(tmp_path, SPEC.replace(before, after)) == expected


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "1: is empty"),
        (b"# nothing yet\n", "1: is empty"),
        (b"- a\n", "1: must be a mapping with type and attributes"),
        (SPEC.replace("late", "lät").encode("latin-1"), "1: cannot be read: 'utf-8' codec"),
        (SPEC.replace("late", "la\x07te").encode(), "6: is not valid YAML: character 7 is not allowed"),
        ((SPEC + "---\n" + SPEC).encode(), "19: is not valid YAML: expected a single document"),
        (b"a: " + b"[" * 5000, "1: is not valid YAML: it is nested too deeply"),
        (b"type: mlops_assets.ModelLifecycle\nattributes: [a]\n", "2: attributes: must be a mapping"),
    ],
)
def test_a_file_that_is_no_spec_at_all_is_one_clear_line(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    (found,) = problems(tmp_path, content)
    assert found.startswith(expected)


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    assert problems(tmp_path, b"\xef\xbb\xbf" + SPEC.encode()) == []


def test_all_problems_of_all_files_come_at_once_and_right_specs_still_load(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
    wrong = SPEC.replace("owner: team:ops", "ownr: team:ops\n  risk: high").replace(
        '{type: python, function: "nowhere:load"}', "{type: csv, path: gone.csv}"
    )
    (tmp_path / "one" / "defs.yaml").write_text(wrong)
    (tmp_path / "two" / "defs.yaml").write_text("type: [")
    (tmp_path / "three" / "defs.yaml").write_text(SPEC)
    fleet = load_fleet([tmp_path, tmp_path / "nowhere"])
    told = [(p.file.parent.name, p.line, p.message) for p in fleet.problems]
    assert [name for name, _, _ in told if name != tmp_path.name] == ["one"] * 4 + ["two"]
    assert {message for name, _, message in told if name == "one"} == {
        "owner is required",
        "unknown key 'ownr' (did you mean 'owner'?)",
        "key 'risk' stands twice",
        "data.source.path: gone.csv does not exist",
    }
    assert [loaded.spec.name for loaded in fleet.specs] == ["arrivals"]
    with pytest.raises(SpecError) as raised:
        fleet.require()
    assert len(str(raised.value).splitlines()) == len(fleet.problems)


def test_one_name_for_two_models_is_a_problem_that_names_both_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text(SPEC)
    fleet = load_fleet([tmp_path])
    (problem,) = fleet.problems
    assert problem.line == 3
    assert "'arrivals' is already defined in" in problem.message
    assert "one/defs.yaml" in problem.message


@pytest.mark.parametrize("other", ["mlops_assets.FleetAutomation", "dagster.DefsFolderComponent"])
def test_another_components_file_is_left_alone(tmp_path: Path, other: str) -> None:
    assert problems(tmp_path, f"type: {other}\nwhatever: 1\n") == []


def test_the_code_a_spec_names_is_imported_only_when_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "loading_source.py").write_text("def load(start, end): ...\n")
    (tmp_path / "loading_broken.py").write_text("1 / 0\n")
    text = SPEC.replace("nowhere:load", "loading_source:lod").replace(
        "LogisticRegression", "LogisticRegresion"
    )
    text = text.replace("target: y", "target: y\n    feature_function: loading_broken:compute")
    text += """  monitoring:
    kpis:
      - {name: sales, goal: higher, target: 1, function: "loading_source:load"}
      - {name: refunds, goal: lower, target: 1, function: "loading_source:refunds"}
"""
    assert problems(tmp_path, text) == []
    assert problems(tmp_path, text, import_code=True) == [
        "9: data.source.function: loading_source has no function 'lod' (did you mean 'load'?)",
        "12: data.feature_function: loading_broken:compute: loading_broken fails on import: "
        "ZeroDivisionError: division by zero",
        "17: training.estimator: sklearn.linear_model has no class 'LogisticRegresion' "
        "(did you mean 'LogisticRegression'?)",
        "23: monitoring.kpis.1.function: loading_source has no function 'refunds'",
    ]


def test_a_suite_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    text = SPEC.replace("target: y", "target: y\n    contract:\n      suite: gone.json")
    assert problems(tmp_path, text) == ["13: data.contract.suite: gone.json does not exist"]
