"""One sensor drives every rollout: it looks at what both arms answered, and moves on, waits or reverts."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import dagster as dg

from mlops_assets.registry.promotion import Move
from mlops_assets.registry.rollout_look import Look, Turn, one_round
from mlops_assets.resources import Platform
from mlops_assets.specs.durations import utc_now
from mlops_assets.stages.stage import markdown_table

ACTOR = "rollout sensor"
# While nothing happens the history gets a point that often; each step gets one anyway.
_OBSERVED_EVERY = timedelta(minutes=10)


def rollout_sensor(interval_seconds: int) -> dg.SensorDefinition:
    """Return the fleet's rollout sensor.

    It acts by itself and launches no run: a version that does harm is to be gone within the tick.

    Args:
        interval_seconds: Least time between two ticks.
    """

    @dg.sensor(
        name="rollouts",
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Moves every rollout on where no harm is shown, and back at once where harm is.",
    )
    def sensor(context: dg.SensorEvaluationContext, platform: Platform) -> dg.SensorResult | dg.SkipReason:
        now, observed = utc_now(), _read(context.cursor)
        turns = list(one_round(platform.rollouts, platform.prediction_log, actor=ACTOR))
        if not turns:
            return dg.SkipReason("no rollout")
        events = []
        for turn in turns:
            _tell(context, turn)
            due = now - observed.get(turn.model, datetime.min) >= _OBSERVED_EVERY
            if turn.look is not None and (turn.moved is not None or due):
                observed[turn.model] = now
                events += list(_events(turn, turn.look))
        kept = {turn.model: observed[turn.model].isoformat() for turn in turns if turn.model in observed}
        return dg.SensorResult(
            asset_events=events,
            cursor=json.dumps(kept),
            skip_reason=None if events else "; ".join(_said(turn) for turn in turns),
        )

    return sensor


def _tell(context: dg.SensorEvaluationContext, turn: Turn) -> None:
    if turn.failure or turn.reverted:
        context.log.error(_said(turn))
    elif turn.moved is not None:
        context.log.info(_said(turn))


def _said(turn: Turn) -> str:
    if turn.failure or turn.look is None:
        return f"{turn.model}: {turn.failure}"
    decision = turn.look.decision
    return f"{turn.model} version {turn.look.traffic.challenger}: {decision.action}, {decision.reason}"


def _events(turn: Turn, look: Look) -> Iterator[dg.AssetObservation | dg.AssetMaterialization]:
    """Yield what the history of the endpoint shows: plots of the share, the units and the bounds."""
    metadata: dict[str, dg.MetadataValue] = {
        "challenger": dg.MetadataValue.int(int(look.traffic.challenger)),
        "challenger_percent": dg.MetadataValue.int(_percent_now(turn, look)),
        "step": dg.MetadataValue.text(str(look.step)),
        "decision": dg.MetadataValue.text(f"{look.decision.action}: {look.decision.reason}"),
        "bounds": markdown_table(look.bounds),
    }
    for arm, units in look.units.items():
        metadata[f"units_{arm.replace(' ', '_')}"] = dg.MetadataValue.int(units)
    for finding in look.findings:
        if not finding.of and finding.units:
            metadata[f"{finding.guard}_worse_by_at_least"] = dg.MetadataValue.float(finding.low)
            metadata[f"{finding.guard}_worse_by_at_most"] = dg.MetadataValue.float(finding.high)
    key = dg.AssetKey([turn.model, "deployed_endpoint"])
    said = f"{look.decision.action}: {look.decision.reason}"
    if isinstance(turn.moved, Move):
        moved = {
            "champion": dg.MetadataValue.int(int(turn.moved.champion)),
            "moved": dg.MetadataValue.bool(True),
        }
        yield dg.AssetMaterialization(key, description=said, metadata={**metadata, **moved})
    else:
        yield dg.AssetObservation(key, description=said, metadata=metadata)


def _percent_now(turn: Turn, look: Look) -> int:
    if isinstance(turn.moved, Move):
        return 100
    return look.traffic.percent if turn.moved is None else turn.moved.percent


def _read(cursor: str | None) -> dict[str, datetime]:
    return {model: datetime.fromisoformat(at) for model, at in json.loads(cursor or "{}").items()}
