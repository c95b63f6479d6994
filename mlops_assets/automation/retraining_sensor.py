"""One sensor decides for every model: harm, age or new data start a lifecycle, drift alone never."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from mlops_assets.monitoring.assessment import Assessment
from mlops_assets.monitoring.retraining import Decision, decide
from mlops_assets.resources import Platform
from mlops_assets.stages.stage import LIFECYCLE


def retraining_sensor(job: Any, interval_seconds: int) -> dg.SensorDefinition:
    """Return the fleet's retraining sensor.

    Args:
        job: The lifecycle job of the fleet.
        interval_seconds: Least time between two ticks.
    """

    @dg.sensor(
        name="retraining",
        job=job,
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts a retraining where the newest assessment shows harm, age or new data.",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult | dg.SkipReason:
        cursor = int(context.cursor or 0)
        filed = platform.state.assessments_after(cursor)
        if not filed:
            return dg.SkipReason("no new assessment")
        requests = list(_decide_all(filed, platform))
        return dg.SensorResult(
            run_requests=requests,
            cursor=str(filed[-1][0]),
            skip_reason=None if requests else f"{len(filed)} new assessments, none calls for a retraining",
        )

    return sensor


def _decide_all(filed: list[tuple[int, Assessment]], platform: Platform) -> Iterator[dg.RunRequest]:
    """Decide on each model's newest assessment; older ones are overtaken by it."""
    newest = {assessment.model: (id_, assessment) for id_, assessment in filed}
    last_trainings = platform.state.last_trainings()
    for id_, assessment in newest.values():
        # What was decided once stays decided: a tick that is repeated asks for the same run again, and
        # its run key lets Dagster see that it is the same.
        decision = platform.state.decision(id_)
        if decision is None:
            decision = decide(assessment, last_trainings.get(assessment.model))
            platform.state.record_decision(id_, assessment.model, decision)
        if decision.retrain:
            yield retraining_request(id_, assessment, decision)


def retraining_request(id_: int, assessment: Assessment, decision: Decision) -> dg.RunRequest:
    """Return the request that runs one model's lifecycle as of an assessment's time."""
    model = assessment.model
    return dg.RunRequest(
        # Run keys de-duplicate for ever, so the key names the assessment, not the model.
        run_key=f"retrain:{model}:{id_}",
        asset_selection=[dg.AssetKey([model, stage]) for stage in LIFECYCLE],
        run_config={"ops": {f"{model}__raw_data": {"config": {"as_of": assessment.as_of.isoformat()}}}},
        tags={
            "mlops/model": model,
            "mlops/trigger": str(decision.trigger),
            "mlops/reason": decision.reason,
            "mlops/as_of": assessment.as_of.isoformat(),
            "mlops/assessment": str(id_),
        },
    )
