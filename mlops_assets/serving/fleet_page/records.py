"""What there is to tell of each model, in one record: what serves, how it fares, and what was found of it."""

from collections.abc import Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

from mlops_assets.registry.port import CHALLENGER, CHAMPION, PREVIOUS_CHAMPION
from mlops_assets.rollout.plan import Step
from mlops_assets.serving.fleet_page.platform_records import KnownFleet
from mlops_assets.serving.meters import Traffic
from mlops_assets.serving.table import Route, Table
from mlops_assets.specs.tasks import HIGHER_IS_BETTER

if TYPE_CHECKING:
    from mlops_assets.governance.audit_entry import Entry
    from mlops_assets.monitoring.fleet_state import ModelOverview

# From so many measured windows on, the newest is held against the others.
_ENOUGH = 3


def rows(table: Table, traffic: Mapping[tuple[str, str], Traffic], known: KnownFleet) -> list[dict[str, Any]]:
    """Return one record per model, in it one per version that is loaded or has answered.

    Args:
        table: What serves.
        traffic: What clients had, by model and version.
        known: What the platform's database tells.
    """
    counted: dict[str, set[str]] = {}
    for model, version in traffic:
        counted.setdefault(model, set()).add(version)
    return [
        _row(name, route, counted.get(name, set()), traffic, known)
        for name, route in sorted(table.routes.items())
    ]


def _row(
    name: str,
    route: Route,
    counted: set[str],
    traffic: Mapping[tuple[str, str], Traffic],
    known: KnownFleet,
) -> dict[str, Any]:
    champion = route.loaded[route.champion] if route.champion else None
    versions = sorted(counted.union(route.loaded), key=int, reverse=True)
    seen, evidence = known.overviews.get(name), champion.evidence if champion else None
    return {
        "model": name,
        "owner": seen.newest.owner if seen else evidence.owner if evidence else None,
        "risk": seen.newest.risk if seen else evidence.risk if evidence else None,
        "champion": route.champion,
        "wanted": route.wanted.get(CHAMPION),
        "previous_champion": route.previous,
        "loaded": route.versions,
        "runtime": champion.package.manifest.runtime if champion else None,
        "as_ordered": route.champion is not None and route.champion == route.wanted.get(CHAMPION),
        "rollout": _rollout(route),
        "versions": [_version(route, v, traffic.get((name, v), Traffic())) for v in versions],
        "watched": watched(seen) if seen else None,
        "incidents": [
            {"id": each.id, "severity": each.severity, "state": each.state, "title": each.title}
            for each in known.incidents.get(name, ())
        ],
        "last_drill": _drill(known.drills.get(name)),
    }


def watched(seen: "ModelOverview") -> dict[str, Any]:
    """Return what monitoring found of a model."""
    newest, measured, estimated = seen.newest, seen.measured, seen.estimated
    return {
        "metric": newest.metric,
        "window_end": newest.end,
        "measured": measured and measured.measured,
        "measured_until": measured and measured.end,
        "estimated": estimated and estimated.estimated,
        "change": _change(seen),
        "harm": seen.harm,
        "drifted": newest.drifted,
        "alarms": newest.alarms,
        "cost": newest.cost,
    }


def _change(seen: "ModelOverview") -> float | None:
    """Return by which share the newest measured window is better than the median of those before it."""
    values = [each.measured for each in seen.windows if each.measured is not None]
    if len(values) < _ENOUGH or not (usual := median(values[:-1])):
        return None
    share = (values[-1] - usual) / abs(usual)
    return share if seen.newest.metric in HIGHER_IS_BETTER else -share


def _drill(entry: "Entry | None") -> dict[str, Any] | None:
    if entry is None:
        return None
    return {"at": entry.at, "passed": entry.detail.get("passed") is True}


def _rollout(route: Route) -> dict[str, Any] | None:
    if (rollout := route.rollout) is None:
        return None
    return {"version": rollout.challenger.version, "step": str(Step(rollout.percent, rollout.paired))}


def _version(route: Route, version: str, had: Traffic) -> dict[str, Any]:
    resident, rollout = route.loaded.get(version), _rollout(route)
    return {
        "version": version,
        "role": _role(route, version),
        "step": rollout["step"] if rollout and rollout["version"] == version else None,
        "rows": had.rows,
        "errors": had.errors,
        "refused": had.refused,
        "turned_away": had.turned_away,
        "p50_ms": had.latency_ms(0.5),
        "p99_ms": had.latency_ms(0.99),
        "memory_mb": resident.memory / 1e6 if resident and resident.memory is not None else None,
        "runtime": resident.package.manifest.runtime if resident else None,
    }


def _role(route: Route, version: str) -> str | None:
    """Return what a version is for; the champion is the one that answers, whatever is wanted."""
    if version == route.champion:
        return "champion"
    if version == route.wanted.get(PREVIOUS_CHAMPION):
        return "way back"
    if version == route.wanted.get(CHALLENGER):
        return "challenger"
    return None if version in route.loaded else "no longer loaded"


def state(model: dict[str, Any]) -> str:
    """Return in words whether a model serves as the registry says."""
    if model["as_ordered"]:
        return "serving"
    serving = f"serving {model['champion']}" if model["champion"] else "not serving"
    return f"{serving}, the registry says {model['wanted'] or 'none'}"
