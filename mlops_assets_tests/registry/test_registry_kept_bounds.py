"""What a look goes on from is kept to the last bit, and believed only if the platform wrote it."""

from pathlib import Path

import numpy as np
import pytest

from mlops_assets.governance.signatures import Signer
from mlops_assets.governance.traffic import Traffic, Yardsticks
from mlops_assets.registry.kept_bounds import KeptBounds
from mlops_assets.rollout.running_bounds import RunningBounds, Stand
from mlops_assets.rollout.sequential_bounds import lower_bound, paired_differences
from mlops_assets.specs.durations import utc_now
from mlops_assets_tests.vouching import evidence_of, release_of

UNITS = np.random.default_rng(0).random((2, 12_000)).round()


def stands(units: int = 10_050) -> dict[str, Stand]:
    bounds = RunningBounds()
    bounds.lower("low error_rate", paired_differences(*UNITS[:, :units]), 0.05)
    return bounds.now


def traffic_of(rollout: int) -> Traffic:
    now = utc_now()
    return Traffic(
        terms=release_of(evidence_of()),
        serial=rollout,
        rollout=rollout,
        state="running",
        step=0,
        percent=5,
        paired=False,
        begun=now,
        step_begun=now,
        until=now,
        yardsticks=Yardsticks(),
        at=now,
        actor="tests",
    )


@pytest.fixture
def kept(tmp_path: Path, signer: Signer) -> KeptBounds:
    return KeptBounds(tmp_path / "bounds", lambda: signer, signer.verifier)


def test_a_look_goes_on_from_what_another_process_kept(kept: KeptBounds) -> None:
    assert kept.of(traffic_of(7)) == {}
    kept.keep(traffic_of(7), stands())
    read = kept.of(traffic_of(7))
    assert read == stands()
    found = paired_differences(*UNITS)
    assert RunningBounds(read).lower("low error_rate", found, 0.05) == lower_bound(found, 0.05)
    assert kept.of(traffic_of(8)) == {}  # another rollout


def test_what_was_altered_is_not_gone_on_from(kept: KeptBounds, caplog: pytest.LogCaptureFixture) -> None:
    kept.keep(traffic_of(7), stands())
    (file,) = kept.folder.iterdir()
    file.write_text(file.read_text().replace('"known":-', '"known":'))
    assert kept.of(traffic_of(7)) == {}
    assert "begins from scratch: is not signed with the platform key" in caplog.text


def test_where_nothing_can_be_kept_the_look_goes_on(
    kept: KeptBounds, caplog: pytest.LogCaptureFixture
) -> None:
    kept.folder.write_text("a file is in the way")
    kept.keep(traffic_of(7), stands())
    assert "the next look begins from scratch" in caplog.text
    assert kept.of(traffic_of(7)) == {}
