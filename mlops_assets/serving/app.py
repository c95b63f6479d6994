"""The gateway's HTTP interface: Open Inference Protocol v2, MLflow's invocations, feedback, metrics."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route as HttpRoute

from mlops_assets.errors import StorageError
from mlops_assets.monitoring.prediction_log import PredictionLog
from mlops_assets.registry.port import CHAMPION
from mlops_assets.serving import fleet_page, openapi, protocol
from mlops_assets.serving.bodies import dumped, json_response, read_body
from mlops_assets.serving.feedback import read_labels
from mlops_assets.serving.inference import Answer, answer_rows
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.routing import Router
from mlops_assets.serving.table import Problem, Resident
from mlops_assets.specs.durations import utc_now
from mlops_assets.training.package import Manifest
from mlops_assets.version import __version__

MOST_REQUESTS = 256
_THREADS = 16

_Body = dict[str, Any]


class Gateway:
    """The endpoints over one router and one prediction log.

    Args:
        router: Tells which version answers.
        log: Where each answer is written first.
        meters: What is counted.
        most_requests: Requests with a body that are taken at once; more are sent away.
    """

    def __init__(
        self, router: Router, log: PredictionLog, meters: Meters, *, most_requests: int = MOST_REQUESTS
    ) -> None:
        self._router, self._log, self._meters = router, log, meters
        self._most_requests, self._requests = most_requests, 0
        self._threads = anyio.CapacityLimiter(_THREADS)
        self._log_problem: Problem | None = None

    def app(self) -> Starlette:
        """Return the ASGI application; it starts and stops the router."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            self._router.start()
            yield
            await anyio.to_thread.run_sync(self._router.stop)

        return Starlette(
            lifespan=lifespan,
            routes=[
                HttpRoute("/", self.root),
                HttpRoute("/v2", self.server),
                HttpRoute("/v2/health/live", self.live),
                HttpRoute("/v2/health/ready", self.ready),
                *(
                    HttpRoute(base + path, endpoint, methods=[method])
                    for base in ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
                    for path, endpoint, method in (
                        ("", self.model, "GET"),
                        ("/ready", self.model_ready, "GET"),
                        ("/infer", self.infer, "POST"),
                    )
                ),
                HttpRoute("/v2/models/{model}/feedback", self.feedback, methods=["POST"]),
                HttpRoute("/models/{model}/invocations", self.invocations, methods=["POST"]),
                HttpRoute("/metrics", self.metrics),
                HttpRoute("/openapi.json", self.openapi),
                HttpRoute("/fleet", self.fleet),
            ],
            exception_handlers={
                Refusal: self._refused,
                StorageError: self._log_failed,
                HTTPException: self._misdirected,
                Exception: self._broken,
            },
        )

    async def root(self, _: Request) -> Response:
        """Lead people to the fleet page."""
        return RedirectResponse("/fleet")

    async def server(self, _: Request) -> Response:
        """Answer ``GET /v2``: what this server is."""
        return json_response({"name": "mlops-assets", "version": __version__, "extensions": []})

    async def live(self, _: Request) -> Response:
        """Answer whether the process lives."""
        return json_response({"live": True})

    async def ready(self, _: Request) -> Response:
        """Answer whether every champion is loaded, and what is wrong."""
        table = self._router.table
        models = {
            name: {
                "champion": route.champion,
                "wanted": route.wanted.get(CHAMPION),
                "ready": route.champion is not None,
            }
            for name, route in table.routes.items()
            if route.champion is not None or CHAMPION in route.wanted
        }
        body = {"ready": table.ready, "models": models, "problems": self._problems()}
        return json_response(body, 200 if table.ready else 503)

    async def model(self, request: Request) -> Response:
        """Answer what a model takes and gives, and which versions are loaded."""
        table, name = self._router.table, request.path_params["model"]
        resident = table.resolve(name, request.path_params.get("version"))
        route, package = table.route(name), resident.package
        return json_response(
            {
                "name": name,
                "versions": route.versions,
                "platform": "onnx" if package.uses_onnx else "sklearn",
                "inputs": protocol.describe_inputs(package.manifest),
                "outputs": protocol.describe_outputs(package.manifest),
                "parameters": {
                    "version": resident.version,
                    "champion": route.champion,
                    "previous_champion": route.previous,
                    "candidate": package.digest,
                },
            }
        )

    async def model_ready(self, request: Request) -> Response:
        """Answer whether a version is loaded."""
        resident = self._resolve(request)
        return json_response({"name": resident.model, "version": resident.version, "ready": True})

    async def infer(self, request: Request) -> Response:
        """Predict, by the Open Inference Protocol."""

        def respond(body: _Body, resident: Resident, answer: Answer) -> _Body:
            return {
                "model_name": resident.model,
                "model_version": resident.version,
                "id": body.get("id") or answer.prediction_ids[0],
                "outputs": protocol.output_tensors(answer.predicted, resident.package.manifest),
                "parameters": {"prediction_ids": answer.prediction_ids},
            }

        return await self._predict(request, protocol.read_oip, respond)

    async def invocations(self, request: Request) -> Response:
        """Predict, in MLflow's request forms."""

        def respond(_: _Body, resident: Resident, answer: Answer) -> _Body:
            return {
                "predictions": answer.predicted.tolist(),
                "model": resident.model,
                "version": resident.version,
                "prediction_ids": answer.prediction_ids,
            }

        return await self._predict(request, protocol.read_mlflow, respond)

    async def feedback(self, request: Request) -> Response:
        """Take labels by prediction id, also for a model that no longer serves."""
        table, name = self._router.table, request.path_params["model"]
        route = table.routes.get(name)
        champion = route.loaded[route.champion] if route and route.champion else None

        def work(content: bytes) -> bytes:
            manifest = champion.package.manifest if champion else None
            labels = read_labels(protocol.read_json(content), manifest)
            unknown = self._log.append_labels(name, labels)
            if len(unknown) == len(labels):
                table.route(name)  # a name that nobody knows is more likely wrong than all ids
            return dumped({"model": name, "accepted": len(labels) - len(unknown), "unknown": unknown})

        return Response(await self._work(request, work), media_type="application/json")

    async def metrics(self, _: Request) -> Response:
        """Answer with the counters."""
        table = self._router.table
        self._meters.show(
            {name: len(route.loaded) for name, route in table.routes.items()},
            [(p["kind"], p["model"]) for p in self._problems()],
        )
        return Response(self._meters.text(), media_type="text/plain; version=0.0.4")

    async def openapi(self, _: Request) -> Response:
        """Answer with the OpenAPI document."""
        return json_response(openapi.document())

    async def fleet(self, request: Request) -> Response:
        """Answer with the fleet page, or its records as JSON."""
        rows, problems = fleet_page.rows(self._router.table), self._problems()
        if "application/json" in request.headers.get("accept", ""):
            return json_response({"models": rows, "problems": problems})
        return HTMLResponse(fleet_page.html(rows, problems))

    def _resolve(self, request: Request) -> Resident:
        name, version = request.path_params["model"], request.path_params.get("version")
        resident = self._router.table.resolve(name, version)
        request.state.resident = resident  # for whoever answers if something goes wrong from here
        return resident

    async def _predict(
        self,
        request: Request,
        read: Callable[[_Body, Manifest], protocol.Rows],
        respond: Callable[[_Body, Resident, Answer], _Body],
    ) -> Response:
        """Route once, so that no answer is of two versions; read, predict, log, respond, count."""
        request.state.started = started = time.perf_counter()
        resident = self._resolve(request)
        probe = request.headers.get("x-mlops-probe") == "1"

        def work(content: bytes) -> bytes:
            body = protocol.read_json(content)
            rows = read(body, resident.package.manifest)
            answer = answer_rows(self._log, resident, rows, started=started, probe=probe)
            self._meters.rows.labels(resident.model, resident.version).inc(len(rows.sent))
            return dumped(respond(body, resident, answer))

        content = await self._work(request, work)
        self._count(request, 200)
        return Response(content, media_type="application/json")

    async def _work(self, request: Request, work: Callable[[bytes], bytes]) -> bytes:
        """Work on a request's body in a thread of ours, if there are not too many already."""
        if self._requests >= self._most_requests:
            raise Refusal(503, f"{self._requests} requests are being answered; try again in a second")
        self._requests += 1
        try:
            content = await anyio.to_thread.run_sync(work, await read_body(request), limiter=self._threads)
        finally:
            self._requests -= 1
        self._log_problem = None  # it was written to
        return content

    def _problems(self) -> list[dict[str, Any]]:
        found = [*self._router.table.problems, *([self._log_problem] if self._log_problem else [])]
        return [asdict(problem) | {"subject": problem.subject} for problem in found]

    def _count(self, request: Request, status: int) -> None:
        name = request.path_params["model"]
        # Names that nobody serves are counted as one: there may be any number of them.
        model = name if name in self._router.table.routes else ""
        resident: Resident | None = getattr(request.state, "resident", None)
        self._meters.requests.labels(model, resident.version if resident else "", status).inc()
        self._meters.seconds.labels(model).observe(time.perf_counter() - request.state.started)

    async def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Refusal)
        return await self._failed(request, error.status, str(error))

    async def _log_failed(self, request: Request, error: Exception) -> Response:
        self._note_log_problem(error)
        return await self._failed(request, 503, f"nothing is answered that cannot be logged: {error}")

    async def _misdirected(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = f"{request.method} {request.url.path}: {error.detail}; see /openapi.json"
        return await self._failed(request, error.status_code, message[:600], error.headers)

    async def _broken(self, request: Request, error: Exception) -> Response:
        return await self._failed(request, 500, f"{type(error).__name__}; the gateway's log tells more")

    async def _failed(self, request: Request, status: int, message: str, headers: Any = None) -> Response:
        """Answer with an error that names model and version; count it and, if it is no outage, log it."""
        body: dict[str, Any] = {"error": message}
        if (model := request.path_params.get("model")) is not None:
            body["model"] = model
        resident: Resident | None = getattr(request.state, "resident", None)
        if resident is not None:
            body["version"] = resident.version
        if hasattr(request.state, "started"):
            self._count(request, status)
            # Overload is not made worse, and a log that fails not written, by an entry for each.
            if resident is not None and status != 503:
                try:
                    await anyio.to_thread.run_sync(
                        self._log.append_error, resident.model, utc_now(), status, message
                    )
                except StorageError as error:
                    self._note_log_problem(error)
        return json_response(
            body, status, {**(headers or {}), **({"retry-after": "1"} if status == 503 else {})}
        )

    def _note_log_problem(self, error: Exception) -> None:
        if self._log_problem is None:
            self._log_problem = Problem("log_unwritable", None, None, str(error))
            self._meters.incidents.labels("log_unwritable", "").inc()
