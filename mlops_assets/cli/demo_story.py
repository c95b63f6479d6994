"""The demo's story: one model through 2013, as a fleet would live it."""

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from mlops_assets.actor import os_user
from mlops_assets.cli.execution import Outcome, run_lifecycle, run_monitoring
from mlops_assets.cli.instance import open_instance
from mlops_assets.cli.project import Project
from mlops_assets.errors import EndpointError, MlopsError
from mlops_assets.gateway_client import GatewayClient
from mlops_assets.gateway_process import running_gateway
from mlops_assets.home import Home
from mlops_assets.prediction_log.prediction import Label
from mlops_assets.resources import RESOURCES, Platform
from mlops_assets.specs.loading import LoadedSpec

if TYPE_CHECKING:
    import dagster as dg
    import pandas as pd

MODEL = "flight_delay"
_START = datetime(2013, 4, 1)
_BATCH = 100
_CLIENTS = 4
_AROUND_SECONDS = 1.0  # of requests before and after the rollback

Say = Callable[[str], None]


def tell(home: Home, rows: int, say: Say) -> dict[str, Any]:
    """Tell the story and return its figures.

    Args:
        home: An empty home.
        rows: Flights to send to the gateway each month.
        say: Told the progress, line by line.
    """
    with running_gateway(home) as gateway:
        story = _Story(home, gateway, rows, say)
        story.first_version()
        refusals = story.mistakes()
        months = [story.month(_first_of(month)) for month in range(4, 13)]
        return {"refusals": refusals, "months": months, "rollback": story.rollback()}


