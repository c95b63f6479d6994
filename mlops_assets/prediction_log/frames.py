"""Frames: how records lie in a segment, so that damage is found and what is behind it is not lost.

A frame is the segment's own mark (4 bytes at random, in its name), the payload's length, a CRC-32 that
starts from the length, and the payload. Behind damage reading goes on at the next mark whose CRC is right.
Callers do not know the mark, so nothing they send can pass for a frame.
"""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_HEAD = struct.Struct("<4sII")


@dataclass(frozen=True)
class Frame:
    """A whole frame: where it begins, and its payload."""

    offset: int
    payload: memoryview


@dataclass(frozen=True)
class Gap:
    """Bytes that are no frame.

    Attributes:
        offset: Where they begin.
        length: How many.
        tail: Whether no frame follows: the writer died in the middle of writing, so that nobody was
            told that it was written.
    """

    offset: int
    length: int
    tail: bool


def framed(mark: bytes, payload: bytes) -> bytes:
    """Return a payload as a frame."""
    return _HEAD.pack(mark, len(payload), zlib.crc32(payload, len(payload))) + payload


def frames(content: bytes, mark: bytes) -> Iterator[Frame | Gap]:
    """Yield the frames of a segment in order, and the gaps between them."""
    view, at = memoryview(content), 0
    while at < len(content):
        end = _end(view, mark, at)
        if end is not None:
            yield Frame(at, view[at + _HEAD.size : end])
            at = end
            continue
        following = _next(content, view, mark, at + 1)
        until = len(content) if following is None else following
        yield Gap(at, until - at, tail=following is None)
        at = until


def _end(view: memoryview, mark: bytes, at: int) -> int | None:
    """Return where the frame ends that begins somewhere, or None if none does."""
    start = at + _HEAD.size
    if start > len(view):
        return None
    found, length, checksum = _HEAD.unpack_from(view, at)
    end = start + length
    if found != mark or end > len(view) or zlib.crc32(view[start:end], length) != checksum:
        return None
    return int(end)


def _next(content: bytes, view: memoryview, mark: bytes, at: int) -> int | None:
    at = content.find(mark, at)
    while at >= 0:
        if _end(view, mark, at) is not None:
            return at
        at = content.find(mark, at + 1)
    return None
