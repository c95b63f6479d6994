"""What the tests of streams share: a model and a log to answer with, without registry or broker."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from mlops_assets.prediction_log.log import PredictionLog
from mlops_assets.prediction_log.recorder import Recorder
from mlops_assets.prediction_log.segment_writer import SegmentWriter
from mlops_assets.serving.table import Resident
from mlops_assets.specs.data_spec import Entity
from mlops_assets.streaming.logged_offsets import LoggedOffsets
from mlops_assets.streaming.replies import Responder
from mlops_assets_tests.conftest import MakePackage, MakeSpec
from mlops_assets_tests.vouching import evidence_of, subject_of

LONG_AGO, LATER = datetime(2020, 1, 1), datetime(2100, 1, 1)


@dataclass
class Desk:
    """Where messages are replied to; each call of :meth:`responder` is another process's."""

    folder: Path
    champion: Resident
    recorder: Recorder = field(init=False)

    @property
    def log(self) -> PredictionLog:
        return PredictionLog(self.folder / "log")

    def responder(self) -> Responder:
        self.recorder = Recorder(SegmentWriter(self.folder / "log", "test"), b"secret")
        offsets = LoggedOffsets(self.folder / "streams", "small")
        return Responder("small", lambda: self.champion, self.recorder, self.log, offsets)


@pytest.fixture(scope="session")
def version_of(
    make_spec: MakeSpec, make_package: MakePackage, make_rows: Callable[..., pd.DataFrame]
) -> Callable[[str], Resident]:
    """Return a maker of versions of the model small, the packages of which differ."""

    @cache
    def make(version: str) -> Resident:
        package = make_package(make_spec(), make_rows(seed=int(version)))
        package.manifest = replace(package.manifest, entity=Entity(column="who"))
        return Resident("small", version, package, evidence_of(subject_of("small", package.digest)))

    return make


@pytest.fixture
def desk(version_of: Callable[[str], Resident], tmp_path: Path) -> Desk:
    return Desk(tmp_path, version_of("1"))
