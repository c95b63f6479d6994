"""What a candidate was made with is kept whole, and known by the digest that is in its recipe."""

import pandas as pd
import pytest

from mlops_assets import digests
from mlops_assets.errors import PackageError
from mlops_assets.governance.environment import Environment


def test_it_names_every_installed_distribution() -> None:
    found = Environment.present()
    assert found.versions["pandas"] == pd.__version__
    assert found.versions["python"].count(".") == 2
    assert found.digest == digests.of_json(found.versions) == Environment.present().digest


def test_what_was_written_is_read_again() -> None:
    found = Environment.present()
    assert Environment.from_bytes(found.to_bytes()) == found


@pytest.mark.parametrize("content", [b"", b"[]", b'{"python": "3"}', b"\xff"])
def test_what_is_no_such_record_is_refused(content: bytes) -> None:
    with pytest.raises(PackageError, match="the record of the environment is of another form"):
        Environment.from_bytes(content)
