"""What the gateway's requests and answers are, as JSON Schemas.

The columns of a model are not among them: whoever reads the gateway's description need not be allowed to know
a model. They are in the model's metadata, ``/v2/models/{model}``.
"""

from typing import Any

from mlops_assets.serving.discretion import LONGEST_ENTITY
from mlops_assets.serving.mlflow_forms import MLFLOW_FORMS
from mlops_assets.serving.oip import TENSOR_TYPES

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_NUMBER: Schema = {"type": "number"}
_NUMBER_OR_NONE: Schema = {"type": ["number", "null"]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_TEXT_OR_NONE: Schema = {"type": ["string", "null"]}
# What one cell of a table may hold.
_VALUE: Schema = {"type": ["string", "number", "boolean", "null"]}
_LABEL: Schema = {"type": ["string", "number", "boolean"]}
_MOMENT: Schema = {"type": "string", "description": "ISO 8601; UTC where it has no zone."}
_DATATYPE: Schema = {"type": "string", "enum": list(TENSOR_TYPES)}


def ref(name: str) -> Schema:
    """Return a reference to one of :data:`SCHEMAS`."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Schema, optional: Schema | None = None, **more: Any) -> Schema:
    properties = {**required, **(optional or {})}
    return {"type": "object", "required": list(required), "properties": properties, **more}


def _list(items: Schema, *, least: int = 0) -> Schema:
    return {"type": "array", "items": items, **({"minItems": least} if least else {})}


def _or_none(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _parameters(**flags: Schema) -> Schema:
    return {"type": ["object", "null"], "properties": flags}


def _without(*names: str) -> Schema:
    return {"not": {"anyOf": [{"required": [name]} for name in names]}}


_TENSOR = _object(
    {"name": TEXT, "datatype": _DATATYPE, "shape": {"type": "array", "items": {"type": "integer"}}}
)
_INFERENCE = _object(
    {
        "inputs": _list(
            _object(
                {
                    "name": TEXT,
                    "datatype": _DATATYPE,
                    "shape": {**_list(_COUNT, least=1), "maxItems": 2, "description": "[rows] or [rows, 1]."},
                    "data": _list({"type": [*_VALUE["type"], "array"]}, least=1),
                },
                {"parameters": _parameters()},
            ),
            least=1,
        )
    },
    {
        "id": _TEXT_OR_NONE,
        "parameters": _parameters(binary_data_output=_FLAG),
        "outputs": {
            "type": ["array", "null"],
            "items": _object({"name": TEXT}, {"parameters": _parameters(binary_data=_FLAG)}),
        },
    },
    description="One tensor for each input that the model's metadata names.",
)
_INFERRED = _object(
    {
        "model_name": TEXT,
        "model_version": TEXT,
        "id": TEXT,
        "parameters": _object({"prediction_ids": _list(TEXT, least=1)}),
        "outputs": _list(
            {**_TENSOR, "properties": {**_TENSOR["properties"], "data": _list(_VALUE), "parameters": {}}}
        ),
    }
)
_BY_COLUMN: Schema = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"anyOf": [_VALUE, _list(_VALUE, least=1)]},
}
_RECORD: Schema = {"type": "object", "additionalProperties": _VALUE}
_ROWS: Schema = {
    "anyOf": [_BY_COLUMN, _list(_RECORD, least=1), _list(_list(_VALUE), least=1), _list(_VALUE, least=1)]
}
_INVOCATION: Schema = {
    "type": "object",
    "description": "Exactly one of the four forms.",
    "oneOf": [{"required": [form]} for form in MLFLOW_FORMS],
    "properties": {
        "dataframe_split": _object(
            {"columns": {**_list(TEXT, least=1), "uniqueItems": True}, "data": _list(_list(_VALUE), least=1)}
        ),
        "dataframe_records": _list(_RECORD, least=1),
        "inputs": _ROWS,
        "instances": _ROWS,
    },
}
_INVOKED = _object(
    {
        "predictions": {"type": "array", "minItems": 1},
        "model": TEXT,
        "version": TEXT,
        "prediction_ids": _list(TEXT, least=1),
    }
)
_OF_LABEL: Schema = {"properties": {"kind": {"const": "label"}}}
_SAID: Schema = {
    "type": "object",
    "description": "About a prediction, or about an entity at a time: its newest prediction until then.",
    "allOf": [
        {
            "oneOf": [
                {"required": ["prediction_id"], **_without("entity"), "properties": {"prediction_id": TEXT}},
                {
                    "required": ["entity", "event_time"],
                    **_without("prediction_id"),
                    "properties": {
                        "entity": {"type": ["string", "number"], "minLength": 1, "maxLength": LONGEST_ENTITY},
                        "event_time": {"type": "string", "format": "date-time"},
                    },
                },
            ]
        },
        {
            "oneOf": [
                {"required": ["label"], **_without("value"), **_OF_LABEL},
                {"required": ["value"], **_without("label"), **_OF_LABEL},
                {
                    "required": ["kind", "value"],
                    **_without("label"),
                    "properties": {
                        "kind": {"type": "string", "pattern": "^(rating|kpi:[a-z][a-z0-9_]{0,62})$"},
                        "value": _NUMBER,
                    },
                },
            ]
        },
    ],
    "properties": {
        "label": _LABEL,
        "kind": TEXT,
        "value": _LABEL,
        "observed_at": {"type": ["string", "null"], "format": "date-time"},
    },
}
_FEEDBACK: Schema = {
    "type": "object",
    "oneOf": [{"required": ["labels"]}, {"required": ["feedback"]}],
    "properties": dict.fromkeys(("labels", "feedback"), _list(ref("Said"), least=1)),
}
_TAKEN = _object(
    {"model": TEXT, "accepted": _COUNT},
    {
        "unknown": _list({"type": "string", "description": "What no prediction is known by."}),
        "refused": {**_COUNT, "description": "Lines that were not taken."},
        "errors": _list(_object({"line": _COUNT, "error": TEXT})),
    },
)
_PROBLEM = _object(
    {"kind": TEXT, "message": TEXT, "since": _MOMENT},
    {"model": _TEXT_OR_NONE, "version": _TEXT_OR_NONE, "passing": _FLAG, "subject": TEXT},
)
_ERROR = _object(
    {"error": TEXT},
    {
        "model": TEXT,
        "version": TEXT,
        "refused": {**_list(ref("Problem")), "description": "Why a version will not be loaded."},
    },
)
_READINESS = _object(
    {"ready": _FLAG},
    {
        "models": {
            "type": "object",
            "additionalProperties": _object(
                {"champion": _TEXT_OR_NONE, "wanted": _TEXT_OR_NONE, "ready": _FLAG}
            ),
        },
        "problems": _list(ref("Problem")),
        "warnings": _list(TEXT),
    },
    description="Of what the caller may see.",
)
_METADATA = _object(
    {
        "name": TEXT,
        "versions": _list(TEXT),
        "platform": TEXT,
        "inputs": _list(ref("Tensor")),
        "outputs": _list(ref("Tensor")),
        "parameters": _object(
            {
                "version": TEXT,
                "champion": _TEXT_OR_NONE,
                "previous_champion": _TEXT_OR_NONE,
                "drill": _TEXT_OR_NONE,
                "candidate": TEXT,
                "classes": _list(_LABEL),
            }
        ),
    }
)
_SERVED = _object(
    {
        "version": TEXT,
        "role": _TEXT_OR_NONE,
        "runtime": _TEXT_OR_NONE,
        **dict.fromkeys(("rows", "errors", "refused", "turned_away"), _COUNT),
        **dict.fromkeys(("p50_ms", "p99_ms"), _NUMBER_OR_NONE),
    }
)
_WATCHED = _object(
    {
        "metric": TEXT,
        "window_end": _MOMENT,
        "measured_until": _TEXT_OR_NONE,
        **dict.fromkeys(("measured", "estimated", "change", "cost"), _NUMBER_OR_NONE),
        "harm": _FLAG,
        "drifted": _COUNT,
        "alarms": _COUNT,
    },
    description="What monitoring found in the newest windows.",
)
_FLEET = _object(
    {
        "models": _list(
            _object(
                {
                    "model": TEXT,
                    "champion": _TEXT_OR_NONE,
                    "wanted": _TEXT_OR_NONE,
                    "previous_champion": _TEXT_OR_NONE,
                    "loaded": _list(TEXT),
                    "runtime": _TEXT_OR_NONE,
                    "as_ordered": _FLAG,
                    "versions": _list(_SERVED),
                    "owner": _TEXT_OR_NONE,
                    "risk": _TEXT_OR_NONE,
                    "rollout": _or_none(_object({"version": TEXT, "step": TEXT})),
                    "watched": _or_none(_WATCHED),
                    "incidents": _list(
                        _object({"id": _COUNT, "severity": TEXT, "state": TEXT, "title": TEXT})
                    ),
                    "last_drill": _or_none(_object({"at": TEXT, "passed": _FLAG})),
                }
            )
        ),
        "problems": _list(ref("Problem")),
        "untold": _TEXT_OR_NONE,
    }
)

SCHEMAS: dict[str, Schema] = {
    "Error": _ERROR,
    "Feedback": _FEEDBACK,
    "Fleet": _FLEET,
    "Inference": _INFERENCE,
    "Inferred": _INFERRED,
    "Invocation": _INVOCATION,
    "Invoked": _INVOKED,
    "Live": _object({"live": {"const": True}}),
    "Metadata": _METADATA,
    "Models": _object({"models": _list(TEXT)}),
    "Nothing": {"type": "object", "maxProperties": 0},
    "Problem": _PROBLEM,
    "Readiness": _READINESS,
    "Ready": _object({"name": TEXT, "version": TEXT, "ready": {"const": True}}),
    "Said": _SAID,
    "Server": _object({"name": TEXT, "version": TEXT, "extensions": _list(TEXT)}),
    "Status": _object({"status": {"const": "alive"}}),
    "Taken": _TAKEN,
    "Tensor": _TENSOR,
}
"""Every schema by name."""
