"""``mlops-assets score``: batch scoring with the champion."""

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlops_assets.cli.output import Json, Model, print_json, quiet, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlops_assets.scoring.job import Progress, Scored
    from mlops_assets.scoring.records import Records
    from mlops_assets.scoring.sql_input import SqlRows

_SECONDS_BETWEEN_LINES = 2.0


def add_to(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def score(
        model: Model,
        rows: Annotated[
            str,
            typer.Argument(
                metavar="IN",
                help="A .csv or .parquet file, a folder of .parquet files, or the URL of a database.",
            ),
        ],
        out: Annotated[
            Path,
            typer.Argument(metavar="OUT", help="File to write, .parquet or .csv; replaced if it exists."),
        ],
        version: Annotated[
            str | None, typer.Option(help="Another released version; the champion if not given.")
        ] = None,
        keep: Annotated[
            list[str] | None,
            typer.Option(help="Column of IN to carry over to OUT; may be given several times."),
        ] = None,
        table: Annotated[str | None, typer.Option(help="Of a database, the table.")] = None,
        query: Annotated[str | None, typer.Option(help="Of a database, the SELECT.")] = None,
        form: Annotated[
            str | None, typer.Option(help="Predict with this form, onnx or native, and measure nothing.")
        ] = None,
        log: Annotated[
            bool, typer.Option("--log", help="Also write every row to the prediction log, for monitoring.")
        ] = False,
        json: Json = False,
    ) -> None:
        """Write predictions for every row of a file or table, by the version that serves.

        OUT has a row for each row of IN, in its order, and appears once all of them are right. Until then
        what is done lies in OUT.partial: killed and run again, scoring goes on after the last whole chunk.
        """
        from mlops_assets.home import Home
        from mlops_assets.prediction_log.prediction_ids import PredictionIds
        from mlops_assets.prediction_log.recorder import Recorder
        from mlops_assets.prediction_log.secret import secret_for
        from mlops_assets.resources import Platform
        from mlops_assets.scoring.forms import form_named
        from mlops_assets.scoring.job import Scorer
        from mlops_assets.scoring.records import Records
        from mlops_assets.serving.proven import ProvenVersions
        from mlops_assets.specs.policy_file import current_policy

        source = _source(rows, table, query)
        asked_form = form_named(form) if form else None
        home = Home.from_environment().prepare()
        platform = Platform()
        with tempfile.TemporaryDirectory(prefix="mlops-score-") as folder:
            versions = ProvenVersions(
                platform.registry, platform.verifier, platform.audit, current_policy, Path(folder)
            )
            proven = versions.load(model, version)
            records = Records(
                proven,
                platform.audit,
                recorder=(lambda: Recorder.for_home(home, "batch")) if log else None,
                log=platform.prediction_log if log else None,
            )
            scorer = Scorer(
                proven.resident,
                PredictionIds(secret_for(home.root)),
                asked_form,
                _shown(quiet if json else say),
                records.keep,
            )
            started = time.perf_counter()
            scored = scorer.score(source, out, tuple(keep or ()))
            seconds = time.perf_counter() - started
        if json:
            print_json(_told(scored, records, seconds))
        else:
            _show(scored, records, seconds)


def _source(rows: str, table: str | None, query: str | None) -> "Path | SqlRows":
    """Return what is to be scored.

    Raises:
        SpecError: The options do not fit.
    """
    from mlops_assets.errors import SpecError
    from mlops_assets.scoring.sql_input import SqlRows

    if "://" in rows:
        if (table is None) == (query is None):
            raise SpecError(f"{rows.partition('://')[0]}: give exactly one of --table and --query")
        return SqlRows(rows, table, query)
    if table is not None or query is not None:
        raise SpecError(f"--table and --query are for a database's URL, and {rows} is none")
    return Path(rows)


def _shown(tell: "Callable[[str], None]") -> "Callable[[Progress], None]":
    """Return what tells of progress now and then."""
    last = time.perf_counter()

    def show(progress: "Progress") -> None:
        nonlocal last
        if (now := time.perf_counter()) - last < _SECONDS_BETWEEN_LINES:
            return
        last = now
        share = progress.rows / max(progress.total, 1)
        tell(
            f"{progress.rows:,} of about {progress.total:,} rows ({share:.0%}), {progress.rate:,.0f} rows/s, "
            f"about {progress.remaining:.0f} s left"
        )

    return show


def _told(scored: "Scored", records: "Records", seconds: float) -> dict[str, Any]:
    resident, release = records.proven.resident, records.proven.release
    return {
        "model": resident.model,
        "version": resident.version,
        "candidate": resident.package.digest,
        "evidence": resident.evidence.digest,
        "release": release.serial,
        "input": scored.input,
        "input_digest": scored.input_digest,
        "output": str(scored.output),
        "output_digest": scored.output_digest,
        "rows": scored.rows,
        "resumed_rows": scored.resumed,
        "form": scored.plan.form,
        "why": scored.plan.why,
        "logged": records.recorder is not None,
        "seconds": round(seconds, 3),
    }


def _show(scored: "Scored", records: "Records", seconds: float) -> None:
    resident = records.proven.resident
    rate = (scored.rows - scored.resumed) / max(seconds, 1e-9)
    before = f", {scored.resumed:,} of them by an earlier run" if scored.resumed else ""
    say(f"{scored.output}: {scored.rows:,} rows by {resident.model} version {resident.version}{before}")
    say(f"  {seconds:.1f} s, {rate:,.0f} rows/s; {scored.plan.why}")
    say(f"  sha256 {scored.output_digest}")
