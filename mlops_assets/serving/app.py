"""The gateway's HTTP interface: Open Inference Protocol v2, MLflow's invocations, feedback, metrics."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route as HttpRoute

from mlops_assets.errors import MlopsError, StorageError
from mlops_assets.monitoring.prediction_log import Label, PredictionLog
from mlops_assets.serving import fleet_page, openapi, protocol
from mlops_assets.serving.inference import answer_rows, route_of, version_of
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.protocol import BadRequest
from mlops_assets.serving.routing import Router
from mlops_assets.specs.durations import parse_time, utc_now
from mlops_assets.version import __version__

MAX_BODY = 16 * 1024 * 1024
_AT_WORK = 64
_WAITING = 256

Endpoint = Callable[[Request], Awaitable[Response]]


class Gateway:
    """The endpoints over one router and one prediction log.

    Args:
        router: Tells which version answers.
        log: Where each answer is written first.
        meters: What is counted.
    """

    def __init__(self, router: Router, log: PredictionLog, meters: Meters) -> None:
        self._router, self._log, self._meters = router, log, meters
        self._slots = anyio.Semaphore(_AT_WORK)
        self._waiting = 0

    def app(self) -> Starlette:
        """Return the ASGI application; it starts and stops the router."""

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            await run_in_threadpool(self._router.start)
            yield
            await run_in_threadpool(self._router.stop)

        versioned = "/v2/models/{model}/versions/{version}"
        return Starlette(
            lifespan=lifespan,
            routes=[
                HttpRoute("/", lambda _: RedirectResponse("/fleet")),
                HttpRoute("/v2", self.server),
                HttpRoute("/v2/health/live", self.live),
                HttpRoute("/v2/health/ready", self.ready),
                *(
                    HttpRoute(base + path, endpoint, methods=[method])
                    for base in ("/v2/models/{model}", versioned)
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
                BadRequest: self._refuse,
                HTTPException: _http_error,
                StorageError: self._log_failed,
                MlopsError: _server_error,
                Exception: _server_error,
            },
        )

    async def server(self, _: Request) -> Response:
        """Answer ``GET /v2``: what this server is."""
        return _json({"name": "mlops-assets", "version": __version__, "extensions": []})

    async def live(self, _: Request) -> Response:
        """Answer whether the process lives."""
        return _json({"live": True})

    async def ready(self, _: Request) -> Response:
        """Answer whether every champion is loaded, and what is wrong."""
        table = self._router.table
        models = {
            name: {"champion": route.champion, "ready": route.champion is not None}
            for name, route in table.routes.items()
            if route.wanted is not None or route.champion is not None
        }
        ready = table.complete and all(m["ready"] for m in models.values())
        body = {"ready": ready, "models": models, "problems": dict(table.problems)}
        return _json(body, 200 if ready else 503)

    async def model(self, request: Request) -> Response:
        """Answer what a model takes and gives, and which versions are loaded."""
        name = request.path_params["model"]
        table = self._router.table
        route = route_of(table, name)
        version, package = version_of(table, name, request.path_params.get("version"))
        return _json(
            {
                "name": name,
                "versions": sorted(route.loaded, key=int),
                "platform": "onnx" if package.uses_onnx else "sklearn",
                "inputs": protocol.describe_inputs(package.manifest),
                "outputs": protocol.describe_outputs(package.manifest),
                "parameters": {
                    "version": version,
                    "champion": route.champion,
                    "previous_champion": route.previous,
                    "candidate": package.digest,
                },
            }
        )

    async def model_ready(self, request: Request) -> Response:
        """Answer whether a version is loaded."""
        name, version = request.path_params["model"], request.path_params.get("version")
        version_of(self._router.table, name, version)
        return _json({"name": name, "ready": True})

    async def infer(self, request: Request) -> Response:
        """Predict, by the Open Inference Protocol."""

        async def answer(body: Any, seen: "_Seen") -> dict[str, Any]:
            rows = await run_in_threadpool(protocol.read_oip, body, seen.package.manifest)
            found = await self._answer(request, seen, rows)
            return {
                "model_name": seen.model,
                "model_version": seen.version,
                "id": str(body["id"]) if body.get("id") is not None else found.prediction_ids[0],
                "outputs": protocol.output_tensors(found.predicted, seen.package.manifest),
                "parameters": {"prediction_ids": found.prediction_ids},
            }

        return await self._serve(request, answer)

    async def invocations(self, request: Request) -> Response:
        """Predict, in MLflow's request forms."""

        async def answer(body: Any, seen: "_Seen") -> dict[str, Any]:
            rows = await run_in_threadpool(protocol.read_mlflow, body, seen.package.manifest)
            found = await self._answer(request, seen, rows)
            return {
                "predictions": found.predicted.tolist(),
                "model": seen.model,
                "version": seen.version,
                "prediction_ids": found.prediction_ids,
            }

        return await self._serve(request, answer)

    async def feedback(self, request: Request) -> Response:
        """Take labels by prediction id."""
        name = request.path_params["model"]
        route_of(self._router.table, name)
        labels = _labels(await _body(request))
        unknown = await run_in_threadpool(self._log.append_labels, name, labels)
        return _json({"model": name, "accepted": len(labels) - len(unknown), "unknown": unknown})

    async def metrics(self, _: Request) -> Response:
        """Answer with the counters."""
        for name, route in self._router.table.routes.items():
            self._meters.resident.labels(name).set(len(route.loaded))
        return Response(self._meters.text(), media_type="text/plain; version=0.0.4")

    async def openapi(self, _: Request) -> Response:
        """Answer with the OpenAPI document."""
        return _json(openapi.document())

    async def fleet(self, request: Request) -> Response:
        """Answer with the fleet page, or its records as JSON."""
        rows = fleet_page.rows(self._router.table)
        if "application/json" in request.headers.get("accept", ""):
            return _json({"models": rows, "problems": dict(self._router.table.problems)})
        return HTMLResponse(fleet_page.html(rows, self._router.table.problems))

    async def _serve(
        self, request: Request, answer: Callable[[Any, "_Seen"], Awaitable[dict[str, Any]]]
    ) -> Response:
        """Route once, answer within the limits on concurrency, and count."""
        seen = _Seen(request, self._router)
        request.state.seen = seen
        if self._waiting >= _AT_WORK + _WAITING:
            raise BadRequest("too many requests at once; try again", 503)
        self._waiting += 1
        try:
            async with self._slots:
                content = await answer(await _body(request), seen)
        finally:
            self._waiting -= 1
        self._count(seen, 200)
        return _json(content)

    async def _answer(self, request: Request, seen: "_Seen", rows: protocol.Rows) -> Any:
        found = await run_in_threadpool(
            answer_rows,
            self._log,
            seen.model,
            seen.version,
            seen.package,
            rows,
            started=seen.started,
            probe=request.headers.get("x-mlops-probe") == "1",
        )
        self._meters.rows.labels(seen.model, seen.version).inc(len(rows.sent))
        return found

    def _count(self, seen: "_Seen", status: int) -> None:
        self._meters.requests.labels(seen.model, seen.version, status).inc()
        self._meters.seconds.labels(seen.model).observe(time.perf_counter() - seen.started)

    async def _refuse(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, BadRequest)
        return await self._failed(request, error.status, str(error))

    async def _log_failed(self, request: Request, error: Exception) -> Response:
        self._meters.incidents.labels("storage", "prediction_log").inc()
        return await self._failed(request, 503, f"nothing is answered that cannot be logged: {error}")

    async def _failed(self, request: Request, status: int, message: str) -> Response:
        body: dict[str, Any] = {"error": message}
        if (model := request.path_params.get("model")) is not None:
            body["model"] = model
        seen: _Seen | None = getattr(request.state, "seen", None)
        if seen is not None:
            body["version"] = seen.version
            self._count(seen, status)
            try:
                await run_in_threadpool(self._log.append_error, seen.model, utc_now(), status, message)
            except StorageError:
                self._meters.incidents.labels("storage", "prediction_log").inc()
        return _json(body, status, {"retry-after": "1"} if status in (429, 503) else None)


