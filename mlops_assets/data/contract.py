"""The data contract: what a spec declares, as Great Expectations checks it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops_assets import digests
from mlops_assets.data.columns import refused
from mlops_assets.errors import SpecError
from mlops_assets.specs.data_spec import Column, Data
from mlops_assets.specs.durations import format_duration
from mlops_assets.verdict import Figure, Measurement

if TYPE_CHECKING:
    import pandas as pd

_OFFENDERS = 5
_DTYPES = {"string": "str", "datetime": "datetime64[us]"}


@dataclass(frozen=True)
class _Expectation:
    """One expectation in Great Expectations' words, and in ours where those would not be understood.

    Attributes:
        kind: Great Expectations' name of it.
        arguments: Its arguments.
        column: The declared column it is about, where ``arguments`` name one that stands in for it.
        says: What it says of the column.
    """

    kind: str
    arguments: dict[str, Any]
    column: str | None = None
    says: str | None = None


def measure_contract(rows: "pd.DataFrame", data: Data, as_of: datetime, folder: Path) -> Measurement:
    """Hold a snapshot against the declared columns, its size, its keys and its freshness.

    Args:
        rows: A raw data snapshot.
        data: The spec's data part.
        as_of: When the window closed, for freshness.
        folder: The spec's folder, to which the suite file's path refers.

    Returns:
        What gate ``data_contract`` measured; its findings name expectation, column, offending values and
        rows.

    Raises:
        SpecError: The suite file is no suite of Great Expectations.
    """
    suite = _suite_file(data, folder)
    expectations = [*_expectations(rows, data, as_of), *_suite(suite)]
    results = _validate(_with_stand_ins(rows, data), expectations)
    findings = [_finding(e, result) for e, result in results if not result["success"]]
    told = "; ".join(f["problem"] for f in findings[:3])
    return Measurement(
        gate="data_contract",
        summary=f"{len(results) - len(findings)} of {len(results)} expectations hold on {len(rows):,} rows",
        figures=(
            Figure(name="failed expectations", value=len(findings), limit="max_failed", note=told),
            Figure(name="expectations", value=len(results)),
            Figure(name="rows", value=len(rows)),
        ),
        findings=tuple(findings),
        facts={"suite": digests.of_bytes(suite[1])} if suite else {},
    )


def suite_digest(data: Data, folder: Path) -> str | None:
    """Return the digest of the team's own suite file as it stands, or None if the contract has none.

    Raises:
        SpecError: It cannot be read.
    """
    suite = _suite_file(data, folder)
    return digests.of_bytes(suite[1]) if suite else None


def _expectations(rows: "pd.DataFrame", data: Data, as_of: datetime) -> Iterator[_Expectation]:
    yield _Expectation("expect_table_row_count_to_be_between", {"min_value": data.contract.min_rows})
    for column in data.features:
        yield from _column_expectations(column, rows)
    declared = {column.name for column in data.features}
    for name in dict.fromkeys([*data.key, data.target]):
        if name not in declared:
            yield _Expectation("expect_column_values_to_not_be_null", {"column": name})
    if len(data.key) > 1:
        unique = {"column_list": list(data.key)}
        yield _Expectation("expect_compound_columns_to_be_unique", unique)
    elif data.key:
        yield _Expectation("expect_column_values_to_be_unique", {"column": data.key[0]})
    if data.contract.max_age is not None:
        # Labels of the newest events are not known yet, so the delay is not held against the source.
        oldest = as_of - data.label_delay - data.contract.max_age
        yield _Expectation(
            "expect_column_max_to_be_between",
            {"column": data.time_column, "min_value": oldest.isoformat()},
            says=f"newest row not older than {format_duration(data.contract.max_age)}",
        )


def _column_expectations(column: Column, rows: "pd.DataFrame") -> Iterator[_Expectation]:
    on = {"column": column.name}
    if column.type == "string":
        yield _Expectation("expect_column_values_to_be_in_type_list", {**on, "type_list": ["str"]})
    else:
        dtype = _DTYPES.get(column.type, "float64")
        yield _Expectation("expect_column_values_to_be_of_type", {**on, "type_": dtype})
    if refused(column) in rows:
        yield _Expectation(
            "expect_column_values_to_be_null",
            {"column": refused(column)},
            column.name,
            f"values to be of type {column.type}",
        )
    if not column.nullable:
        stand_in = {"column": _delivered(column) if refused(column) in rows else column.name}
        yield _Expectation("expect_column_values_to_not_be_null", stand_in, column.name)
    if column.range is not None:
        low, high = column.range
        limits = {**on, "min_value": low, "max_value": high}
        yield _Expectation("expect_column_values_to_be_between", limits)
    if column.allowed is not None:
        yield _Expectation("expect_column_values_to_be_in_set", {**on, "value_set": list(column.allowed)})


def _delivered(column: Column) -> str:
    return f"{column.name} (as delivered)"


def _with_stand_ins(rows: "pd.DataFrame", data: Data) -> "pd.DataFrame":
    """Return rows as Great Expectations reads them.

    Text is made plain Python strings, because it does not know pandas' own text type. A column with
    values of another type, which are missing in it, gets a stand-in that tells those from the missing.
    """
    delivered = {
        _delivered(c): rows[c.name].astype("object").where(rows[c.name].notna(), rows[refused(c)])
        for c in data.features
        if refused(c) in rows
    }
    return rows.astype(dict.fromkeys(rows.select_dtypes("string"), "object")).assign(**delivered)


def _suite_file(data: Data, folder: Path) -> tuple[Path, bytes] | None:
    """Return the team's own suite file and its content, if the contract has one."""
    if data.contract.suite is None:
        return None
    file = folder / data.contract.suite
    try:
        return file, file.read_bytes()
    except OSError as error:
        raise SpecError(f"the suite {file} cannot be read: {error.strerror}") from error


