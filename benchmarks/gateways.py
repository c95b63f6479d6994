"""Our own gateway as it is compared: with every feature on, without ONNX, and with many models."""

import sys
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from peers import model
from servers import Running, Server, split_frame, split_texts

if TYPE_CHECKING:
    from mlops_assets.home import Home
    from mlops_assets_tests.fleets import Fleet

_CANARY_PERCENT = 25
_FEW_ROWS = 300
_LOADING_SECONDS = 120.0


def every_feature(scratch: Path) -> Server:
    """Return it as it is asked most of: callers are known by a key, and the model is in a rollout.

    A quarter of the requests goes to the challenger, and whichever arm does not answer is asked unseen.
    Values are held against ranges and against what the model was trained on.
    """
    from sklearn.ensemble import GradientBoostingClassifier

    home, fleet = _fleet(scratch / "every_feature")
    training = _training()
    fleet.add(training)
    fleet.add(replace(training, estimator=GradientBoostingClassifier(random_state=0, learning_rate=0.11)))
    _roll_out(fleet)
    return replace(_server("mlops_assets", home, split_frame), headers={"x-api-key": _key(home)})


def without_onnx(scratch: Path) -> Server:
    """Return it with a model that takes text."""
    from mlops_assets.specs.data_spec import Column

    inputs = tuple(
        Column(name=name, type="string" if place < model.TEXTS else "number", nullable=True)
        for place, name in enumerate(model.COLUMNS)
    )
    frame = model.text_frame().assign(label=model.training_rows()[1])
    home, fleet = _fleet(scratch / "without_onnx")
    training = replace(_training(), frame=frame, inputs=inputs, estimator=model.text_estimator())
    fleet.promote("m", fleet.add(training).version)
    return _server("mlops_assets", home, split_texts)


def many(scratch: Path, models: int) -> Server:
    """Return it with so many models, called ``model_0`` and so on."""
    home, fleet = _fleet(scratch / f"{models}_models")
    training = _training()
    few = training.frame.head(_FEW_ROWS)  # the trees are as many, and training takes less
    for number in range(models):
        named = replace(training, model=f"model_{number}", frame=few)
        fleet.promote(named.model, fleet.add(named).version)
    server = _server(f"{models} models", home, split_frame)
    return replace(server, path="/models/model_0/invocations")


def wait_until_loaded(running: Running, models: int) -> None:
    """Return as soon as a gateway of :func:`many` serves them all: the first one does long before."""
    from mlops_assets.gateway_client import GatewayClient

    with closing(GatewayClient(urljoin(running.url, "/").rstrip("/"))) as client:
        for number in range(models):
            client.wait_for_champion(f"model_{number}", "1", timeout=_LOADING_SECONDS)


def unasked(running: Running) -> tuple[int, int]:
    """Return how many requests a gateway in a rollout has left out of its shadow, and of how many."""
    from prometheus_client.parser import text_string_to_metric_families

    asked = urllib.request.Request(urljoin(running.url, "/metrics"), headers=running.server.headers)
    counted: Counter[str] = Counter()
    with urllib.request.urlopen(asked) as answer:
        for family in text_string_to_metric_families(answer.read().decode()):
            for sample in family.samples:
                counted[sample.name] += int(sample.value)
    return counted["mlops_gateway_shadow_dropped_total"], counted["mlops_gateway_requests_total"]


def _fleet(root: Path) -> "tuple[Home, Fleet]":
    from mlops_assets.home import Home
    from mlops_assets_tests.fleets import Fleet

    home = Home(root)
    return home, Fleet(home)


def _training() -> Any:
    import pandas as pd

    from mlops_assets.specs.data_spec import Column
    from mlops_assets_tests.fleets import Training

    features, labels = model.training_rows()
    frame = pd.DataFrame(features, columns=model.COLUMNS).assign(label=labels)
    inputs = tuple(Column(name=name, nullable=True, range=(-4.0, 4.0)) for name in model.COLUMNS)
    return Training("m", "binary_classification", frame, inputs, "label", model.estimator())


def _roll_out(fleet: "Fleet") -> None:
    """Promote the first version and have the second answer its share, each request being shadowed."""
    from mlops_assets.registry.port import TRAFFIC_TAG
    from mlops_assets_tests.rollouts import Trial, rollout_rules

    trial = Trial(fleet, rollout_rules(strategy="blue_green", canary=()))
    trial.promote("1")
    record = trial.begin("2", classes=(0, 1)).model_copy(update={"percent": _CANARY_PERCENT})
    fleet.registry.set_tag("m", "2", TRAFFIC_TAG, record.sealed(fleet.signer))


def _key(home: "Home") -> str:
    from mlops_assets.serving.api_keys import KeyOwner, change_keys, new_key, now

    key, stored = new_key(now(), None)
    owner = KeyOwner("client", ("*",), ("predict", "see"), (stored,))
    change_keys(home.api_keys, lambda file: file.adding(owner))
    return key


def _server(name: str, home: "Home", body: Callable[[int], bytes]) -> Server:
    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "mlops_assets.serving", "--port", str(port)]

    return Server(name, "/models/m/invocations", body, command, home.environment())
