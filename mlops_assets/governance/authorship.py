"""Who wrote what stands in a file now: those who cannot approve it alone.

Git knows what its users say of themselves, after ``.mailmap``. That catches who approves their own work
without thinking of it; it is no proof against somebody who commits under another's name.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlops_assets.actor import os_user

_SHORTEST_COMMIT = 40
# They would lead git to another repository than the one the file lies in.
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")


def authors_of(files: Iterable[Path], timeout: float = 10.0) -> frozenset[str]:
    """Return names and e-mail addresses of those whose lines stand in the files.

    Lines that are not committed, and files of which git can tell nothing (no git, no repository, not
    added, too slow), count as the work of the user this process runs as. In a shallow clone everything
    older than the clone counts as the work of whoever made its oldest commit.

    Args:
        files: Files, in any number of repositories; never raises for one that cannot be read.
        timeout: Seconds that git may take for one of them.
    """
    return frozenset(author for file in files for author in _authors(file, timeout))


def _authors(file: Path, timeout: float) -> Iterator[str]:
    try:
        told = _blame(file, timeout)
    except (OSError, ValueError, subprocess.SubprocessError):
        yield os_user()
        return
    committed = True
    for line in told.decode(errors="replace").split("\n"):
        word, _, rest = line.partition(" ")
        if len(word) >= _SHORTEST_COMMIT:
            committed = bool(word.strip("0"))
        elif word == "author" and not committed:
            yield os_user()
        elif word in ("author", "author-mail") and committed:
            yield from filter(None, [rest.strip().removeprefix("<").removesuffix(">")])


def _blame(file: Path, timeout: float) -> bytes:
    """Return what git says of each commit that a line of the file is from, and nothing of the lines."""
    place = Path(os.path.realpath(file))
    # A setting of the clone may pass over commits (blame.ignoreRevsFile); whoever made them wrote them.
    command = ("git", "blame", "--ignore-revs-file=", "--incremental", "--encoding=UTF-8")
    environment = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    done = subprocess.run(
        (*command, "--", place.name),
        cwd=place.parent,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=True,
    )
    return done.stdout
