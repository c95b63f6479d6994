"""The gateway's own description, in OpenAPI 3.1."""

from collections.abc import Iterator
from typing import Any

from mlops_assets.serving.binary_tensors import HEADER
from mlops_assets.serving.discretion import ENTITY_HEADER, LONGEST_ENTITY
from mlops_assets.serving.feedback import NDJSON
from mlops_assets.serving.fleet_page.choice import ONLY, ORDERS, SORTS
from mlops_assets.serving.openapi_schemas import SCHEMAS, TEXT, Schema, ref
from mlops_assets.specs.policy import RISKS
from mlops_assets.version import __version__

Content = dict[str, Schema]
"""What a body is, by media type."""

_SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key or a JSON Web Token."},
}
_REFUSED = {
    400: "The request is wrong; the error names what.",
    401: "Who calls is not known.",
    403: "The caller may not do this.",
    404: "There is no such model, or no such version of it is loaded.",
    408: "The body did not arrive in time.",
    413: "The body is too large, or has too many rows.",
    415: "The body is not what its content type says.",
    422: "The model has no answer for these rows.",
    429: "The caller asks more than its limits allow.",
    503: "Not now: too much is asked, or what is asked for is not loaded or cannot be logged.",
}
_RETRY = {"retry-after": {"description": "In how many seconds.", "schema": {"type": "integer"}}}
_HEADERS = {
    401: {"www-authenticate": {"required": True, "description": "What to show.", "schema": TEXT}},
    429: _RETRY,
    503: _RETRY,
}
_DENIED = (401, 403, 429, 503)
_OF_MODEL = (*_DENIED, 404)
_OF_BODY = (*_OF_MODEL, 400, 408, 413, 415)
_OF_ROWS = (*_OF_BODY, 422)

_IN_PATH = {
    "model": "Model name.",
    "version": "Version number; it must be loaded.",
    "report": "File name of a monitoring window's report.",
}
_ENTITY = {
    "name": ENTITY_HEADER,
    "in": "header",
    "description": "Whom or what all rows are about.",
    "schema": {"type": "string", "maxLength": LONGEST_ENTITY},
}
_JSON_LENGTH = {
    "name": HEADER,
    "in": "header",
    "description": "How many bytes of the body are JSON, if tensors follow it as bytes.",
    "schema": {"type": "integer", "minimum": 0},
}


def _chooses(name: str, description: str, *values: str) -> dict[str, Any]:
    """Return a parameter of the fleet page; empty it chooses nothing."""
    schema = TEXT | ({"enum": ["", *values]} if values else {})
    told = {"description": description, "allowEmptyValue": True}
    return {"name": name, "in": "query", **told, "schema": schema}


_RELOAD = {
    "name": "reload",
    "in": "query",
    "description": "Have the page reload by itself, whatever the value.",
    "allowEmptyValue": True,
    "schema": TEXT,
}

_CHOICE = [
    _chooses("q", "Models with this text in their name or their owner's."),
    _chooses("owner", "Models of this owner."),
    _chooses("risk", "Models of this risk.", *RISKS),
    _chooses("only", "Models of which this is so.", *ONLY),
    _chooses("sort", "What they are sorted by.", *SORTS),
    _chooses("order", "In which direction; what shows the worst first if empty.", *ORDERS),
]


