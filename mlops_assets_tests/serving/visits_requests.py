"""Requests to the model ``visits``, whose inputs are of every type, as both protocols write them."""

from typing import Any

VISITS = [
    {"device": "mobile", "visited_at": "2024-03-01T10:30:00", "member": True, "pages": 12, "spent": None},
    {"device": "desktop", "visited_at": "2024-03-02", "member": False, "pages": 3, "spent": 19.5},
    {"device": "tv", "visited_at": "2024-03-03T23:59:59.5Z", "member": 1, "pages": 30, "spent": 0},
]
INFER = "/v2/models/visits/infer"
INVOCATIONS = "/models/visits/invocations"

_TYPES = {
    "device": "BYTES",
    "visited_at": "BYTES",
    "member": "BOOL",
    "pages": "INT64",
    "spent": "FP64",
}


def columns_of(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return rows as columns."""
    return {name: [row[name] for row in rows] for name in rows[0]}


def oip(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rows as an Open Inference Protocol request."""
    return {
        "inputs": [
            {"name": name, "datatype": _TYPES[name], "shape": [len(data)], "data": data}
            for name, data in columns_of(rows).items()
        ]
    }