class _Story:
    def __init__(self, home: Home, gateway: GatewayClient, rows: int, say: Say) -> None:
        self._home, self._gateway, self._rows, self._say = home, gateway, rows, say
        own = Project.around(start=_package_folder())
        self._loaded = own.spec(MODEL)
        self._definitions = own.definitions([self._loaded])
        self._instance = open_instance(home)
        self._platform = Platform()
        self._cursor: str | None = None

    def first_version(self) -> None:
        self._say(f"As of {_START:%d %B %Y}: the first version")
        outcome = self._run(as_of=_START, tags={"mlops/trigger": "first"})
        if not outcome.success:
            raise MlopsError(f"the first version did not pass: {outcome.failure or outcome.refusals}")

    def mistakes(self) -> list[dict[str, str]]:
        self._say("")
        self._say("A mistake: the weather feed now gives humidity as a fraction instead of percent")
        faulty = _with_source(self._loaded, "mlops_assets.cli.demo_mistakes:load_with_humidity_as_fraction")
        first = self._refused(Project.around(_package_folder()).definitions([faulty]), None)
        self._say("")
        self._say("Another: trained on thirty days only")
        second = self._refused(self._definitions, "30d")
        return [first, second]

    def _refused(self, definitions: "dg.Definitions", window: str | None) -> dict[str, str]:
        before = self._champion()
        outcome = self._run(definitions, as_of=_START, window=window, tags={"mlops/trigger": "manual"})
        if outcome.success or not outcome.refusals or self._champion() != before:
            raise MlopsError("the faulty candidate was not refused")
        refusal = outcome.refusals[0]
        self._say(f"Refused by gate {refusal.gate}: {refusal.summary}. Version {before} goes on serving.")
        return vars(refusal)

    def month(self, start: datetime) -> dict[str, Any]:
        end = _first_of(start.month + 1)
        as_of = end + self._loaded.spec.data.label_delay
        self._say("")
        self._say(f"{start:%B %Y}")
        champion = self._champion()
        served = self._serve(start, end)
        self._say(f"  {served:,} flights scored by version {champion}, labels fed back")
        run_monitoring(self._definitions, self._instance, [self._loaded.spec], as_of=as_of)
        id_, assessment = self._platform.state.assessments_after(int(self._cursor or 0))[-1]
        assert assessment is not None
        requests = self._tick()
        decision = self._platform.state.decision(id_)
        assert decision is not None
        self._say(f"  {assessment.reason}")
        self._say(f"  decision: {decision.reason if decision.trigger else 'go on'}")
        fate = "–"
        for request in requests:
            fate = self._retrain(request)
        return {
            "month": f"{start:%b %Y}",
            "champion": champion,
            "served": assessment.served,
            "labelled": assessment.labelled,
            "drifted": assessment.drifted,
            "features": len(assessment.drift),
            "roc_auc": assessment.metrics["roc_auc"],
            "brier": assessment.metrics["brier"],
            "harm": assessment.harm,
            "decision": _in_words(decision.trigger, decision.retrain),
            "challenger": fate,
        }

    def _serve(self, start: datetime, end: datetime) -> int:
        """Send a seeded sample of the month to the gateway and feed the labels back."""
        from mlops_assets.defs.flight_delay.source import load

        flights = load(start, end)
        sample = flights.sample(min(self._rows, len(flights)), random_state=start.month).sort_values(
            "scheduled_at"
        )
        inputs = [c.name for c in self._loaded.spec.data.features]
        delay = self._loaded.spec.data.label_delay
        for first in range(0, len(sample), _BATCH):
            batch = sample.iloc[first : first + _BATCH]
            answers = self._gateway.infer(MODEL, batch[inputs])
            labels = [
                Label(id_, int(late), when.to_pydatetime() + delay)
                for id_, late, when in zip(
                    answers.prediction_ids, batch["late"], batch["scheduled_at"], strict=True
                )
            ]
            self._gateway.feedback(MODEL, labels)
        return len(sample)

    def _tick(self) -> "list[dg.RunRequest]":
        """Let the fleet's own sensor decide, as the daemon would."""
        import dagster as dg

        sensor = self._definitions.resolve_sensor_def("retraining")
        with dg.build_sensor_context(
            instance=self._instance,
            cursor=self._cursor,
            definitions=self._definitions,
            resources=RESOURCES,
        ) as context:
            tick = sensor.evaluate_tick(context)
        self._cursor = tick.cursor
        return list(tick.run_requests or [])

    def _retrain(self, request: "dg.RunRequest") -> str:
        before = self._champion()
        as_of = datetime.fromisoformat(request.tags["mlops/as_of"])
        # The tags by which the daemon, later in `up`, knows that this request was carried out.
        tags = {
            **request.tags,
            "dagster/run_key": str(request.run_key),
            "dagster/sensor_name": "retraining",
        }
        outcome = self._run(as_of=as_of, tags=tags)
        if outcome.success:
            return f"v{self._champion()} won and serves"
        lost = "; ".join(r.summary for r in outcome.refusals) or str(outcome.failure)
        self._say(f"  the challenger is refused; version {before} goes on serving")
        return f"refused: {lost}"

    def rollback(self) -> dict[str, Any]:
        """Go back under load, and count what the clients saw."""
        self._say("")
        self._say("Rollback, with requests running")
        row = self._one_row()
        before = self._champion()
        answers: list[tuple[float, str | None]] = []
        stop, warm = threading.Event(), threading.Barrier(_CLIENTS + 1)

        def client() -> None:
            gateway = GatewayClient(self._gateway.url, self._gateway.key)
            gateway.infer(MODEL, row)
            warm.wait()
            while not stop.is_set():
                try:
                    version: str | None = gateway.infer(MODEL, row).version
                except EndpointError:
                    version = None
                answers.append((time.perf_counter(), version))

        clients = [threading.Thread(target=client) for _ in range(_CLIENTS)]
        for thread in clients:
            thread.start()
        warm.wait()
        stop.wait(_AROUND_SECONDS)
        started = time.perf_counter()
        move = self._platform.authority.roll_back(MODEL, None, actor=os_user(), reason="demo: the way back")
        self._gateway.wait_for_champion(MODEL, move.champion, timeout=10)
        stop.wait(_AROUND_SECONDS)
        stop.set()
        for thread in clients:
            thread.join()
        old = [at for at, version in answers if version == before]
        return {
            "from": before,
            "to": move.champion,
            "seconds": (max(old) - started) if old else 0.0,
            "requests": len(answers),
            "failed": sum(version is None for _, version in answers),
        }

    def _one_row(self) -> "pd.DataFrame":
        from mlops_assets.defs.flight_delay.source import load

        inputs = [c.name for c in self._loaded.spec.data.features]
        return load(datetime(2013, 12, 1), datetime(2013, 12, 2)).head(1)[inputs]

    def _run(self, definitions: "dg.Definitions | None" = None, **how: Any) -> Outcome:
        return run_lifecycle(
            definitions or self._definitions,
            self._instance,
            self._home,
            MODEL,
            progress=lambda line: self._say(f"  {line}"),
            **how,
        )

    def _champion(self) -> str:
        return self._platform.registry.aliases().get(MODEL, {}).get("champion", "none")


def _with_source(loaded: LoadedSpec, function: str) -> LoadedSpec:
    """Return the spec with another source function, as if someone had edited it."""
    source = loaded.spec.data.source.model_copy(update={"function": function})
    data = loaded.spec.data.model_copy(update={"source": source})
    return LoadedSpec(loaded.spec.model_copy(update={"data": data}), loaded.file)


def _in_words(trigger: str | None, retrain: bool) -> str:
    if trigger is None:
        return "go on"
    return f"retrain: {trigger}" if retrain else f"{trigger}, but in the cooldown"


def _first_of(month: int) -> datetime:
    return datetime(2013 + (month - 1) // 12, (month - 1) % 12 + 1, 1)


def _package_folder() -> Any:
    from pathlib import Path

    return Path(__file__).parent
