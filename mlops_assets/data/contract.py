"""The data contract: what a spec declares, as Great Expectations checks it."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import SpecError
from mlops_assets.specs.durations import format_duration
from mlops_assets.specs.model_spec import Column, Data
from mlops_assets.verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd

_OFFENDERS = 5


def check_contract(rows: "pd.DataFrame", data: Data, as_of: datetime, folder: Path) -> Verdict:
    """Judge a snapshot against the declared columns, its size, its keys and its freshness.

    Args:
        rows: A raw data snapshot.
        data: The spec's data part.
        as_of: When the window closed, for freshness.
        folder: The spec's folder, to which the suite file's path refers.

    Returns:
        A verdict of gate ``data_contract`` whose findings name expectation, column, offending
        values and rows.
    """
    expectations = [*_expectations(data, as_of), *_suite(data, folder)]
    results = _validate(rows, expectations)
    findings = [_finding(result) for result in results if not result["success"]]
    return Verdict(
        gate="data_contract",
        passed=not findings,
        summary=(
            f"{len(results)} expectations hold on {len(rows):,} rows"
            if not findings
            else f"{len(findings)} of {len(results)} expectations failed: "
            + "; ".join(f["problem"] for f in findings[:3])
        ),
        measured={"rows": len(rows), "expectations": len(results), "failed": len(findings)},
        limits={"failed": 0},
        findings=findings,
    )


def _expectations(data: Data, as_of: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "expect_table_row_count_to_be_between", {"min_value": data.contract.min_rows}
    for column in data.features:
        yield from _column_expectations(column)
    yield "expect_column_values_to_not_be_null", {"column": data.target}
    if data.key:
        unique = {"column_list": list(data.key)}
        if len(data.key) > 1:
            yield "expect_compound_columns_to_be_unique", unique
        else:
            yield "expect_column_values_to_be_unique", {"column": data.key[0]}
    if data.contract.max_age is not None:
        # Labels of the newest events are not known yet, so the delay is not held against the source.
        oldest = as_of - data.label_delay - data.contract.max_age
        yield (
            "expect_column_max_to_be_between",
            {
                "column": data.time_column,
                "min_value": oldest.isoformat(),
                "meta": {"freshness": format_duration(data.contract.max_age)},
            },
        )


def _column_expectations(column: Column) -> Iterator[tuple[str, dict[str, Any]]]:
    on = {"column": column.name}
    if column.type == "string":
        yield "expect_column_values_to_be_in_type_list", {**on, "type_list": ["str"]}
    elif column.type == "datetime":
        yield "expect_column_values_to_be_of_type", {**on, "type_": "datetime64[us]"}
    else:
        yield "expect_column_values_to_be_of_type", {**on, "type_": "float64"}
        if column.type == "integer":
            yield "expect_column_values_to_match_whole_numbers", on
    if not column.nullable:
        yield "expect_column_values_to_not_be_null", on
    if column.range is not None:
        low, high = column.range
        yield "expect_column_values_to_be_between", {**on, "min_value": low, "max_value": high}
    if column.allowed is not None:
        yield "expect_column_values_to_be_in_set", {**on, "value_set": list(column.allowed)}


def _suite(data: Data, folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the expectations of the team's own suite file, in Great Expectations' JSON form."""
    if data.contract.suite is None:
        return
    file = folder / data.contract.suite
    try:
        suite = json.loads(file.read_text())
        for expectation in suite["expectations"]:
            yield expectation["type"], dict(expectation.get("kwargs", {}))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SpecError(
            f"{file}: not a Great Expectations suite ({type(error).__name__}: {error}); "
            'write {"expectations": [{"type": …, "kwargs": {…}}]}'
        ) from error


def _validate(rows: "pd.DataFrame", expectations: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    import great_expectations as gx
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    # Whole numbers are a column of remainders to Great Expectations, which has no such expectation.
    derived: dict[str, Any] = {}
    configurations = []
    for kind, arguments in expectations:
        if kind == "expect_column_values_to_match_whole_numbers":
            name = f"{arguments['column']} (remainder)"
            if rows[arguments["column"]].dtype != "float64":
                continue  # the type expectation already says so
            derived[name] = rows[arguments["column"]] % 1
            kind, arguments = (
                "expect_column_values_to_be_in_set",
                {"column": name, "value_set": [0.0]},
            )
        configurations.append(
            ExpectationConfiguration(type=kind, kwargs={k: v for k, v in arguments.items() if k != "meta"})
        )
    suite = gx.ExpectationSuite(name="contract")
    for configuration in configurations:
        try:
            suite.add_expectation_configuration(configuration)
        except Exception as error:
            raise SpecError(f"expectation {configuration.type} is not usable: {error}") from error
    batch = (
        context.data_sources.add_pandas("snapshot")
        .add_dataframe_asset("rows")
        .add_batch_definition_whole_dataframe("all")
        .get_batch({"dataframe": _as_objects(rows).assign(**derived)})
    )
    report = batch.validate(
        suite, result_format={"result_format": "SUMMARY", "partial_unexpected_count": _OFFENDERS}
    )
    return [result.to_json_dict() for result in report.results]


def _as_objects(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return text as plain Python strings: Great Expectations does not know pandas' own text type."""
    return rows.astype(dict.fromkeys(rows.select_dtypes("string"), "object"))


def _finding(result: dict[str, Any]) -> dict[str, Any]:
    """Return one failed expectation as a row a person can act on."""
    configuration, outcome = result["expectation_config"], result.get("result") or {}
    arguments = {
        k: v for k, v in configuration["kwargs"].items() if k not in ("batch_id", "column") and v is not None
    }
    column = configuration["kwargs"].get("column") or ", ".join(arguments.get("column_list", []))
    check = configuration["type"].removeprefix("expect_").replace("_", " ")
    found = outcome.get("unexpected_count")
    observed = outcome.get("observed_value")
    raised = [e for e in _exceptions(result.get("exception_info")) if e]
    if raised:
        seen = raised[0]
    elif found is not None:
        seen = f"{found:,} rows ({outcome.get('unexpected_percent', 0):.2f} %)"
    else:
        seen = f"observed {observed}"
    return {
        "problem": f"{column or 'table'}: {check}: {seen}",
        "column": column,
        "expected": json.dumps(arguments, default=str),
        "observed": seen,
        "values": json.dumps(outcome.get("partial_unexpected_list") or [], default=str),
        "rows": json.dumps(outcome.get("partial_unexpected_index_list") or [], default=str),
    }


def _exceptions(info: Any) -> Iterator[str | None]:
    if not isinstance(info, dict):
        return
    if "raised_exception" in info:
        if info["raised_exception"]:
            yield str(info.get("exception_message"))
        return
    for nested in info.values():
        yield from _exceptions(nested)
