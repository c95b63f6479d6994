"""ZIP archives: the same content gives the same bytes, and one from elsewhere is read without trusting it."""

import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from mlops_assets.errors import EvidenceError

MOST_FILES = 5_000
LARGEST_FILE = 128 * 2**20
LARGEST_TOTAL = 256 * 2**20

_NAME = re.compile(r"\w[\w.@+-]*(/\w[\w.@+-]*)*", re.ASCII)
_LONGEST_NAME = 200
_BEGINNING_OF_TIME = (1980, 1, 1, 0, 0, 0)
# The end of an archive without a comment, which says how large its directory is. Before a 64-bit one stands a
# record of its own.
_END_BYTES, _END, _END_64_BYTES, _END_64 = 22, b"PK\x05\x06", 20, b"PK\x06\x07"
_LARGEST_DIRECTORY = MOST_FILES * (_LONGEST_NAME + 100)


def archived(files: Mapping[str, bytes]) -> bytes:
    """Return files as a ZIP archive: sorted by name, all of one time, readable by all."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _BEGINNING_OF_TIME)
            entry.compress_type, entry.create_system, entry.external_attr = (
                zipfile.ZIP_DEFLATED,
                3,
                0o644 << 16,
            )
            archive.writestr(entry, files[name])
    return content.getvalue()


def read_archive(path: Path) -> dict[str, bytes]:
    """Return the files of an archive by name.

    No name leads out of a folder, no two are the same, and what it unpacks to is limited beforehand.

    Raises:
        EvidenceError: It cannot be read, or is no such archive.
    """
    try:
        size = path.stat().st_size
        if size > LARGEST_TOTAL:
            raise EvidenceError(f"{path} is larger than {_told(LARGEST_TOTAL)}; it is not read")
        content = path.read_bytes()
    except OSError as error:
        raise EvidenceError(f"{path} cannot be read: {error.strerror}") from error
    try:
        _require_small_directory(content)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            _require_plain(entries)
            return {entry.filename: _content(archive, entry) for entry in entries}
    except EvidenceError as error:
        raise EvidenceError(f"{path} {error}; it is not read") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise EvidenceError(f"{path} is no intact ZIP archive ({error}); it is not read") from error


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Return what an entry unpacks to, which is no more than it says: read() alone unpacks all there is."""
    with archive.open(entry) as file:
        return file.read(entry.file_size + 1)


def _require_small_directory(content: bytes) -> None:
    """Refuse an archive whose directory would fill the memory as soon as it is opened."""
    end, before = content[-_END_BYTES:], content[-_END_BYTES - _END_64_BYTES : -_END_BYTES]
    if len(end) < _END_BYTES or end[:4] != _END:
        raise EvidenceError("does not end as a ZIP archive does")
    if before[:4] == _END_64 or int.from_bytes(end[12:16], "little") > _LARGEST_DIRECTORY:
        raise EvidenceError(f"holds more than {MOST_FILES:,} files")


def _require_plain(entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.orig_filename for entry in entries]
    if len(names) > MOST_FILES:
        raise EvidenceError(f"holds more than {MOST_FILES:,} files")
    for name, count in Counter(names).items():
        if len(name) > _LONGEST_NAME or not _NAME.fullmatch(name):
            raise EvidenceError(f"holds a file with a name that is not accepted: {name[:60]!r}")
        if count > 1:
            raise EvidenceError(f"holds {count} files named {name!r}")
    for entry in entries:
        if entry.file_size > LARGEST_FILE:
            raise EvidenceError(f"holds {entry.filename!r}, which unpacks to more than {_told(LARGEST_FILE)}")
        if entry.flag_bits & 0x1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise EvidenceError(f"holds {entry.filename!r}, which is encrypted or packed in an unusual way")
    if sum(entry.file_size for entry in entries) > LARGEST_TOTAL:
        raise EvidenceError(f"unpacks to more than {_told(LARGEST_TOTAL)}")


def _told(size: int) -> str:
    return f"{size // 2**20} MB"
