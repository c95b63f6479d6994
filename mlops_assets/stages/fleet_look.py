"""What a monitoring pass knows of the fleet, asked once for all models, and how it looks at one of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from mlops_assets.data.sources import Window, read_window
from mlops_assets.errors import DataError, EvidenceError
from mlops_assets.governance.release import Release
from mlops_assets.home import write_atomically
from mlops_assets.monitoring.assessment.assess import Looked, assess
from mlops_assets.monitoring.assessment.budget import Budget
from mlops_assets.monitoring.assessment.holdout import HoldoutRows
from mlops_assets.monitoring.assessment.subject import Span, Subject
from mlops_assets.monitoring.incidents.upstream import WatchedModel as Upstream
from mlops_assets.monitoring.service.cost import ProcessorTime
from mlops_assets.monitoring.windows import Period
from mlops_assets.registry.port import CHAMPION, EVIDENCE_TAG, ModelVersion
from mlops_assets.registry.proof import read_evidence
from mlops_assets.resources import Platform
from mlops_assets.specs.alert_rules import PLATFORM_OWNER
from mlops_assets.specs.model_spec import ModelSpec
from mlops_assets.specs.policy import Rules

# How many of the last windows tell what is usual: a year of months, four weeks of days, a week of hours.
_RECENT: dict[Period, int] = {"hour": 168, "day": 28, "week": 13, "month": 12}
_PROJECT_FILES = ("pyproject.toml", "dg.toml")


@dataclass(frozen=True)
class WatchedModel:
    """A model that is watched.

    Attributes:
        spec: Its spec.
        folder: Folder to which the spec's relative paths refer.
        rules: All that is demanded of it.
    """

    spec: ModelSpec
    folder: Path
    rules: Rules


class FleetLook:
    """One pass's look at the fleet.

    Args:
        platform: The platform.
        fleet: Every model, also those that the pass does not look at: owners share their budgets, and
            incidents their causes.
    """

    def __init__(self, platform: Platform, fleet: Sequence[WatchedModel]) -> None:
        self._platform = platform
        self._fleet = {model.spec.name: model for model in fleet}

    def at(self, model: WatchedModel, span: Span) -> Looked:
        """Return what a window says about the version that answered most of it.

        That is the champion unless the champion is newer than the window: labels that come later are of the
        version that was there.

        Raises:
            DataError: No version of it serves.
            PackageError: What it is held against is missing or was altered.
        """
        spec, platform = model.spec, self._platform
        release = self._release(spec.name)
        if release is None:
            raise DataError("no champion to watch; run its lifecycle first")
        with platform.prediction_log.served(spec.name, span.start, span.end) as served:
            subject = self._subject(model, self._answering(release, served.versions), release)
            subject.require_standards()
            history = platform.state.history(
                spec.name, subject.version, span.start, _RECENT[spec.monitoring.window]
            )
            return assess(
                subject,
                platform.prediction_log,
                served,
                span,
                history,
                self.upstream(spec.name),
                unseen_rows=self._unseen_rows(model, release, span.as_of),
            )

    def serves(self, name: str, version: str) -> bool:
        """Return whether a version is a model's champion."""
        release = self._release(name)
        return release is not None and release.version == version

    def upstream(self, name: str, judged_until: datetime | None = None) -> Upstream:
        """Return what a model hangs on."""
        model, release = self._fleet[name], self._releases.get(name)
        return Upstream.of(
            model.spec,
            model.folder,
            _root_of(model.folder),
            version=release.version if release else None,
            deployed_at=release.at if release else None,
            judged_until=judged_until,
        )

    def lineage(self) -> list[Upstream]:
        """Return what all models hang on, with the end of the newest window of each that was looked at.

        A model that serves is among them though its spec is gone or wrong: nobody knows what it hangs on,
        and what goes on with it is not over.
        """
        judged = self._platform.state.judged_until()
        known = [self.upstream(name, judged.get(name)) for name in self._fleet]
        serving = (name for name, aliases in self._aliases.items() if CHAMPION in aliases)
        return known + [
            Upstream(model=name, owner=PLATFORM_OWNER, risk="minimal", judged_until=judged.get(name))
            for name in serving
            if name not in self._fleet
        ]

    @cached_property
    def _releases(self) -> Mapping[str, Release]:
        return self._platform.authority.releases()

    @cached_property
    def _aliases(self) -> Mapping[str, Mapping[str, str]]:
        return self._platform.registry.aliases()

    @cached_property
    def _owned(self) -> Mapping[str, int]:
        """How many models of each owner share a budget."""
        found: dict[str, int] = {}
        for model in self._fleet.values():
            found[model.spec.owner] = found.get(model.spec.owner, 0) + 1
        return found

    def _release(self, name: str) -> Release | None:
        """Return the release that holds; asked of the registry only where the alias names another version."""
        entered = self._releases.get(name)
        if entered is not None and self._aliases.get(name, {}).get(CHAMPION) == entered.version:
            return entered
        return self._platform.authority.release(name)

    def _answering(self, release: Release, versions: Mapping[str, int]) -> ModelVersion:
        """Return the version that answered most; the champion where that is not to be had any more."""
        most = max(versions, key=lambda each: (versions[each], each == release.version), default="")
        if most in ("", release.version):
            return _version(release)
        return self._proven(release.model, most) or _version(release)

    def _proven(self, model: str, version: str) -> ModelVersion | None:
        """Return a version whose package is the one that its evidence is about."""
        found = self._platform.registry.version(model, version)
        try:
            evidence = found and read_evidence(self._platform.registry, found, self._platform.verifier)
        except EvidenceError:
            return None
        return found if found and evidence and evidence.subject.candidate == found.candidate else None

    def _subject(self, model: WatchedModel, version: ModelVersion, release: Release) -> Subject:
        platform, files = self._platform, self._platform.package_files
        spec, rules = model.spec, model.rules
        return Subject(
            spec=spec,
            rules=rules,
            version=version.version,
            manifest=files.manifest(version),
            content=lambda name: files.content(version, name),
            holdout=lambda: HoldoutRows(
                platform.package(version.run_id, version.candidate).reference(), files.manifest(version)
            ),
            budget=Budget.of(
                rules.monitoring.false_alarms, self._owned.get(spec.owner, 1), spec.monitoring.window
            ),
            deployed_at=release.at if version.version == release.version else None,
            processor=self._processor(version),
        )

    def _processor(self, version: ModelVersion) -> ProcessorTime | None:
        """Return what gate ``cost`` measured; kept beside the package's files, as it never changes."""
        kept = self._platform.home.watched / version.candidate / f"{version.tags[EVIDENCE_TAG]}.json"
        try:
            known = json.loads(kept.read_bytes())
            return known and ProcessorTime(*known)
        except (OSError, ValueError, TypeError):
            pass
        try:
            evidence = read_evidence(self._platform.registry, version, self._platform.verifier)
        except EvidenceError:
            return None
        record = next((gate for gate in evidence.gates if gate.measurement.gate == "cost"), None)
        found = {figure.name: figure.value for figure in record.measurement.figures} if record else {}
        single, price = found.get("processor seconds for 1,000"), found.get("price of a processor hour")
        together = found.get("cost of 1,000 predictions in batches")
        processor = None
        if single is not None and price and together is not None:
            processor = ProcessorTime(single / 1000, together / price * 3600 / 1000)
        write_atomically(kept, json.dumps(processor and [processor.single, processor.in_batch]).encode())
        return processor

    def _unseen_rows(self, model: WatchedModel, release: Release, as_of: datetime) -> int | None:
        """Return how many rows the source has that no training saw; asked only if a rule needs it."""
        spec, platform = model.spec, self._platform
        if spec.retraining.on_new_rows is None and spec.retraining.on_gain is None:
            return None
        evidence = read_evidence(platform.registry, _version(release), platform.verifier)
        seen = datetime.fromisoformat(evidence.facts["window"].split("/")[1])
        until = as_of - spec.data.label_delay
        if until <= seen:
            return 0
        try:
            return len(read_window(spec.data, Window(seen, until), model.folder))
        except DataError:
            return 0


def _version(release: Release) -> ModelVersion:
    """Return the version that a release lets serve, on the evidence that it was released on."""
    tags = {EVIDENCE_TAG: release.evidence}
    return ModelVersion(release.model, release.version, release.candidate, release.mlflow_run, tags)


def _root_of(folder: Path) -> Path:
    """Return the project that a spec lies in, so that its files have one name on every machine."""
    around = [folder.absolute(), *folder.absolute().parents]
    return next(
        (each for each in around if any((each / name).exists() for name in _PROJECT_FILES)), around[0]
    )
