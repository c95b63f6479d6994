"""The gateway's own description, in OpenAPI 3.1."""

from typing import Any

from mlops_assets.serving.mlflow_forms import MLFLOW_FORMS
from mlops_assets.serving.oip import TENSOR_TYPES
from mlops_assets.version import __version__

_TENSOR = {
    "type": "object",
    "required": ["name", "shape", "datatype", "data"],
    "properties": {
        "name": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
        "datatype": {"type": "string", "enum": list(TENSOR_TYPES)},
        "data": {"type": "array"},
    },
}
_REQUEST = {
    "type": "object",
    "required": ["inputs"],
    "properties": {
        "id": {"type": "string"},
        "inputs": {"type": "array", "items": _TENSOR},
        "outputs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "parameters": {"type": "object", "properties": {"binary_data": {"type": "boolean"}}},
                },
            },
        },
        "parameters": {"type": "object", "properties": {"binary_data_output": {"type": "boolean"}}},
    },
}
_INVOCATION = {
    "type": "object",
    "description": "Exactly one of the four forms.",
    "oneOf": [{"required": [form]} for form in MLFLOW_FORMS],
    "properties": {
        "dataframe_split": {"type": "object", "required": ["columns", "data"]},
        "dataframe_records": {"type": "array", "items": {"type": "object"}},
        "inputs": {"type": ["array", "object"]},
        "instances": {"type": ["array", "object"]},
    },
}
_SAID = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "description": "About a prediction, or about an entity at a time: its newest prediction until then.",
        "oneOf": [{"required": ["prediction_id"]}, {"required": ["entity", "event_time"]}],
        "properties": {
            "prediction_id": {"type": "string"},
            "entity": {"type": ["string", "number"]},
            "event_time": {"type": "string", "format": "date-time"},
            "label": {"type": ["string", "number", "boolean"]},
            "kind": {"type": "string", "pattern": "^(label|rating|kpi:[a-z][a-z0-9_]{0,62})$"},
            "value": {"type": ["string", "number", "boolean"]},
            "observed_at": {"type": "string", "format": "date-time"},
        },
    },
}
_FEEDBACK = {
    "type": "object",
    "description": "As application/x-ndjson: one of the values a line, of which each that is right is taken.",
    "oneOf": [{"required": ["labels"]}, {"required": ["feedback"]}],
    "properties": {"labels": _SAID, "feedback": _SAID},
}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {"type": "string"},
        "model": {"type": "string"},
        "version": {"type": "string"},
    },
}
_DENIED = (401, 403, 429)
_FEEDING = (400, *_DENIED, 404, 408, 413, 415, 503)
_PREDICTING = (400, *_DENIED, 404, 408, 413, 415, 422, 503)
_SEEING = (*_DENIED, 404, 503)
_SCHEMES = {
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key or a JSON Web Token."},
}
_NAMES = {"model": "Model name.", "version": "Version number; it must be loaded."}


def document() -> dict[str, Any]:
    """Return the OpenAPI document."""
    model, versioned = "/v2/models/{model}", "/v2/models/{model}/versions/{version}"
    paths: dict[str, Any] = {
        "/v2": {"get": _operation("Server metadata", "/v2")},
        "/v2/health/live": {"get": _operation("Whether the gateway lives", "/v2/health/live")},
        "/v2/health/ready": {
            "get": _operation("Whether every champion is loaded, and what is wrong", "/v2/health/ready", 503)
        },
        f"{model}/feedback": {
            "post": _operation("What turned out to be true of predictions", model, *_FEEDING, body=_FEEDBACK)
        },
        "/v1/models": {
            "get": _operation("Names of the models, as KServe tells them", "/v1/models", *_DENIED)
        },
        "/v1/models/{model}": {"get": _operation("Whether a model is loaded, KServe v1", model, *_SEEING)},
        "/v1/models/{model}:predict": {
            "post": _operation("Predict, KServe v1", model, *_PREDICTING, body=_INVOCATION)
        },
        "/metrics": {"get": _operation("Prometheus metrics", "/metrics", *_DENIED, media="text/plain")},
        "/openapi.json": {"get": _operation("This document", "/openapi.json")},
        "/fleet": {"get": _operation("The fleet page", "/fleet", *_DENIED, media="text/html")},
    }
    for base in ("", "/models/{model}"):
        whose = "a model" if base else "the only model"
        asked = _SEEING if base else (404, 503)
        paths[f"{base}/ping"] = {"get": _operation(f"Whether {whose} is loaded, MLflow", base, *asked)}
        paths[f"{base}/version"] = {"get": _operation("Version of MLflow", base, media="text/html")}
        paths[f"{base}/invocations"] = {
            "post": _operation(f"Predict with {whose}, MLflow", base, *_PREDICTING, body=_INVOCATION)
        }
    for base in (model, versioned):
        paths[base] = {"get": _operation("Model metadata", base, *_SEEING)}
        paths[f"{base}/ready"] = {"get": _operation("Whether a version is loaded", base, *_SEEING)}
        paths[f"{base}/infer"] = {
            "post": _operation("Predict, Open Inference Protocol v2", base, *_PREDICTING, body=_REQUEST)
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "mlops_assets gateway", "version": __version__},
        # None at all, as long as it is not declared who may call.
        "security": [{}, *({name: []} for name in _SCHEMES)],
        "components": {"securitySchemes": _SCHEMES},
        "paths": paths,
    }


def _operation(
    summary: str,
    path: str,
    *errors: int,
    body: dict[str, Any] | None = None,
    media: str = "application/json",
) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "200": {"description": "Good", "content": {media: {}}},
            **{
                str(code): {
                    "description": "Refused",
                    "content": {"application/json": {"schema": _ERROR}},
                }
                for code in errors
            },
        },
    }
    names = [name for name in _NAMES if f"{{{name}}}" in path]
    if names:
        operation["parameters"] = [
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": _NAMES[name],
                "schema": {"type": "string"},
            }
            for name in names
        ]
    if body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body}},
        }
    return operation
