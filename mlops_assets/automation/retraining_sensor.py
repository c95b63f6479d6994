"""One sensor decides for every model: harm, age or new data start a lifecycle, drift alone never."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import dagster as dg

from mlops_assets.monitoring.assessment.record import Assessment
from mlops_assets.monitoring.incidents.incident import Incident
from mlops_assets.monitoring.missed_gains import MissedGain
from mlops_assets.monitoring.retraining import BUDGET_SPAN, Decision, decide
from mlops_assets.monitoring.retraining.fleet_choice import choose
from mlops_assets.monitoring.retraining.gain import ExpectedGain, fleet_of
from mlops_assets.monitoring.retraining.live import expected_gain
from mlops_assets.registry.port import CHAMPION
from mlops_assets.resources import Platform
from mlops_assets.specs.policy_file import current_policy
from mlops_assets.stages.stage import LIFECYCLE, models_with, stage_config

Decided: TypeAlias = tuple[int, Assessment, Decision]

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
_WRONG_DATA = ("label_shift", "data_quality", "missing_data")
_LAST_COSTS, _DAY = 5, timedelta(days=1)
_REASONS = 5  # more of them nobody reads in the list of ticks


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
        description="Retrains where the newest window shows harm, age or new data; not on faulty data.",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult | dg.SkipReason:
        cursor = int(context.cursor or 0)
        filed = platform.state.assessments_after(cursor)
        if not filed:
            return dg.SkipReason("no new assessment")
        readable = [*_of_champions(context, platform, filed)]
        newest = _newest_of_each(readable)
        for id_ in (id_ for id_, assessment in filed if assessment is None):
            context.log.warning("assessment %s cannot be read and is passed over", id_)
        assert context.repository_def is not None
        for model in sorted(newest.keys() - models_with(LIFECYCLE[0], context.repository_def)):
            # Its spec is gone, and with it the stages that a request would name.
            context.log.warning("%s was assessed, but is no longer in the fleet", model)
            del newest[model]
        looked = [assessment for _, assessment in readable if assessment.model in newest]
        decided = list(_decide_all(newest.values(), looked, platform, context.instance))
        requests = [retraining_request(*each) for each in decided if each[2].retrain]
        return dg.SensorResult(
            run_requests=requests,
            cursor=str(filed[-1][0]),
            skip_reason=None if requests else _why_none(decided),
        )

    return sensor


def _of_champions(
    context: dg.SensorEvaluationContext, platform: Platform, filed: Iterable[tuple[int, Assessment | None]]
) -> Iterator[tuple[int, Assessment]]:
    """Yield what was found of versions that serve: what a version did that is gone calls for no other one."""
    aliases = platform.registry.aliases()
    for id_, assessment in filed:
        if assessment is None:
            continue
        champion = aliases.get(assessment.model, {}).get(CHAMPION, assessment.version)
        if champion == assessment.version:
            yield id_, assessment
        else:
            said = "%s: the window from %s on is version %s's, which is not the champion; it starts nothing"
            context.log.info(said, assessment.model, assessment.start, assessment.version)


def _newest_of_each(filed: Iterable[tuple[int, Assessment]]) -> dict[str, tuple[int, Assessment]]:
    """Return by model the assessment to decide on: of those that tell of harm, that of the newest window."""
    ordered = sorted(filed, key=lambda each: (each[1].judged, each[1].start, each[0]))
    return {assessment.model: (id_, assessment) for id_, assessment in ordered}


def _decide_all(
    newest: Collection[tuple[int, Assessment]],
    looked: Iterable[Assessment],
    platform: Platform,
    instance: dg.DagsterInstance,
) -> Iterator[Decided]:
    """Decide on each model's newest assessment; older ones are overtaken by it, but count as time waited."""
    state = platform.state
    last_trainings, running = state.last_trainings(), _running(instance)
    expecting = _Expecting(platform)
    missed = expecting.missed(looked, last_trainings)
    incidents = platform.incidents.by_model()
    oldest = min((assessment.as_of for _, assessment in newest), default=None)
    started = state.retrainings(oldest - BUDGET_SPAN) if oldest else {}
    decided: dict[str, Decision] = {}
    for id_, assessment in newest:
        # What was decided once stays decided: a tick that is repeated asks for the same run again, and
        # its run key lets Dagster see that it is the same.
        model = assessment.model
        decision = state.decision(id_)
        if decision is not None:
            yield id_, assessment, decision
        else:
            decided[model] = decide(
                assessment,
                last_trainings.get(model),
                running=model in running,
                started=started.get(model, ()),
                estimated_harm=assessment.reason if assessment.harm_shown == "estimated" else None,
                incident=_in_the_way(incidents.get(model, ())),
                expected=expecting.gain(assessment),
                missed=missed.get(model, 0.0),
                cost=expecting.cost(model),
            )
    chosen = choose(decided, _allowed(started, newest))
    for id_, assessment in newest:
        if assessment.model in chosen:
            state.record_decision(id_, assessment, chosen[assessment.model])
            yield id_, assessment, chosen[assessment.model]


