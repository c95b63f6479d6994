"""The gateway's HTTP interface: predict, by either protocol, take feedback, and answer what goes wrong."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as HttpRoute

from mlops_assets.errors import StorageError
from mlops_assets.home import Home
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import Failure
from mlops_assets.serving.access import CALLER, Access
from mlops_assets.serving.arms import Arms
from mlops_assets.serving.binary_tensors import HEADER
from mlops_assets.serving.bodies import Answered, Intake, Sent, json_response
from mlops_assets.serving.callers import FEEDBACK, PREDICT, PROBE, Caller
from mlops_assets.serving.counts import Counts, Everyone, Extent
from mlops_assets.serving.discretion import ENTITY_HEADER, message_logged
from mlops_assets.serving.feedback import take_feedback
from mlops_assets.serving.front import REFUSED, Front
from mlops_assets.serving.information import Information
from mlops_assets.serving.lines import Lines
from mlops_assets.serving.meters import DENIED, Meters
from mlops_assets.serving.permission import permitted
from mlops_assets.serving.predictions import Predictions, Question
from mlops_assets.serving.problems import Problem
from mlops_assets.serving.protocols import PREDICTION_PATHS, Protocol
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.residency import Residency
from mlops_assets.serving.shadow import Shadow
from mlops_assets.serving.table import LiveRollout, Resident, Routes
from mlops_assets.specs.durations import utc_now

MOST_REQUESTS = 256
_THREADS = 16


class Gateway:
    """The endpoints over one router and one prediction log.

    Args:
        router: Tells which version answers.
        recorder: Writes each answer into the prediction log first.
        meters: What is counted.
        most_requests: Requests that are answered at once; more are sent away.
        intake: Takes in requests' bodies.
        access: Tells who may call; whoever calls may if none is given.
        serve_unlogged: Whether answers leave though the prediction log fails.
        everyone: Tells what this and all other workers have counted; there are no others if None.
        residency: Has versions in memory that were not when they are asked for.
        home: Where the platform keeps what the fleet pages show; they show only what is known here if None.
    """

    def __init__(
        self,
        router: Routes,
        recorder: Recorder,
        meters: Meters,
        *,
        most_requests: int = MOST_REQUESTS,
        intake: Intake | None = None,
        access: Access | None = None,
        serve_unlogged: bool = False,
        everyone: Everyone | None = None,
        residency: Residency | None = None,
        home: Home | None = None,
    ) -> None:
        self._router, self._recorder, self._meters = router, recorder, meters
        self._most_requests, self._requests = most_requests, 0
        self._intake = intake or Intake()
        self._arms = Arms(recorder, meters)
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._predictions = Predictions(self._arms, self._threads)
        self._lines = Lines(self._arms, self._threads)
        self._residency = residency or Residency()
        self._log_problem: Problem | None = None
        self._access = access or Access.embedded()
        self._information = Information(router, meters, everyone or self._alone, self._access, home)
        if serve_unlogged:
            recorder.unlogged = self._left_unlogged

    @property
    def shadow(self) -> Shadow:
        """What asks the unseen arms of rollouts."""
        return self._arms.shadow

    def front(self) -> Front:
        """Return what answers usual requests before they reach the application."""
        return Front(
            lambda: self._router.table, self._arms, self._meters, self._access, self._lines, self._has_room
        )

    def app(self) -> Starlette:
        """Return the ASGI application, which answers any request; it starts and stops the router."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            self._router.start()
            yield
            await anyio.to_thread.run_sync(self._router.stop)

        return Starlette(
            lifespan=lifespan,
            routes=[
                *(
                    HttpRoute(
                        path,
                        permitted(self._access, PREDICT, partial(self.predict, protocol=protocol)),
                        methods=["POST"],
                    )
                    for path, protocol in PREDICTION_PATHS.items()
                ),
                HttpRoute(
                    "/v2/models/{model}/feedback",
                    permitted(self._access, FEEDBACK, self.feedback),
                    methods=["POST"],
                ),
                *self._information.routes,  # last: one of them would take ":predict" for a part of a name
            ],
            exception_handlers={
                Refusal: self._refused,
                StorageError: self._log_failed,
                HTTPException: self._misdirected,
                Exception: self._broken,
            },
        )

    async def feedback(self, request: Request) -> Response:
        """Take what turned out to be true, also for a model that no longer serves."""
        table, model = request.scope[CALLER].view(self._router.table), request.path_params["model"]
        sent = await self._received(request)

        def take() -> Answered:
            return Answered.json(take_feedback(self._recorder, table, model, sent))

        with self._working():
            return _response(await anyio.to_thread.run_sync(take, limiter=self._threads))

    def _resolve(self, request: Request) -> tuple[Resident, LiveRollout | None]:
        name, version = request.path_params["model"], request.path_params.get("version")
        caller: Caller = request.scope[CALLER]
        table = caller.view(self._router.table)  # once, for both
        resident = table.resolve(name, version)
        request.state.resident = resident  # for whoever answers if something goes wrong from here
        return resident, table.rollout(name, version)

    async def predict(self, request: Request, *, protocol: Protocol) -> Response:
        """Route once, so that no answer is of two versions; read, predict, log, respond, count."""
        caller: Caller = request.scope[CALLER]
        if "model" not in request.path_params:
            request.path_params["model"] = caller.view(self._router.table).only_model
        request.state.started = time.perf_counter()
        # Nobody else is believed: monitoring leaves out what the platform asks.
        probe = request.headers.get("x-mlops-probe") == "1" and caller.may(PROBE)
        request.state.probe = probe
        resident, rollout = self._resolve(request)
        if (refused := request.scope.get(REFUSED)) is not None:
            raise refused
        for answering in (resident, *([rollout.challenger] if rollout else [])):
            await self._residency.require(self._router.table, answering)
        sent = await self._received(request)
        question = Question(
            protocol,
            sent,
            resident,
            None if probe else rollout,
            request.state.started,
            probe,
            caller.name,
            request.headers.get(ENTITY_HEADER),
        )
        with self._working():
            predicted = await self._predictions.answer(question)
        request.state.resident, request.state.rows = predicted.resident, predicted.rows
        self._count(request, 200)
        return _response(predicted.answered)

    async def _received(self, request: Request) -> Sent:
        """Take in a request's body, unless too many are being answered already."""
        self._require_room()
        content = await self._intake.read(request)
        self._require_room()
        request.state.started = time.perf_counter()  # how long a client took to send is not our latency
        return Sent(content, request.headers.get("content-type", ""), request.headers.get(HEADER))

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Count a request as one that is being answered."""
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    def _has_room(self) -> bool:
        return self._requests + len(self._lines) < self._most_requests

    def _require_room(self) -> None:
        if not self._has_room():
            raise Refusal(503, f"{self._most_requests} requests are being answered; try again in a second")

    def counts(self, extent: Extent) -> Counts:
        """Return what was counted here; see :meth:`Counts.of`. To be called from the event loop."""
        self._look_at_log()
        of_log = [self._log_problem] if self._log_problem else []
        loaded = {
            (name, version): resident
            for name, route in self._router.table.routes.items()
            for version, resident in route.loaded.items()
        }
        self._meters.plausibility = {key: resident.plausibility for key, resident in loaded.items()}
        self._meters.memory = {
            key: resident.memory for key, resident in loaded.items() if resident.memory is not None
        }
        return Counts.of(
            self._meters, [*of_log, *self._access.problems, *self._residency.problems], extent=extent
        )

    async def _alone(self, extent: Extent) -> Counts:
        return self.counts(extent)

    def _count(self, request: Request, status: int) -> None:
        name = request.path_params["model"]
        # Names that nobody serves are counted as one: there may be any number of them.
        model = name if name in self._router.table.routes else ""
        resident: Resident | None = getattr(request.state, "resident", None)
        self._meters.count(
            model,
            resident.version if resident else "",
            status,
            time.perf_counter() - request.state.started,
            rows=request.state.rows if status == 200 else 0,
            probe=request.state.probe,
        )

    async def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return await self._failed(request, error.status, str(error), error.headers, is_logged=error.is_logged)

    async def _log_failed(self, request: Request, error: Exception) -> Response:
        self._look_at_log()
        return await self._failed(request, 503, f"nothing is answered that cannot be logged: {error}")

    async def _misdirected(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = f"{request.method} {request.url.path}: {error.detail}; see /openapi.json"
        return await self._failed(request, error.status_code, message[:600], error.headers)

    async def _broken(self, request: Request, error: Exception) -> Response:
        return await self._failed(request, 500, f"{type(error).__name__}; the gateway's log tells more")

    async def _failed(
        self, request: Request, status: int, message: str, headers: Any = None, *, is_logged: bool = False
    ) -> Response:
        """Answer with an error that names model and version; count it, and log it for monitoring."""
        body: dict[str, Any] = {"error": message}
        if (model := request.path_params.get("model")) is not None:
            body["model"] = model
        resident: Resident | None = getattr(request.state, "resident", None)
        if resident is not None:
            body["version"] = resident.version
        if status in DENIED:
            self._meters.denied.labels(status).inc()
        if hasattr(request.state, "probe"):  # it was to be a prediction
            self._count(request, status)
            # Overload is not made worse, and a log that fails not written, by an entry for each; and
            # what the platform tries out is none of the model's traffic.
            if resident is not None and status != 503 and not (request.state.probe or is_logged):
                try:
                    told = message_logged(message, resident.treatments)
                    self._recorder.failure(
                        Failure(
                            resident.model,
                            microseconds(utc_now()),
                            status,
                            told,
                            caller=request.scope[CALLER].name,
                        )
                    )
                except StorageError:
                    self._look_at_log()
        return json_response(
            body, status, {**({"retry-after": "1"} if status == 503 else {}), **(headers or {})}
        )

    def _left_unlogged(self, model: str, rows: int) -> None:
        self._meters.unlogged.labels(model).inc(rows)
        self._look_at_log()

    def _look_at_log(self) -> None:
        """Note a problem of the log, as an incident when it begins, and that it is over."""
        problem = self._recorder.writer.problem
        if problem and self._recorder.unlogged:
            problem += "; predictions leave unlogged, see mlops_gateway_unlogged_total"
        if problem is None:
            self._log_problem = None
        elif self._log_problem is None:
            self._log_problem = Problem("log_unwritable", None, None, problem)
            self._meters.note(self._log_problem)


def _response(answered: Answered) -> Response:
    return Response(answered.content, headers=answered.headers, media_type=answered.media_type)
