"""Who wrote what stands in a file now: those who cannot approve it alone.

Git knows what its users say of themselves, before and after ``.mailmap``. That catches who approves their own
work without thinking of it; it is no proof against somebody who commits under another's name.
"""

import os
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlops_assets.actor import os_user

_COMMIT = re.compile("[0-9a-f]{40,} ")
# What a clone's settings may pass over (blame.ignoreRevsFile) or show otherwise (textconv), somebody wrote.
_BLAME = ("blame", "--ignore-revs-file=", "--no-textconv", "--incremental", "--encoding=UTF-8")
_LOG = ("log", "--no-walk=unsorted", "--encoding=UTF-8", "--format=%an%n%ae")
# They would lead git to another repository than the one the file lies in.
_MISLEADING = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")
# A clone can put other commits in the place of those that were made, and other parents.
_AS_IT_WAS = {"GIT_NO_REPLACE_OBJECTS": "1", "GIT_GRAFT_FILE": os.devnull}


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
        told = _git(file, timeout, *_BLAME, "--", Path(os.path.realpath(file)).name)
        lines = told.decode(errors="replace").split("\n")
        commits = {c for line in lines if _COMMIT.match(line) and (c := line.split(" ")[0]).strip("0")}
        # A .mailmap may lie there uncommitted, and say that somebody is somebody else.
        unmapped = _git(file, timeout, *_LOG, *commits).decode(errors="replace") if commits else ""
    except (OSError, ValueError, subprocess.SubprocessError):
        yield os_user()
        return
    committed = True
    for line in lines:
        word, _, rest = line.partition(" ")
        if _COMMIT.match(line):
            committed = bool(word.strip("0"))
        elif word == "author" and not committed:
            yield os_user()
        elif word in ("author", "author-mail") and committed:
            yield from filter(None, [rest.strip().removeprefix("<").removesuffix(">")])
    yield from filter(None, map(str.strip, unmapped.split("\n")))


def _git(file: Path, timeout: float, *command: str) -> bytes:
    """Return what git says in the folder of a file."""
    environment = {name: value for name, value in os.environ.items() if name not in _MISLEADING}
    done = subprocess.run(
        ("git", *command),
        cwd=Path(os.path.realpath(file)).parent,
        env={**environment, **_AS_IT_WAS},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=True,
    )
    return done.stdout
