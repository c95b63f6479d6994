"""What the gateway tells about itself and its models: health, metadata, metrics, the fleet page."""

from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route as HttpRoute

from mlops_assets.home import Home
from mlops_assets.registry.port import CHAMPION
from mlops_assets.serving import oip, openapi
from mlops_assets.serving.access import CALLER, Access
from mlops_assets.serving.binary_tensors import EXTENSION
from mlops_assets.serving.bodies import json_response
from mlops_assets.serving.callers import EVERY_MODEL, SEE, Caller
from mlops_assets.serving.counts import Counts, Everyone
from mlops_assets.serving.fleet_page.endpoints import FleetPages
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.permission import Endpoint, permitted
from mlops_assets.serving.refusal import Refusal
from mlops_assets.serving.table import Routes, Table
from mlops_assets.version import __version__

MODEL_PATHS = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
# MLflow's server serves one model, and its clients know no other paths.
MLFLOW_PATHS = ("", "/models/{model}")


class Information:
    """The endpoints that only tell.

    Args:
        router: Tells which versions there are.
        meters: What shows how it is now.
        everyone: Tells what was counted, by all workers.
        access: Tells who may see what.
        home: Where the platform keeps what the fleet pages show; they show only what is known here if None.
    """

    def __init__(
        self,
        router: Routes,
        meters: Meters,
        everyone: Everyone,
        access: Access,
        home: Home | None = None,
    ) -> None:
        self._router, self._meters, self._everyone, self._access = router, meters, everyone, access
        self._pages = FleetPages(router, everyone, self._problems, home)

    @property
    def routes(self) -> list[HttpRoute]:
        """The endpoints by path."""

        def seen(answer: Endpoint, model: str | None = None) -> Endpoint:
            return permitted(self._access, SEE, answer, model)

        return [
            HttpRoute("/", self.root),
            HttpRoute("/v2", self.server),
            HttpRoute("/v2/health/live", self.live),
            HttpRoute("/v2/health/ready", self.ready),
            *(HttpRoute(path, seen(self.model)) for path in MODEL_PATHS),
            *(HttpRoute(f"{path}/ready", seen(self.model_ready)) for path in MODEL_PATHS),
            HttpRoute("/ping", self.ping),
            HttpRoute("/models/{model}/ping", seen(self.model_ping)),
            *(HttpRoute(f"{path}/version", self.mlflow_version) for path in MLFLOW_PATHS),
            HttpRoute("/v1/models", seen(self.model_names)),
            HttpRoute("/v1/models/{model}", seen(self.model_ready)),
            HttpRoute("/metrics", seen(self.metrics, EVERY_MODEL)),
            HttpRoute("/openapi.json", self.openapi),
            *(HttpRoute(path, seen(answer, EVERY_MODEL)) for path, answer in self._pages.endpoints.items()),
        ]

    async def root(self, request: Request) -> Response:
        """Lead people to the fleet page; answer others that the process lives, as KServe does."""
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/fleet")
        return json_response({"status": "alive"})

    async def server(self, _: Request) -> Response:
        """Answer ``GET /v2``: what this server is."""
        return json_response({"name": "mlops-assets", "version": __version__, "extensions": [EXTENSION]})

    async def live(self, _: Request) -> Response:
        """Answer whether the process lives."""
        return json_response({"live": True})

    async def ready(self, request: Request) -> Response:
        """Answer whether every champion is loaded, and to callers what is wrong with what they may see."""
        table, caller = self._router.table, self._access.known(request.scope["headers"])
        body: dict[str, Any] = {"ready": table.ready}
        if caller is not None and caller.may(SEE):
            body |= self._details(caller, await self._everyone("problems"))
        return json_response(body, 200 if table.ready else 503)

    def _details(self, caller: Caller, counts: Counts) -> dict[str, Any]:
        models = {
            name: {
                "champion": route.champion,
                "wanted": route.wanted.get(CHAMPION),
                "ready": route.champion is not None,
            }
            for name, route in caller.view(self._router.table).routes.items()
            if route.champion is not None or CHAMPION in route.wanted
        }
        details = {"models": models, "problems": self._problems(counts, caller)}
        if caller.may(SEE, EVERY_MODEL) and (warnings := self._access.warnings):
            details["warnings"] = warnings
        return details

    async def model(self, request: Request) -> Response:
        """Answer what a model takes and gives, and which versions are loaded."""
        table, name = self._view(request), request.path_params["model"]
        resident = table.resolve(name, request.path_params.get("version"))
        route, package = table.route(name), resident.package
        return json_response(
            {
                "name": name,
                "versions": route.versions,
                "platform": "onnx" if package.uses_onnx else "sklearn",
                "inputs": oip.describe_inputs(package.manifest),
                "outputs": oip.describe_outputs(package.manifest),
                "parameters": {
                    "version": resident.version,
                    "champion": route.champion,
                    "previous_champion": route.previous,
                    "drill": route.drilled,
                    "candidate": package.digest,
                    "in_memory": package.is_warm,
                    "memory_bytes": resident.memory,
                    "classes": package.manifest.classes,
                },
            }
        )

    async def model_ready(self, request: Request) -> Response:
        """Answer whether a version is loaded; of one that will not be since when, and why."""
        table, name = self._view(request), request.path_params["model"]
        asked = request.path_params.get("version")
        try:
            resident = table.resolve(name, asked)
        except Refusal as error:
            refused = [asdict(p) for p in table.of_version(name, asked) if p.refuses]
            return json_response({"error": str(error), "refused": refused}, error.status)
        return json_response({"name": resident.model, "version": resident.version, "ready": True})

    async def ping(self, _: Request) -> Response:
        """Answer as MLflow's server does once it can predict."""
        if not self._router.table.ready:
            raise Refusal(503, "not every champion is loaded; see /v2/health/ready")
        return json_response({})

    async def model_ping(self, request: Request) -> Response:
        """Answer as MLflow's server does once it can predict with a model."""
        self._view(request).resolve(request.path_params["model"], None)
        return json_response({})

    async def mlflow_version(self, _: Request) -> Response:
        """Answer with the version of MLflow whose requests are understood."""
        return Response(version("mlflow"), media_type="text/html")

    async def model_names(self, request: Request) -> Response:
        """Answer which models are served, as KServe does; those that the caller may see."""
        routes = self._view(request).routes
        served = [name for name, route in routes.items() if route.champion is not None]
        return json_response({"models": sorted(served)})

    async def metrics(self, _: Request) -> Response:
        """Answer with the counters."""
        counts, table = await self._everyone("all"), self._router.table
        self._meters.show(
            {name: len(route.loaded) for name, route in table.routes.items()},
            [(problem.kind, problem.model) for problem in (*table.problems, *counts.problems)],
        )
        return Response(counts.text(self._meters), media_type="text/plain; version=0.0.4")

    async def openapi(self, _: Request) -> Response:
        """Answer with the OpenAPI document."""
        return json_response(openapi.document(closed=self._access.known([]) is None))

    def _view(self, request: Request) -> Table:
        view: Table = request.scope[CALLER].view(self._router.table)
        return view

    def _problems(self, counts: Counts, caller: Caller | None = None) -> list[dict[str, Any]]:
        """Return what is wrong; with what a caller may see, if one is given."""
        return [
            asdict(problem) | {"subject": problem.subject}
            for problem in (*self._router.table.problems, *counts.problems)
            if caller is None or caller.may(SEE, problem.model or EVERY_MODEL)
        ]
