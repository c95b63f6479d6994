"""A home with models that serve, each with a package and a release of its own, and what they answered.

One model is trained; the others are the same under other names, their packages signed anew.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from mlops_assets.actor import os_user
from mlops_assets.data.features import FeatureView, types_of
from mlops_assets.digests import of_bytes, of_json
from mlops_assets.governance.evidence import Evidence, Subject
from mlops_assets.monitoring.performance.standard import FILE as STANDARD
from mlops_assets.monitoring.performance.standard import standard_of
from mlops_assets.monitoring.reference import FILE as REFERENCE
from mlops_assets.monitoring.reference import reference_of
from mlops_assets.prediction_log.instants import microseconds
from mlops_assets.prediction_log.prediction_ids import row_ids
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.records import Answers
from mlops_assets.prediction_log.segment_writer import SegmentWriter
from mlops_assets.registry.mlflow_registry import PACKAGE_PATH
from mlops_assets.registry.port import EVIDENCE_TAG
from mlops_assets.registry.proof import write_evidence
from mlops_assets.resources import Platform
from mlops_assets.specs.durations import utc_now
from mlops_assets.specs.gate_rules import AT_THE_ENDPOINT, EVIDENT
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy_file import load_policy
from mlops_assets.stages.fleet_look import WatchedModel
from mlops_assets.training import onnx_form
from mlops_assets.training.manifest import MANIFEST, SIGNATURE, Manifest
from mlops_assets.training.package import PackagedModel
from mlops_assets.training.package_writer import write_package
from mlops_assets.training.trainer import fit
from mlops_assets_tests.vouching import record_of

FIRST = datetime(2026, 1, 1)
_HISTORY_DAYS, _HISTORY_ROWS = 40, 500
_TEAMS, _A_REQUEST = 20, 100

Change: TypeAlias = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Sizes:
    """How large a fleet is.

    Attributes:
        models: How many.
        rows: Rows that each serves a day.
        columns: Numbers that each takes.
        labels: Whether labels come, almost two days later.
        sources: How many files they read; each model one of them, in turn.
    """

    models: int
    rows: int
    columns: int
    labels: bool = False
    sources: int = 50


def make_fleet(platform: Platform, sizes: Sizes) -> PackagedModel:
    """Make the models of a fleet champions on the platform's home, and return the package of them all."""
    watched = watched_models(sizes)
    package = _trained(watched[0].spec, platform, sizes)
    for model in watched:
        promote(model, package, platform)
    return package


def watched_models(sizes: Sizes) -> list[WatchedModel]:
    """Return the models of a fleet that was made."""
    specs = [_spec(f"model_{number:04d}", number, sizes) for number in range(sizes.models)]
    policy = load_policy()
    return [WatchedModel(spec, Path(), policy.tiers[spec.risk]) for spec in specs]


def _spec(name: str, number: int, sizes: Sizes) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "name": name,
            "owner": f"team:bench-{number % _TEAMS:02d}",
            "risk": "minimal",
            "purpose": "Stand for one of many.",
            "task": "binary_classification",
            "data": {
                "source": {"type": "csv", "path": f"shared_{number % sizes.sources}.csv"},
                "time_column": "t",
                "target": "y",
                "features": [f"x{column}" for column in range(sizes.columns)],
                "window": "90d",
                "label_delay": "2d" if sizes.labels else "0d",
            },
            "training": {"estimator": "sklearn.linear_model.LogisticRegression"},
            "evaluation": {"primary_metric": "roc_auc"},
            "monitoring": {"window": "day"},
        }
    )


def _rows(count: int, columns: int, start: datetime, days: int, seed: int) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(count, columns))
    names = [f"x{column}" for column in range(columns)]
    rows = pd.DataFrame(values, columns=names)
    likely = 1 / (1 + np.exp(-2 * values[:, 0]))
    step = timedelta(days=days) / count
    times = pd.Series(pd.date_range(start, periods=count, freq=step)).astype("datetime64[us]")
    return rows.assign(t=times, y=(generator.random(count) < likely).astype(int))


