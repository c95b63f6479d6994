"""The seventh asset watches: what was served, what moved, and whether it did harm.

That of all models is made in one pass, whose partitions are the windows that are watched. So a pass costs one
run and one step however many models there are, and any window of the past can be looked at again.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

import dagster as dg
from pydantic import Field

from mlops_assets import digests
from mlops_assets.errors import DataError, MlopsError
from mlops_assets.monitoring.assessment.subject import Span
from mlops_assets.monitoring.incidents.alarm import Alarm
from mlops_assets.monitoring.windows import Period
from mlops_assets.resources import Platform
from mlops_assets.specs.durations import format_duration, naive_utc
from mlops_assets.stages.alarm_intake import is_news, not_looked_at, take_in
from mlops_assets.stages.drift_report import ReportMaker
from mlops_assets.stages.fleet_look import FleetLook, WatchedModel
from mlops_assets.stages.many_looks import Look, looks
from mlops_assets.stages.monitoring_checks import changed_checks
from mlops_assets.stages.monitoring_metadata import metadata_of
from mlops_assets.stages.stage import (
    MONITORING,
    Result,
    asked_time,
    readable_errors,
    stage_key,
    stage_spec,
)
from mlops_assets.stages.step_outputs import settle_outputs

# The kind of a failure that has a line for each model that could not be looked at.
OF_MODELS = "models"
# Under this name an asset's metadata tells how long what was served is kept.
KEEPS_PREDICTIONS = "keeps_predictions"
# A picture takes as long to draw as ten models to look at: of many models those with alarms have some.
_FEW_MODELS = 20
# Long enough ago for the flights of the demo; Dagster lists a partition for every window since.
FIRST_WINDOW = date(2013, 1, 1)
_PARTITIONS: dict[Period, Callable[[date], dg.TimeWindowPartitionsDefinition]] = {
    "hour": lambda since: dg.HourlyPartitionsDefinition(start_date=f"{since}-00:00"),
    "day": lambda since: dg.DailyPartitionsDefinition(start_date=str(since)),
    "week": lambda since: dg.WeeklyPartitionsDefinition(start_date=str(since), day_offset=1),
    "month": lambda since: dg.MonthlyPartitionsDefinition(start_date=str(since)),
}


class MonitoringConfig(dg.Config):
    """What a run may say about the window it looks at."""

    as_of: str = Field("", description="Look as if it were this time (ISO 8601, UTC); now if empty.")
    report: bool = Field(False, description="Make Evidently's report of each model, alarm or not.")


def monitoring_reports(
    models: Sequence[WatchedModel],
    period: Period,
    fleet: Sequence[WatchedModel] = (),
    since: date = FIRST_WINDOW,
) -> dg.AssetsDefinition:
    """Return the reports of all models that are watched by windows of one length, made in one pass.

    Args:
        models: These models.
        period: Length of their windows.
        fleet: All models; those of the pass if not given.
        since: Day of the first window there can be.
    """
    watched = {model.spec.name: model for model in models}

    @dg.multi_asset(
        name=pass_name(period),
        specs=[_asset(model) for model in models],
        partitions_def=_PARTITIONS[period](since),
        can_subset=True,
    )
    def look(
        context: dg.AssetExecutionContext, config: MonitoringConfig, platform: Platform
    ) -> Iterator[Result]:
        with readable_errors():
            as_of = asked_time(config.as_of)
            span = _span(context, as_of)
        settle_outputs(context)
        chosen = [watched[key.path[0]] for key in sorted(context.selected_asset_keys)]
        found = _Pass(platform, fleet or models, span, period, config.report)
        yield from found.over(chosen, context)

    return look


def pass_name(period: Period) -> str:
    """Return the name of the op that watches by windows of a length."""
    return f"monitoring_{period}"


def pass_job(period: Period) -> str:
    """Return the name of the job that does."""
    return f"monitor_{period}"


def pass_config(period: Period, as_of: datetime, *, report: bool = False) -> dict[str, Any]:
    """Return the run config of a pass as of a time."""
    config: dict[str, Any] = {"as_of": as_of.isoformat(), **({"report": True} if report else {})}
    return {"ops": {pass_name(period): {"config": config}}}


def partition_of(start: datetime, period: Period) -> str:
    """Return the partition that is the window that starts at a time."""
    return start.strftime("%Y-%m-%d-%H:%M" if period == "hour" else "%Y-%m-%d")


class _Pass:
    """One pass over some models: what one of them fails on stops no other."""

    def __init__(
        self, platform: Platform, fleet: Sequence[WatchedModel], span: Span, period: Period, report: bool
    ) -> None:
        self._platform, self._fleet, self._span, self._period = platform, fleet, span, period
        self._look = FleetLook(platform, fleet)
        self._reports = ReportMaker(platform, always=report)
        self._few = True
        self._failures: dict[str, str] = {}
        self._alarms: dict[str, Alarm] = {}

    def over(self, models: Sequence[WatchedModel], context: dg.AssetExecutionContext) -> Iterator[Result]:
        self._few = len(models) <= _FEW_MODELS
        for model, look in looks(self._look, self._fleet, models, self._span):
            name = model.spec.name
            try:
                yield self._one(model, look, context)
            except MlopsError as error:
                self._failed(model, str(error))
            except Exception as error:
                # One model's surprise must not keep the others from being watched.
                context.log.exception("%s", name)
                self._failed(model, f"{error!r} (unexpected; the log of this run has the traceback)")
        self._tell(context)
        if self._failures:
            lines = (f"{name} {MONITORING}: {' '.join(why.split())}" for name, why in self._failures.items())
            raise dg.Failure("\n".join(lines), metadata={"kind": OF_MODELS}, allow_retries=False)

    def _one(self, model: WatchedModel, look: Look, context: dg.AssetExecutionContext) -> Result:
        spec, state = model.spec, self._platform.state
        looked = look()
        report = self._reports.report_of(spec, looked.assessment)
        assessment = looked.assessment.model_copy(update={"report": str(report.path) if report else None})
        before = state.latest(spec.name, before=self._span.start)
        # What was wrong with a version that is gone is on its report, and wakes nobody.
        news = is_news(assessment, self._period) and self._look.serves(spec.name, assessment.version)
        told = not (assessment.alarms and news)
        filed_as = state.record_assessment(assessment, (looked.recent, looked.lasting), told=told)
        for check in changed_checks(model, assessment, before, context):
            context.log_event(check)
        content = digests.of_bytes(assessment.model_dump_json(exclude={"report"}).encode())
        if assessment.alarms or assessment.harm or before is None:
            context.log.info("%s: %s", spec.name, assessment.reason)
        return dg.MaterializeResult(
            asset_key=stage_key(spec, MONITORING),
            data_version=dg.DataVersion(content),
            metadata={
                **metadata_of(
                    spec,
                    assessment,
                    filed_as,
                    self._platform,
                    pictures=self._few or bool(assessment.alarms),
                ),
                **(report.metadata if report else {}),
            },
        )

    def _failed(self, model: WatchedModel, why: str) -> None:
        span = self._span
        self._failures[model.spec.name] = why
        self._alarms[model.spec.name] = not_looked_at(model, why, span.start, span.end, span.as_of)

    def _tell(self, context: dg.AssetExecutionContext) -> None:
        try:
            taken = take_in(self._look, self._platform, self._alarms.values(), self._span.as_of)
        except MlopsError as error:
            # The alarms are kept: the next pass takes them in.
            context.log.warning("incidents could not be kept: %s", error)
            return
        for number in (*taken.opened, *taken.reopened):
            incident = self._platform.incidents.incident(number)
            context.log.warning("incident %s (%s): %s", number, incident.severity, incident.title)


def _asset(model: WatchedModel) -> dg.AssetSpec:
    spec = model.spec
    return stage_spec(
        spec,
        MONITORING,
        spec.data,
        spec.evaluation,
        spec.monitoring,
        spec.retraining,
        kinds={"evidently"},
        deps=[stage_key(spec, "deployed_endpoint")],
        metadata={KEEPS_PREDICTIONS: format_duration(model.rules.retention.predictions)},
        description=f"Windows of a {spec.monitoring.window}: drift, quality, performance, harm.",
    )


def _span(context: dg.AssetExecutionContext, as_of: datetime) -> Span:
    start, end = (naive_utc(edge) for edge in context.partition_time_window)
    if end > as_of:
        raise DataError(f"the window {context.partition_key} is not over; it ends at {end:%Y-%m-%d %H:%M}")
    return Span(start, end, as_of)
