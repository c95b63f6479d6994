"""Damage costs what it hits, and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.prediction_log.frames import Frame, Gap, framed, frames

MARK = b"\x01abc"
PAYLOADS = st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=8)


def read(content: bytes) -> tuple[list[bytes], list[Gap]]:
    found = list(frames(content, MARK))
    return [bytes(f.payload) for f in found if isinstance(f, Frame)], [f for f in found if isinstance(f, Gap)]


@given(PAYLOADS)
def test_what_was_framed_comes_back(payloads: list[bytes]) -> None:
    assert read(b"".join(framed(MARK, p) for p in payloads)) == (payloads, [])


@given(PAYLOADS, st.data())
def test_of_a_segment_that_ends_anywhere_all_whole_frames_are_read(
    payloads: list[bytes], data: st.DataObject
) -> None:
    whole = [framed(MARK, p) for p in payloads]
    content = b"".join(whole)
    end = data.draw(st.integers(0, len(content)))
    kept = [p for i, p in enumerate(payloads) if sum(map(len, whole[: i + 1])) <= end]
    found, gaps = read(content[:end])
    assert found == kept
    rest = end - sum(map(len, whole[: len(kept)]))
    assert gaps == ([Gap(end - rest, rest, tail=True)] if rest else [])


@given(PAYLOADS, st.data())
def test_damage_costs_the_frames_it_hits_and_is_told(payloads: list[bytes], data: st.DataObject) -> None:
    whole = [framed(MARK, p) for p in payloads]
    content = bytearray(b"".join(whole))
    start = data.draw(st.integers(0, len(content) - 1))
    end = data.draw(st.integers(start + 1, len(content)))
    content[start:end] = bytes(b ^ 0xFF for b in content[start:end])
    kept, at = [], 0
    for payload, frame in zip(payloads, whole, strict=True):
        if at + len(frame) <= start or at >= end:
            kept.append(payload)
        at += len(frame)
    found, gaps = read(bytes(content))
    assert found == kept
    assert sum(g.length for g in gaps) == len(content) - sum(len(framed(MARK, p)) for p in kept)
    assert [g.tail for g in gaps] == [gaps[0].offset + gaps[0].length == len(content)]


def test_a_hole_of_zeros_is_no_frame() -> None:
    content = framed(MARK, b"a") + bytes(4096) + framed(MARK, b"b")
    assert read(content) == ([b"a", b"b"], [Gap(13, 4096, tail=False)])
    assert read(bytes(100)) == ([], [Gap(0, 100, tail=True)])


def test_a_frame_within_a_payload_is_none_even_behind_damage() -> None:
    foreign = framed(b"\x02xyz", b"forged")
    content = framed(MARK, foreign) + framed(MARK, b"real")
    damaged = content[:4] + b"\xff" + content[5:]
    assert read(damaged)[0] == [b"real"]