class _Seen:
    """What a request saw of the routing table: read once, so no answer is of two versions."""

    def __init__(self, request: Request, router: Router) -> None:
        self.started = time.perf_counter()
        self.model: str = request.path_params["model"]
        version = request.path_params.get("version")
        self.version, self.package = version_of(router.table, self.model, version)


async def _body(request: Request) -> Any:
    """Return the request's JSON, refused before it is read whole if it is too large."""
    pieces, size = [], 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > MAX_BODY:
                raise BadRequest(f"the body is larger than {MAX_BODY // 1024**2} MiB", 413)
            pieces.append(piece)
    except ClientDisconnect as error:
        raise BadRequest("the client went away") from error
    try:
        return orjson.loads(b"".join(pieces))
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error


def _labels(body: Any) -> list[Label]:
    given = body.get("labels") if isinstance(body, dict) else None
    if not isinstance(given, list) or not given:
        raise BadRequest("the body must be {'labels': [{'prediction_id': …, 'label': …}]}")
    labels = []
    for index, item in enumerate(given):
        where = f"labels[{index}]"
        if not isinstance(item, dict) or not isinstance(item.get("prediction_id"), str):
            raise BadRequest(f"{where}: 'prediction_id' must be text")
        if item.get("label") is None or isinstance(item["label"], list | dict):
            raise BadRequest(f"{where}: 'label' must be a value")
        labels.append(Label(item["prediction_id"], item["label"], _observed(item, where)))
    return labels


def _observed(item: dict[str, Any], where: str) -> Any:
    text = item.get("observed_at")
    try:
        return utc_now() if text is None else parse_time(str(text))
    except ValueError as error:
        raise BadRequest(f"{where}: observed_at: {error}") from error


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code, dict(error.headers or {}))


async def _server_error(_: Request, error: Exception) -> Response:
    return _json({"error": f"{type(error).__name__}: {error}"}, 500)


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    options = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
    return Response(orjson.dumps(body, option=options), status, headers, "application/json")