class _Expecting:
    """What trainings of the fleet's models can be expected to gain and to cost, by what is known now."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._candidates, self._outcomes = platform.state.candidates(), platform.state.outcomes()
        self._learned = fleet_of(self._outcomes)

    def gain(self, assessment: Assessment) -> ExpectedGain | None:
        """Return what a training can be expected to gain; None if nobody counted the new rows."""
        own, gained = self._candidates.get(assessment.model, []), self._outcomes.get(assessment.model, ())
        return expected_gain(assessment, own, self._learned, gained)

    def cost(self, model: str) -> float | None:
        """Return the processor seconds of a training, by the last ones; None if there was none."""
        last = [each.seconds for each in self._candidates.get(model, [])[-_LAST_COSTS:]]
        return sum(last) / len(last) if last else None

    def missed(
        self, looked: Iterable[Assessment], last_trainings: Mapping[str, datetime]
    ) -> dict[str, float]:
        """Count what waiting lost in windows that were looked at; return it by model, since its training."""
        counted = [
            MissedGain(each.model, each.start, each.end, max(expected.share, 0.0))
            for each in looked
            if (expected := self.gain(each)) is not None
        ]
        self._platform.missed_gains.count(counted)
        waiting = {each.model: last_trainings.get(each.model) for each in counted}
        return self._platform.missed_gains.since(waiting)


def _allowed(
    started: Mapping[str, Sequence[datetime]], newest: Collection[tuple[int, Assessment]]
) -> int | None:
    """Return how many retrainings the fleet's budget leaves for now; None for any number."""
    budget = current_policy().fleet.retrainings
    if budget is None or not newest:
        return None
    now = max(assessment.as_of for _, assessment in newest)
    today = sum(now - _DAY < at <= now for times in started.values() for at in times)
    return max(budget - today, 0)


def _in_the_way(incidents: Iterable[Incident]) -> str | None:
    """Return the incident that keeps a model from being trained: it would learn what is wrong.

    Drift is none of these, nor is harm: that is what a training is for.
    """
    wrong = (each for each in incidents if each.kind in _WRONG_DATA or each.cause.suspect.kind == "labels")
    return next((f"incident {each.id}: {each.title}" for each in wrong), None)


def _running(instance: dg.DagsterInstance) -> set[str]:
    """Return the models that are queued for a lifecycle or in the middle of one."""
    runs = instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED))
    return {run.tags["mlops/model"] for run in runs if "mlops/model" in run.tags}


def _why_none(decided: list[Decided]) -> str:
    """Return what a tick that launches nothing says: the reasons for the first few models."""
    reasons = [f"{assessment.model}: {decision.reason}" for _, assessment, decision in decided]
    more = f"; and {len(reasons) - _REASONS} more" if len(reasons) > _REASONS else ""
    return f"{len(reasons)} assessed, none to retrain. {'; '.join(reasons[:_REASONS])}{more}".strip()


def retraining_request(id_: int, assessment: Assessment, decision: Decision) -> dg.RunRequest:
    """Return the request that runs one model's lifecycle as of an assessment's time."""
    model, as_of = assessment.model, assessment.as_of.isoformat()
    return dg.RunRequest(
        # Run keys de-duplicate for ever, so the key names the assessment, not the model.
        run_key=f"retrain:{model}:{id_}",
        asset_selection=[dg.AssetKey([model, stage]) for stage in LIFECYCLE],
        run_config=stage_config(LIFECYCLE[0], model, as_of=as_of),
        tags={
            "mlops/model": model,
            "mlops/trigger": str(decision.trigger),
            "mlops/reason": decision.reason,
            "mlops/as_of": as_of,
            "mlops/assessment": str(id_),
        },
    )
