"""Others' packages that do not install beside ours: KServe's client, and MLServer's copy of the protocol.

Their dependencies' declared bounds exclude our pins, and whole environments of them take a minute and half a
gigabyte. So they are put aside, without dependencies, where only who asks for them finds them; what they need
of others is what is installed here anyway, and runs.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_PACKAGES = (
    "kserve==0.21.0",
    "cloudevents==1.13.0",  # the rest of these is what kserve imports and we do not have
    "deprecation==2.1.0",
    "grpc-interceptor==0.15.4",
    "psutil==7.2.2",
    "timing-asgi==0.3.2",
    "mlserver==1.7.1",
)


def installed() -> Path:
    """Return the folder of the packages, for ``PYTHONPATH``; made once for each environment."""
    digest = hashlib.sha256(" ".join(_PACKAGES).encode()).hexdigest()[:12]
    folder = Path(sys.prefix) / f"peers-{digest}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=sys.prefix) as made:
            target = Path(made) / "packages"
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
            subprocess.run([*pip, "--no-deps", "--target", str(target), *_PACKAGES], check=True)
            try:
                os.rename(target, folder)
            except OSError:  # another process was faster
                assert folder.exists()
    return folder


def dataplane() -> dict[str, Any]:
    """Return the Open Inference Protocol as MLServer describes it, in OpenAPI.

    What is changed: schemathesis takes no ``"type": "bytes"``, which JSON does not know. A refusal may have
    any 4xx, as the protocol's text says of readiness. Optional members may be null, which MLServer's own
    client writes. MLServer's own paths, for text and streams, and its parameters are not the protocol's.
    """
    text = (installed() / "mlserver/rest/openapi/dataplane.json").read_text()
    document: dict[str, Any] = json.loads(text)
    schemas = document["components"]["schemas"]
    schemas["TensorData"] = {"type": "array", "items": {}}
    schemas["Parameters"] = {"type": "object", "nullable": True}
    request = schemas["InferenceRequest"]
    for name in ("id", "outputs"):
        request["properties"][name]["nullable"] = True
    document["paths"] = {
        path: item
        for path, item in document["paths"].items()
        if "generate" not in path and "stream" not in path
    }
    refused = {"$ref": "#/components/schemas/InferenceErrorResponse"}
    for item in document["paths"].values():
        for method in ("get", "post"):
            if method in item:
                content = {"application/json": {"schema": refused}}
                item[method]["responses"]["4XX"] = {"description": "Refused", "content": content}
    return document
