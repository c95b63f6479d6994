"""What runs keep as files, read without trusting where the registry says it is.

Whoever writes to the registry says under which names files come. None of them is written outside the folder
they are copied to, links are not followed, and what is no plain file is not waited for.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlparse
from urllib.request import url2pathname

from mlops_assets.errors import RegistryError

# Far beyond any package of ours, and short of what fills a usual disk.
MOST_FILES = 10_000
MOST_BYTES = 4 << 30
MOST_STATEMENT_BYTES = 16 << 20

_PIECE = 1 << 20


class NeedsMlflow(Exception):
    """Something that is read by MLflow only; the message says what."""


@dataclass
class Room:
    """What a copy may still take.

    Attributes:
        files: Number of files and folders.
        bytes: Bytes of all files.
    """

    files: int = MOST_FILES
    bytes: int = MOST_BYTES

    def take(self, *, files: int = 0, size: int = 0) -> None:
        """Use some of it.

        Raises:
            RegistryError: There is not that much left.
        """
        self.files -= files
        self.bytes -= size
        if self.files < 0 or self.bytes < 0:
            raise RegistryError(
                f"a package is larger than {MOST_BYTES >> 30} GB or has more than {MOST_FILES:,} files"
            )


def folder_of(uri: str) -> Path:
    """Return the folder that a run's files are in.

    Raises:
        NeedsMlflow: They are in no folder of this machine.
    """
    parsed = urlparse(uri)
    if parsed.scheme == "file" and parsed.netloc in ("", "localhost"):
        return Path(url2pathname(parsed.path))
    if parsed.scheme == "" and uri.startswith("/"):
        return Path(uri)
    raise NeedsMlflow(f"files at {parsed.scheme or uri[:40]}: are read by MLflow")


def read_file(root: Path, path: str) -> bytes | None:
    """Return a statement's bytes, or None if there is no such file.

    Raises:
        RegistryError: It lies elsewhere, is no plain file, or is far too large.
    """
    file = _below(root, path)
    try:
        with _opened(file) as source:
            content = source.read(MOST_STATEMENT_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if len(content) > MOST_STATEMENT_BYTES:
        raise RegistryError(f"{file} is larger than {MOST_STATEMENT_BYTES >> 20} MB")
    return content


def copy_folder(root: Path, path: str, into: Path) -> Path:
    """Return a copy of a folder below another, at the same place below ``into``.

    Raises:
        RegistryError: There is none, or it holds what a package does not.
    """
    source, target, room = _below(root, path), into / path, Room()
    if not source.is_dir():
        raise RegistryError(f"there is no packaged model at {source}")
    target.parent.mkdir(parents=True, exist_ok=True)
    waiting = [(source, target)]
    while waiting:
        folder, copy = waiting.pop()
        copy.mkdir()
        with os.scandir(folder) as entries:
            for entry in entries:
                room.take(files=1)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((folder / entry.name, copy / entry.name))
                else:
                    _copy(folder / entry.name, copy / entry.name, room)
    return target


def plain_name(name: str) -> str:
    """Return the name of a file or folder that somebody else gave it.

    Raises:
        RegistryError: It would lead to another folder.
    """
    if name in ("", ".", "..") or any(sign in name for sign in "/\\\0"):
        raise RegistryError(f"a file is called {name[:80]!r} in the registry, which is no name of a file")
    return name


def _below(root: Path, path: str) -> Path:
    place = (root / path).resolve()
    if not place.is_relative_to(root.resolve()):
        raise RegistryError(f"{root / path} leads out of {root}")
    return place


def _copy(source: Path, target: Path, room: Room) -> None:
    with _opened(source) as original, target.open("xb") as copy:
        while piece := original.read(_PIECE):
            room.take(size=len(piece))
            copy.write(piece)


def _opened(file: Path) -> BinaryIO:
    # Neither a link elsewhere, nor a pipe that nobody ever writes to.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    if not stat.S_ISREG(file.lstat().st_mode):
        raise RegistryError(f"{file} is a link or no plain file, and is not read")
    opened = os.fdopen(os.open(file, flags), "rb")
    if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
        opened.close()
        raise RegistryError(f"{file} is no plain file, and is not read")
    return opened
