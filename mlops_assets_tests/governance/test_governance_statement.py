"""What is signed by itself is read back only as what it was, whatever text stands in its place."""

from datetime import datetime

import pytest

from mlops_assets.errors import EvidenceError
from mlops_assets.governance.drill import Drill
from mlops_assets.governance.envelope import seal
from mlops_assets.governance.signatures import Signer

DRILL = Drill(
    model="m", champion="2", way_back="1", passed=True, seconds=0.5, at=datetime(2026, 1, 1), actor="Ada"
)


def test_a_statement_is_known_by_what_it_says_and_not_by_who_signed_it(signer: Signer) -> None:
    read = Drill.unsealed(DRILL.sealed(signer), signer.verifier)
    assert (read, read.digest) == (DRILL, DRILL.digest)
    assert DRILL.model_copy(update={"passed": False}).digest != DRILL.digest


@pytest.mark.parametrize(
    "text",
    ["", "None", "\ud800", '{"kind":"drill/1","signature":"","value":"\ud800"}'],
    ids=["empty", "None", "half a character", "half a character within"],
)
def test_text_that_is_no_statement_is_refused_in_a_sentence(text: str, signer: Signer) -> None:
    with pytest.raises(EvidenceError, match="is no signed statement"):
        Drill.unsealed(text, signer.verifier)


def test_a_statement_of_another_form_is_refused(signer: Signer) -> None:
    later = seal(Drill.kind, {**DRILL.plain(), "weather": "fair"}, signer)
    with pytest.raises(EvidenceError, match="of another form than this version of the platform writes"):
        Drill.unsealed(later, signer.verifier)
