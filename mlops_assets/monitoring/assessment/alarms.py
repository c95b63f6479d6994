"""What of an assessment is worth somebody's attention, with all that grouping and people need of it."""

from collections.abc import Iterator
from typing import Any

from mlops_assets.monitoring.assessment.record import Assessment, ColumnDrift, Told
from mlops_assets.monitoring.assessment.service import kind_of
from mlops_assets.monitoring.assessment.subject import Subject
from mlops_assets.monitoring.incidents.alarm import Alarm, Harm, Kind
from mlops_assets.monitoring.incidents.change import Change
from mlops_assets.monitoring.incidents.upstream import WatchedModel

# One malformed row among thousands is told and wakes nobody.
_LEAST_SHARE = 0.01


def alarms_of(found: Assessment, subject: Subject, upstream: WatchedModel) -> list[Alarm]:
    """Return the alarms of an assessment.

    Args:
        found: The assessment.
        subject: The model and its version.
        upstream: Where its columns come from.
    """
    make = _Maker(found, subject, upstream)
    every = [*make.of_columns(), *make.of_quality(), *make.of_outcomes(), *make.of_the_rest()]
    # What is told in two ways, such as missing values, is one alarm: the first, which tells more.
    by_stream = {alarm.stream: alarm for alarm in reversed(every)}
    return [alarm for alarm in every if by_stream[alarm.stream] is alarm]


class _Maker:
    def __init__(self, found: Assessment, subject: Subject, upstream: WatchedModel) -> None:
        self._found, self._subject, self._upstream = found, subject, upstream
        self._harm: Harm = found.harm_shown if found.harm_shown in ("measured", "estimated") else "not_shown"

    def of_columns(self) -> Iterator[Alarm]:
        for each in self._found.drift:
            if each.drifted:
                # What the world does not do by itself is no drift.
                is_fault = each.change is not None and each.change.is_a_fault
                yield self._of_column(each, "data_quality" if is_fault else "data_drift")
        said = self._found.prediction_drift
        if said is not None and said.drifted:
            yield self._of_column(said, "prediction_drift")

    def of_quality(self) -> Iterator[Alarm]:
        for each in self._found.quality:
            if float(each["share"]) < _LEAST_SHARE:
                continue
            missing = str(each["problem"]).startswith("missing")
            change = Change(move="missing" if missing else "new_values", now=float(each["share"]))
            yield self._alarm(
                "data_quality",
                f"{each['column']}: {each['problem']} in {each['share']:.1%} of rows",
                subject=str(each["column"]),
                change=change,
                figures={"rows": each["rows"], "share": each["share"]},
                upstream=self._upstream.upstream_of(str(each["column"])),
            )

    def of_outcomes(self) -> Iterator[Alarm]:
        found, metric = self._found, self._subject.spec.evaluation.primary_metric
        if found.harm:
            yield self._alarm("performance", found.reason, subject=metric, **self._effect_on(metric))
        elif found.harm_shown == "estimated":
            yield self._alarm("estimated_performance", found.reason, subject=metric)
        if found.concept_drift is not None and found.concept_drift.alarm:
            yield self._alarm("concept_drift", found.concept_drift.says)
        if found.label_jump:
            labels = self._upstream.labels
            yield self._alarm("label_shift", found.label_jump, upstream=(labels,) if labels else ())
        for name, each in found.estimated.items():
            if each.trust == "untrustworthy" and name == metric:
                yield self._alarm("untrusted_estimate", f"{name}: {each.why}", subject=name)

    def of_the_rest(self) -> Iterator[Alarm]:
        found = self._found
        yield from (self._told("fairness", each) for each in found.fairness if each.alarm)
        yield from (self._told(kind_of(each.name), each) for each in found.service if each.alarm)
        yield from (self._told("kpi", each) for each in found.kpis if each.alarm)
        for part, why in found.untold.items():
            yield self._alarm("monitoring_failed", f"{part} could not be looked at: {why}", subject=part)

    def _of_column(self, each: ColumnDrift, kind: Kind) -> Alarm:
        return self._alarm(
            kind,
            f"{each.column}: {each.told}",
            subject=each.column,
            change=each.change,
            importance=each.importance,
            effect=each.expected,
            effect_size=each.expected_change,
            figures={"p_value": each.score, "effect": each.effect, **each.distances},
            upstream=self._upstream.upstream_of(each.column) if kind != "prediction_drift" else (),
            p_value=each.score,
        )

    def _told(self, kind: str, each: Told) -> Alarm:
        return self._alarm(kind, each.says, subject=each.name, figures=each.figures)

    def _effect_on(self, metric: str) -> dict[str, Any]:
        now, promised = self._found.metrics.get(metric), self._found.reference_metric
        if now is None or promised is None:
            return {}
        return {
            "effect": f"{metric} {now[0]:.4f}, on the hold-out {promised:.4f}",
            "effect_size": -abs(now[0] - promised),
        }

    def _alarm(self, kind: str, says: str, *, subject: str = "", **more: Any) -> Alarm:
        found, spec = self._found, self._subject.spec
        own = kind in ("performance", "estimated_performance")
        return Alarm(
            model=found.model,
            owner=spec.owner,
            risk=spec.risk,
            version=found.version,
            deployed_at=self._subject.deployed_at,
            kind=kind,
            subject=subject,
            start=found.start,
            end=found.end,
            observed_at=found.as_of,
            harm=self._harm
            if own or kind in ("data_drift", "data_quality", "concept_drift")
            else "not_shown",
            says=says,
            **more,
        )
