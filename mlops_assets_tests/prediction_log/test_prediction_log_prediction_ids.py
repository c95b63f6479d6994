"""Ids sort by time, are never the same, and tell whether we gave them out."""

import os
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.prediction_log.prediction_ids import PredictionIds, base_of, row_id, row_ids
from mlops_assets_tests.together import together

SECRET = bytes(range(32))


def test_ids_are_known_for_their_model_and_secret_alone() -> None:
    ids = PredictionIds(SECRET)
    new = ids.new("m")
    assert PredictionIds(SECRET).given_out(new, "m")
    assert ids.given_out(row_id(new, 7), "m")
    assert row_ids(new, 3) == [row_id(new, row) for row in range(3)]
    assert not ids.given_out(new, "n")
    assert not PredictionIds(bytes(32)).given_out(new, "m")
    assert base_of(row_id(new, 7)) == base_of(row_id(new, 0)) == new


@given(st.text(max_size=50))
def test_any_text_is_no_id(text: str) -> None:
    assert not PredictionIds(SECRET).given_out(text, "m")


@given(st.integers(0, 33), st.sampled_from("0123456789abcdef-G "))
def test_an_id_with_one_other_character_is_none(at: int, character: str) -> None:
    ids = PredictionIds(SECRET)
    new = ids.new("m")
    changed = new[:at] + character + new[at + 1 :]
    assert ids.given_out(changed, "m") == (changed == new)


def test_an_id_cannot_be_computed_from_others_as_from_a_checksum() -> None:
    # A CRC of equally long texts is linear: from three ids with their checksums follows a fourth.
    ids = PredictionIds(SECRET)
    a, b, c = (ids.new("m") for _ in range(3))
    forged = f"{int(a, 16) ^ int(b, 16) ^ int(c, 16):034x}"
    assert not ids.given_out(forged, "m")


def test_ids_sort_by_time() -> None:
    ids = PredictionIds(SECRET)
    made = [ids.new("m") for _ in range(2000)]
    assert [i[:14] for i in made] == sorted(i[:14] for i in made)
    assert len({len(i) for i in made}) == 1


def test_threads_never_give_out_the_same_id() -> None:
    ids = PredictionIds(SECRET)
    with ThreadPoolExecutor(8) as pool:
        made = [i for each in pool.map(lambda _: [ids.new("m") for _ in range(1000)], range(8)) for i in each]
    assert len(set(made)) == len(made) == 8000


def _forked(_: int) -> bool:
    """Return whether a forked worker takes other random digits than its parent."""
    ids = PredictionIds(SECRET)
    ids.new("m")
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        os.write(writer, ids.new("m").encode())
        os._exit(0)
    os.waitpid(child, 0)
    return os.read(reader, 100).decode()[14:26] != ids.new("m")[14:26]


def test_a_forked_worker_does_not_give_out_the_ids_of_its_parent() -> None:
    assert together(_forked, [0]) == [True]
