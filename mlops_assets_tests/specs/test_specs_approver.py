"""Who may approve is written down so that everybody is one person with keys of their own."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pydantic import TypeAdapter, ValidationError

from mlops_assets.specs.approver import Approver, Approvers, folded
from mlops_assets.specs.part import ContradictionError

APPROVERS: TypeAdapter[tuple[Approver, ...]] = TypeAdapter(Approvers)


def key(number: int) -> str:
    public = Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)).public_key()
    return public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def entry(name: str = "Ada", number: int = 1, **changes: Any) -> dict[str, Any]:
    return {"name": name, "key": key(number), "identities": [f"{name.lower()}@example.com"], **changes}


def test_what_a_policy_says_is_read_and_written_unchanged() -> None:
    said = entry(teams=["team:risk"], valid_from="2024-01-01", valid_until="2024-12-31", revoked_on=None)
    read = Approver.model_validate(said)
    assert read.model_dump(mode="json") == said
    assert Approver.model_validate_json(read.model_dump_json()) == read
    assert read.fingerprint.startswith("SHA256:")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": " "}, "name"),
        ({"key": ""}, "key"),
        ({"key": "ssh-rsa AAAA"}, "keys of type ssh-rsa are not accepted"),
        ({"identities": []}, "identities"),
        ({"identities": ["ada@example.com", "  "]}, "identities"),
        ({"teams": ["risk"]}, "teams"),
        ({"valid_from": "2024-02-01", "valid_until": "2024-01-31"}, "which is no day at all"),
        ({"valid_until": "soon"}, "valid_until"),
        ({"keys": []}, "keys"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Approver.model_validate(entry(**changes))


def test_a_name_is_known_however_it_is_written() -> None:
    ada = Approver.model_validate(entry("Ada Lovelace", identities=["ADA@Example.com", "ada"]))
    assert ada.known_as == {"ada lovelace", "ada@example.com", "ada"}
    assert folded(" ANDRE\u0301 ") == folded("André")


def test_a_person_may_have_two_keys() -> None:
    old, new = entry(revoked_on="2024-05-01"), entry("ADA", 2, identities=["ada@example.com", "ada"])
    assert len(APPROVERS.validate_python([old, new, entry("Grace", 3)])) == 3


@pytest.mark.parametrize(
    ("second", "path", "said"),
    [
        (entry("Grace", 1), (1, "key"), "the key of Grace is already that of Ada"),
        (entry("Ada", 1, teams=["team:risk"]), (1, "key"), "the key of Ada is already that of Ada"),
        (
            entry("A. Lovelace", 2, identities=["ADA@example.com"]),
            (1, "identities"),
            "ada@example.com is both Ada and A. Lovelace",
        ),
        (entry("Grace", 2, identities=["ada"]), (1, "identities"), "ada is both Ada and Grace"),
    ],
    ids=["two persons, one key", "one key, listed twice", "one address, two names", "a name as identity"],
)
def test_one_person_cannot_be_listed_as_two(second: Any, path: tuple[Any, ...], said: str) -> None:
    with pytest.raises(ValidationError) as raised:
        APPROVERS.validate_python([entry(), second])
    (problem,) = raised.value.errors()
    contradiction = problem["ctx"]["error"]
    assert isinstance(contradiction, ContradictionError)
    ((where, message),) = contradiction.problems
    assert where == path
    assert said in message
