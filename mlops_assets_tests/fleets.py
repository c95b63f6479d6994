"""Homes with real models in a real registry, and a gateway on them: in this process, or one of its own."""

import shutil
import socket
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import httpx
import numpy as np
import pandas as pd
import uvicorn
from sklearn.base import BaseEstimator
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression

from mlops_assets.data.columns import to_declared_types
from mlops_assets.data.features import FeatureView, types_of
from mlops_assets.gateway_process import running_gateway
from mlops_assets.governance.signatures import Signer
from mlops_assets.home import Home
from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.secret import secret_for
from mlops_assets.prediction_log.segment_writer import SegmentWriter
from mlops_assets.registry.mlflow_registry import ARTIFACT_PATH, MlflowRegistry
from mlops_assets.registry.port import (
    CHAMPION,
    EVIDENCE_TAG,
    RELEASE_TAG,
    ModelVersion,
    RegistryReader,
)
from mlops_assets.registry.promotion import promote
from mlops_assets.registry.proof import read_evidence, read_release, write_evidence
from mlops_assets.registry.training_run import log_training
from mlops_assets.serving.api_keys import KeyOwner, change_keys, new_key
from mlops_assets.serving.app import Gateway
from mlops_assets.serving.callers import RIGHTS
from mlops_assets.serving.connections import answered_by
from mlops_assets.serving.kept import Kept
from mlops_assets.serving.marks import Marks
from mlops_assets.serving.meters import Meters
from mlops_assets.serving.proving import Prover
from mlops_assets.serving.residency import Residency
from mlops_assets.serving.routing import Router
from mlops_assets.specs.data_spec import Column
from mlops_assets.specs.policy_file import load_policy
from mlops_assets.specs.tasks import Task
from mlops_assets.training import onnx_form
from mlops_assets.training.envelope import envelope_of
from mlops_assets.training.manifest import Manifest
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.package_writer import write_package
from mlops_assets_tests.vouching import evidence_of, release_of, subject_of

VISITS_FEATURES = '''
"""Features of the model visits; travels with it."""

import pandas as pd


def compute(rows: pd.DataFrame) -> pd.DataFrame:
    """Return numbers for text, times and booleans."""
    if (rows["spent"] == -1).any():
        raise ValueError("spent must not be -1")
    return pd.DataFrame(
        {
            "mobile": (rows["device"] == "mobile").astype("float64"),
            "hour": rows["visited_at"].dt.hour,
            "member": rows["member"],
            "pages": rows["pages"],
            "spent": rows["spent"].fillna(0.0),
        },
        index=rows.index,
    )
'''


@dataclass(frozen=True)
class Training:
    """All that makes one model: rows, declarations and an estimator."""

    model: str
    task: Task
    frame: pd.DataFrame
    inputs: tuple[Column, ...]
    target: str
    estimator: BaseEstimator
    time_column: str = "at"
    source: str | None = None

    @property
    def rows(self) -> pd.DataFrame:
        """The raw inputs."""
        return self.frame[[c.name for c in self.inputs]]

    def fitted(self) -> tuple[FeatureView, pd.DataFrame, Any]:
        view = FeatureView(self.inputs, self.source, "compute" if self.source else None)
        features = view.compute(self.frame)
        return view, features, self.estimator.fit(features, self.frame[self.target])