def _trained(spec: ModelSpec, platform: Platform, sizes: Sizes) -> PackagedModel:
    start = FIRST - timedelta(days=_HISTORY_DAYS)
    rows = _rows(_HISTORY_DAYS * _HISTORY_ROWS, sizes.columns, start, _HISTORY_DAYS, 1)
    older = rows["t"] < FIRST - timedelta(days=_HISTORY_DAYS / 2)
    view = FeatureView.from_spec(spec.data)
    features = view.compute(rows)
    estimator = fit(spec.training, spec.task, features[older], rows.loc[older, "y"])
    form, runtime = onnx_form.agreed_form(estimator, spec.task, features[~older])
    manifest = Manifest(
        model=spec.name,
        task=spec.task,
        inputs=spec.data.features,
        feature_names=tuple(features.columns),
        feature_types=types_of(features),
        feature_function=None,
        classes=(0, 1),
        runtime=runtime,
        time_column="t",
        target="y",
        lineage={"trained_until": FIRST.isoformat()},
    )

    def watched(draft: PackagedModel) -> dict[str, bytes]:
        unseen = rows[~older]
        reference = reference_of(rows, rows["t"], ~older, draft.predict, manifest, "day")
        standard = standard_of(unseen, unseen["t"], draft.predict, manifest, "roc_auc", (), "day")
        return {REFERENCE: reference.to_bytes(), STANDARD: standard.to_bytes()}

    kept = rows.loc[~older, [*(each.name for each in spec.data.features), "y"]].iloc[:5_000]
    folder = platform.home.root / "base"
    return write_package(
        folder,
        estimator,
        view,
        manifest,
        form,
        kept.reset_index(drop=True),
        platform.signer,
        further=watched,
    )


def serve(
    package: PackagedModel, model: str, log: Path, day: int, sizes: Sizes, change: Change = lambda rows: rows
) -> None:
    """Write what a model answered on a day, as a gateway does, and the labels that came.

    Args:
        package: The model's.
        model: Its name.
        log: The prediction log's folder.
        day: Which day, from 0.
        sizes: Of the fleet.
        change: What befell the rows on their way.
    """
    names = [each.name for each in package.manifest.inputs]
    recorder = Recorder(SegmentWriter(log, "test", sync=lambda file: None), bytes(32))
    form = recorder.form(model, "1", names)
    seed = 1_000 * day + int(of_bytes(model.encode())[:4], 16)
    rows = change(_rows(sizes.rows, sizes.columns, FIRST + timedelta(days=day), 1, seed))
    outputs = package.predict(rows[names])
    for first in range(0, len(rows), _A_REQUEST):
        part = slice(first, first + _A_REQUEST)
        at = [microseconds(each.to_pydatetime()) for each in rows["t"].iloc[part]]
        base = f"{at[0]:014x}"
        recorder.answers(
            form,
            Answers(
                base=base, served_at=at[-1], arm="champion", caller="someone",
                latency_us=1_000 + first % 997, probe=False, event_times=at,
                inputs=rows[names].iloc[part].to_numpy().T.tolist(), outputs=outputs[part].tolist(),
            ),
        )  # fmt: skip
        later = microseconds(FIRST + timedelta(days=day + 1, hours=23))
        told = zip(row_ids(base, len(at)), rows["y"].iloc[part], strict=True)
        if sizes.labels:
            recorder.feedback(model, [(id_, int(y), later) for id_, y in told])
    recorder.close()


def promote(
    model: WatchedModel, base: PackagedModel, platform: Platform, trained_until: datetime = FIRST
) -> None:
    """Make a package a model's champion, as of a training of its own.

    Args:
        model: The model.
        base: The package.
        platform: On its home.
        trained_until: What sets it apart from other versions.
    """
    registry, name = platform.registry, model.spec.name
    lineage = {"trained_until": trained_until.isoformat()}
    manifest = Manifest(**{**vars(base.manifest), "model": name, "lineage": lineage})
    content = manifest.to_bytes()
    candidate = of_bytes(content)
    run = registry.client.create_run(registry.experiment(name)).info.run_id
    place = Path(registry.client.get_run(run).info.artifact_uri.removeprefix("file://")) / PACKAGE_PATH
    place.mkdir(parents=True)
    for file in manifest.files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        os.link(base.folder / file, place / file)
    (place / MANIFEST).write_bytes(content)
    (place / SIGNATURE).write_bytes(platform.signer.sign(content))
    parts: dict[str, Any] = {part: of_json([name, part]) for part in Subject.model_fields if part != "model"}
    subject = Subject(**{**parts, "model": name, "candidate": candidate})
    evidence = Evidence(
        subject=subject,
        risk=model.spec.risk,
        owner=model.spec.owner,
        authors=("bench@example.org",),
        rules=model.rules,
        gates=tuple(record_of(gate, subject, model.rules) for gate in EVIDENT),
        made_at=utc_now(),
    )
    write_evidence(registry, run, evidence, platform.signer)
    version = registry.register(name, run, candidate, {EVIDENCE_TAG: evidence.digest})
    endpoint = [record_of(gate, subject, model.rules) for gate in AT_THE_ENDPOINT]
    platform.authority.promote(version, model.rules, endpoint, actor=os_user())