def document(*, closed: bool) -> dict[str, Any]:
    """Return the OpenAPI document.

    Args:
        closed: Whether only who shows a credential may call.
    """
    paths: dict[str, dict[str, Any]] = {}
    for method, path, operation in _operations():
        named = [_in_path(name) for name in _IN_PATH if f"{{{name}}}" in path]
        parameters = [*named, *operation.get("parameters", [])]
        paths.setdefault(path, {})[method] = operation | {"parameters": parameters}
    return {
        "openapi": "3.1.0",
        "info": {"title": "mlops_assets gateway", "version": __version__},
        "security": [*([] if closed else [{}]), *({name: []} for name in _SCHEMES)],
        "components": {
            "securitySchemes": _SCHEMES,
            "schemas": SCHEMAS,
            "responses": {str(status): _refused(status) for status in _REFUSED},
        },
        "paths": paths,
    }


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield each operation with its method and path."""
    model, versioned = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
    alive = _open("Whether the gateway lives, KServe v1", _json("Status"))
    alive["responses"]["307"] = {"description": "To /fleet, for who takes HTML."}
    yield "get", "/", alive
    yield "get", "/v2", _open("Server metadata", _json("Server"))
    yield "get", "/v2/health/live", _open("Whether the gateway lives", _json("Live"))
    yield "get", "/v2/health/ready", _readiness()
    for path in (model, versioned):
        yield "get", path, _seen("Model metadata", _json("Metadata"))
    for path in (f"{model}/ready", f"{versioned}/ready", "/v1/models/{model}"):
        yield "get", path, _seen("Whether a version is loaded", _json("Ready"))
    yield "get", "/v1/models", _operation("Names of the models, KServe v1", _json("Models"), _DENIED)
    yield "get", "/ping", _open("Whether every champion is loaded, MLflow", _json("Nothing"), 503)
    yield "get", "/models/{model}/ping", _seen("Whether a model is loaded, MLflow", _json("Nothing"))
    for path in ("/version", "/models/{model}/version"):
        yield "get", path, _open("Version of MLflow", _text("text/html"))
    yield "get", "/metrics", _operation("Prometheus metrics", _text("text/plain"), _DENIED)
    yield "get", "/openapi.json", _open("This document", {"application/json": {"type": "object"}})
    told = "The fleet page: the models that the parameters choose"
    fleet = _operation(told, {**_text("text/html"), **_json("Fleet")}, (*_DENIED, 400))
    yield "get", "/fleet", fleet | {"parameters": [*_CHOICE, _RELOAD]}
    yield "get", "/fleet/{model}", _seen("The page of a model", _text("text/html"))
    report = _seen("Evidently's report of a window", _text("text/html"))
    yield "get", "/fleet/{model}/reports/{report}", report

    inferred = {**_json("Inferred"), "application/octet-stream": {}}
    inference = {**_json("Inference"), "application/octet-stream": {}}
    for path in (f"{model}/infer", f"{versioned}/infer"):
        infer = _operation("Predict, Open Inference Protocol v2", inferred, _OF_ROWS, inference)
        yield "post", path, infer | {"parameters": [_ENTITY, _JSON_LENGTH]}
    for path in ("/models/{model}/invocations", "/v1/models/{model}:predict", "/invocations"):
        invoke = _operation("Predict, MLflow and KServe v1", _json("Invoked"), _OF_ROWS, _json("Invocation"))
        yield "post", path, invoke | {"parameters": [_ENTITY]}
    feedback = {**_json("Feedback"), NDJSON: {"description": "A value a line; each that is right is taken."}}
    told = "What turned out to be true of predictions"
    yield "post", f"{model}/feedback", _operation(told, _json("Taken"), _OF_BODY, feedback)


def _operation(
    summary: str, answer: Content, statuses: tuple[int, ...], body: Content | None = None
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "Good", "content": _content(answer)},
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in sorted(statuses)},
        },
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": _content(body)}
    return operation


def _open(summary: str, answer: Content, *statuses: int) -> dict[str, Any]:
    """Return an operation that everybody may ask for."""
    return _operation(summary, answer, statuses) | {"security": []}


def _seen(summary: str, answer: Content) -> dict[str, Any]:
    """Return an operation that tells of one model."""
    return _operation(summary, answer, _OF_MODEL)


def _readiness() -> dict[str, Any]:
    operation = _operation("Whether every champion is loaded, and what is wrong", _json("Readiness"), ())
    not_ready = {"description": "A champion is not loaded.", "content": _content(_json("Readiness"))}
    operation["responses"]["503"] = not_ready
    # Who shows nothing is answered, and who shows more is told more.
    return operation | {"security": [{}, *({name: []} for name in _SCHEMES)]}


def _refused(status: int) -> dict[str, Any]:
    refused = {"description": _REFUSED[status], "content": _content(_json("Error"))}
    return refused | ({"headers": _HEADERS[status]} if status in _HEADERS else {})


def _content(body: Content) -> dict[str, Any]:
    return {media: {"schema": schema} if schema else {} for media, schema in body.items()}


def _json(name: str) -> Content:
    return {"application/json": ref(name)}


def _text(media: str) -> Content:
    return {media: TEXT}


def _in_path(name: str) -> dict[str, Any]:
    told = {"description": _IN_PATH[name], "required": True}
    return {"name": name, "in": "path", **told, "schema": {"type": "string", "minLength": 1}}