@dataclass
class Fleet:
    """A home with its registry, and the ways to put models there and take them to the gateway."""

    home: Home
    registry: MlflowRegistry = field(init=False)
    signer: Signer = field(init=False)
    _serial: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.home.prepare()
        self.registry = MlflowRegistry(self.home)
        self.signer = Signer.for_home(self.home.root)

    def add(self, training: Training, **changes: Any) -> ModelVersion:
        """Train, package, log and register a version.

        ``signer``, ``onnx`` and fields of the manifest may be given otherwise.
        """
        run = self.train(training, **changes)
        package = PackagedModel.open(
            self.registry.fetch_run_package(run), changes.get("signer", self.signer).verifier
        )
        candidate = changes.get("candidate", package.digest)
        evidence = evidence_of(subject_of(training.model, candidate))
        write_evidence(self.registry, run, evidence, self.signer)
        tags = {EVIDENCE_TAG: evidence.digest}
        return self.registry.register(training.model, run, candidate, tags)

    def train(self, training: Training, **changes: Any) -> str:
        """Train, package and log; return the run. What may be given otherwise is told above."""
        view, features, estimator = training.fitted()
        form, runtime = None, "native: as asked"
        if changes.get("onnx", True):
            form, runtime = onnx_form.agreed_form(estimator, training.task, features)
        classes = () if training.task == "regression" else tuple(estimator.classes_.tolist())
        manifest = Manifest(
            model=training.model,
            task=training.task,
            inputs=training.inputs,
            feature_names=tuple(features.columns),
            feature_types=types_of(features),
            feature_function=view.function,
            classes=classes,
            runtime=runtime,
            time_column=training.time_column,
            target=training.target,
            lineage={},
            envelope=envelope_of(training.frame, training.inputs),
        )
        named = {name: value for name, value in changes.items() if name in vars(manifest)}
        manifest = replace(manifest, **named)
        reference = training.frame[[*(c.name for c in training.inputs), training.target]].head(50)
        signer = changes.get("signer", self.signer)
        return log_training(
            self.registry,
            training.model,
            f"{len(self.registry.versions(training.model))}",
            name="test",
            params={},
            metrics={"rows": float(len(training.frame))},
            tags={},
            example=training.rows.head(2),
            write=lambda folder: write_package(folder, estimator, view, manifest, form, reference, signer),
        ).run_id

    def trained_package(self, run: str) -> PackagedModel:
        """Open the package of a run."""
        return PackagedModel.open(self.registry.fetch_run_package(run), self.signer.verifier)

    def package(self, version: ModelVersion) -> PackagedModel:
        """Open a version's package offline."""
        return PackagedModel.open(self.registry.fetch_package(version), self.signer.verifier)

    def package_folder(self, model: str, version: str) -> Path:
        """Return a version's folder in the artifact store, after giving it one that may be altered."""
        run_id = self.registry.version(model, version).run_id
        stored = self.registry.client.get_run(run_id).info.artifact_uri
        copy = self.home.mlflow_artifacts / run_id
        shutil.copytree(url2pathname(urlparse(stored).path), copy)
        with closing(sqlite3.connect(self.home.root / "mlflow.db")) as database, database:
            change = "UPDATE runs SET artifact_uri = ? WHERE run_uuid = ?"
            assert database.execute(change, (copy.as_uri(), run_id)).rowcount == 1
        return copy / ARTIFACT_PATH / "data" / "package"

    def promote(self, model: str, version: str, alias: str = CHAMPION) -> None:
        """Point an alias at a version; at a champion with the release that lets it serve."""
        if alias == CHAMPION:
            self.release(model, version)
        self.registry.set_alias(model, alias, version)

    def key(self, caller: str, *models: str) -> str:
        """Return an API key with which a caller may do anything with some models; it closes the gateway."""
        key, stored = new_key(datetime.now(UTC), None)
        owner = KeyOwner(caller, models, rights=RIGHTS, keys=(stored,))
        change_keys(self.home.api_keys, lambda file: file.adding(owner))
        return key

    def hand_over(self, model: str, version: str) -> None:
        """Promote a version as the platform does, with the way back in place."""
        to = self.registry.version(model, version)
        assert to is not None
        carried = [(v, read_release(v, self.signer.verifier)) for v in self.registry.versions(model)]
        serials = [(release.serial, version) for version, release in carried if release]
        current = max(serials, key=lambda each: each[0])[1] if serials else None
        promote(self.registry, to, current, lambda to, _: self.signed_release(to.model, to.version))

    def release(self, model: str, version: str, **changes: Any) -> None:
        """Have a version carry a release newer than all others of the model."""
        signed = self.signed_release(model, version, **changes)
        self.registry.set_tag(model, version, RELEASE_TAG, signed)

    def signed_release(self, model: str, version: str, **changes: Any) -> str:
        """Return a release of a version that is newer than all others of the model."""
        registered = self.registry.version(model, version)
        assert registered is not None
        evidence = read_evidence(self.registry, registered, self.signer.verifier)
        carried = [read_release(v, self.signer.verifier) for v in self.registry.versions(model)]
        # Greater than any before also when the model is registered anew, as the platform's are.
        self._serial = serial = max(self._serial, *(r.serial for r in carried if r), 0) + 1
        changes = {"mlflow_run": registered.run_id, **changes}
        return release_of(evidence, version, serial, **changes).sealed(self.signer)


def constant(model: str, value: float) -> Training:
    """A regression that answers ``value`` whatever it is asked: a version known by its answers."""
    frame = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [value] * 3})
    return Training(model, "regression", frame, (Column(name="x"),), "y", LinearRegression())


def visits(seed: int = 0) -> Training:
    """A binary classification whose raw inputs are of every type, with a feature function."""
    random = np.random.default_rng(seed)
    n = 400
    inputs = (
        Column(name="device", type="string"),
        Column(name="visited_at", type="datetime"),
        Column(name="member", type="boolean"),
        Column(name="pages", type="integer"),
        Column(name="spent", type="number", nullable=True),
    )
    frame = pd.DataFrame(
        {
            "device": random.choice(["mobile", "desktop"], n),
            "visited_at": pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 9000, n), "min"),
            "member": random.random(n) < 0.4,
            "pages": random.integers(1, 30, n),
            "spent": np.where(random.random(n) < 0.2, np.nan, random.gamma(2.0, 20.0, n)),
        }
    )
    score = 0.2 * frame["pages"] + 2.0 * frame["member"] - (frame["device"] == "mobile") - 3.0
    frame["bought"] = (random.random(n) < 1 / (1 + np.exp(-score))).astype(int)
    frame = to_declared_types(frame, inputs)
    return Training(
        "visits",
        "binary_classification",
        frame,
        inputs,
        "bought",
        LogisticRegression(max_iter=500),
        time_column="visited_at",
        source=VISITS_FEATURES,
    )