def _suite(suite: tuple[Path, bytes] | None) -> Iterator[_Expectation]:
    """Yield the expectations of the team's own suite file, in Great Expectations' JSON form."""
    if suite is None:
        return
    file, content = suite
    try:
        for expectation in json.loads(content)["expectations"]:
            yield _Expectation(expectation["type"], dict(expectation.get("kwargs", {})))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SpecError(
            f"{file}: not a Great Expectations suite ({type(error).__name__}: {error}); "
            'write {"expectations": [{"type": …, "kwargs": {…}}]}'
        ) from error


def _validate(
    rows: "pd.DataFrame", expectations: list[_Expectation]
) -> list[tuple[_Expectation, dict[str, Any]]]:
    """Return each distinct expectation with Great Expectations' result, in the order given."""
    import great_expectations as gx
    from great_expectations.expectations.expectation_configuration import ExpectationConfiguration

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    suite = gx.ExpectationSuite(name="contract")
    for index, expectation in enumerate(expectations):
        try:
            # Results come back in another order, so each carries its number. And the suite must not be
            # given configurations, of which a later one silently replaces an earlier one on the same
            # column: a team's own suite could then loosen what its spec declares.
            configuration = ExpectationConfiguration(
                type=expectation.kind, kwargs=expectation.arguments, meta={"index": index}
            )
            suite.add_expectation(configuration.to_domain_obj())
        except Exception as error:
            reason = " ".join(str(error).split())
            raise SpecError(f"expectation {expectation.kind!r} is not usable: {reason}") from error
    batch = (
        context.data_sources.add_pandas("snapshot")
        .add_dataframe_asset("rows")
        .add_batch_definition_whole_dataframe("all")
        .get_batch({"dataframe": rows})
    )
    report = batch.validate(
        suite, result_format={"result_format": "SUMMARY", "partial_unexpected_count": _OFFENDERS}
    )
    results = {
        int(result.expectation_config.meta["index"]): result.to_json_dict() for result in report.results
    }
    return [(expectations[index], results[index]) for index in sorted(results)]


def _finding(expectation: _Expectation, result: dict[str, Any]) -> dict[str, Any]:
    """Return one failed expectation as a row a person can act on."""
    outcome = result.get("result") or {}
    arguments = {k: v for k, v in expectation.arguments.items() if k != "column" and v is not None}
    column = (
        expectation.column
        or expectation.arguments.get("column")
        or ", ".join(arguments.get("column_list", []))
    )
    says = expectation.says or expectation.kind.removeprefix("expect_").replace("_", " ")
    found = outcome.get("unexpected_count")
    raised = [e for e in _exceptions(result.get("exception_info")) if e]
    if raised:
        seen = raised[0]
    elif found is not None:
        seen = f"{found:,} rows ({outcome.get('unexpected_percent') or 0:.2f} %)"
    else:
        seen = f"observed {outcome.get('observed_value')}"
    return {
        "problem": f"{column or 'table'}: {says.removeprefix('column ')}: {seen}",
        "column": column,
        "expected": expectation.says or json.dumps(arguments, default=str),
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