def guarded() -> Training:
    """Visits of which some values are refused, one is hashed in the log, and one is dropped there."""
    rules: dict[str, dict[str, Any]] = {
        "device": {"allowed": ("mobile", "desktop"), "outside": "refuse", "sensitive": True, "log": "hash"},
        "pages": {"range": (0, 100), "outside": "refuse"},
        "spent": {"sensitive": True, "log": "drop"},
    }
    base = visits()
    inputs = tuple(column.model_copy(update=rules.get(column.name, {})) for column in base.inputs)
    return replace(base, model="guarded", inputs=inputs)


def iris() -> Training:
    """Fisher's irises: a multiclass classification with text labels."""
    data = load_iris(as_frame=True)
    names = [f"{part}_{size}" for part in ("sepal", "petal") for size in ("length", "width")]
    frame = data.data.set_axis(names, axis=1)
    frame["species"] = data.target.map(dict(enumerate(map(str, data.target_names)))).astype(object)
    inputs = tuple(Column(name=name) for name in names)
    estimator = LogisticRegression(max_iter=500)
    return Training("iris", "multiclass_classification", frame, inputs, "species", estimator)


def diabetes() -> Training:
    """Progression of diabetes: a regression."""
    frame = load_diabetes(as_frame=True).frame
    inputs = tuple(Column(name=name) for name in frame.columns if name != "target")
    return Training("diabetes", "regression", frame, inputs, "target", LinearRegression())


@dataclass(frozen=True)
class InProcess:
    """A gateway's parts without a server, for what is better seen from inside."""

    fleet: Fleet
    router: Router
    recorder: Recorder
    log: PredictionLog
    meters: Meters
    gateway: Gateway

    @cached_property
    def client(self) -> Any:
        """A client of the application alone: the test itself moves the router, step by step."""
        with warnings.catch_warnings():  # TestClient would rather have another release of httpx
            warnings.simplefilter("ignore")
            from starlette.testclient import TestClient

        return TestClient(self.gateway.app(), raise_server_exceptions=False)

    def settle(self) -> None:
        """Follow the registry until nothing is loading any more."""
        self.router.follow()
        while self.router._loads.pending:
            for loading in list(self.router._loads.pending.values()):
                loading.exception()
            self.router.follow()


@dataclass
class Listening:
    """A gateway of this process that answers on a port, and the paths that reached its application."""

    inside: InProcess
    keep_alive_seconds: int = 60
    send_buffer: int | None = None
    passed_on: list[str] = field(default_factory=list)
    address: tuple[str, int] = field(init=False)
    server: uvicorn.Server = field(init=False)

    def __enter__(self) -> "Listening":
        listener = socket.socket()
        if self.send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self.send_buffer)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        self.address = listener.getsockname()
        config = uvicorn.Config(
            self._noted(self.inside.gateway.app()),
            http=answered_by(self.inside.gateway.front()),
            lifespan="off",  # the test itself moves the router
            log_config=None,
            access_log=False,
            timeout_keep_alive=self.keep_alive_seconds,
        )
        self.server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.server.run, args=[[listener]])
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self._thread.join()

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.address)

    def _noted(self, app: Any) -> Any:
        async def noted(scope: Any, receive: Any, send: Any) -> None:
            self.passed_on.append(scope["path"])
            await app(scope, receive, send)

        return noted


@contextmanager
def in_process(
    fleet: Fleet,
    log_path: Path | None = None,
    marks: Marks | None = None,
    prover: Prover | None = None,
    may_have_changed: Callable[[], bool] | None = None,
    kept: Kept | None = None,
    registry: RegistryReader | None = None,
    residency: Residency | None = None,
    **options: Any,
) -> Iterator[InProcess]:
    meters = Meters()
    router = Router(
        registry or fleet.registry,
        prover or Prover(fleet.signer.verifier, load_policy),
        marks or Marks(),
        lambda problem: meters.incidents.labels(problem.kind, problem.model or "").inc(),
        may_have_changed,
        kept,
        **({"load_with": residency.load, "publish": residency.settle} if residency else {}),
    )
    folder = log_path or fleet.home.prediction_log
    recorder = Recorder(SegmentWriter(folder, "test"), secret_for(fleet.home.root))
    try:
        gateway = Gateway(router, recorder, meters, residency=residency, **options)
        yield InProcess(fleet, router, recorder, PredictionLog(folder), meters, gateway)
    finally:
        recorder.close()


@dataclass(frozen=True)
class Served:
    """A running gateway process and the fleet behind it."""

    fleet: Fleet
    http: httpx.Client
    url: str


@contextmanager
def serve(fleet: Fleet) -> Iterator[Served]:
    with running_gateway(fleet.home) as client, httpx.Client(base_url=client.url, trust_env=False) as http:
        yield Served(fleet, http, client.url)
