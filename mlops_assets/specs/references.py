"""``package.module:function`` references, and the digest of the code they lead to."""

import importlib
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

from pydantic import AfterValidator

from mlops_assets import digests
from mlops_assets.errors import SpecError, did_you_mean
from mlops_assets.version import __version__

_PATTERN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def _well_formed(text: str) -> str:
    if not _PATTERN.fullmatch(text):
        raise ValueError(f"{text!r} is not a reference; write package.module:function")
    return text


FunctionReference = Annotated[str, AfterValidator(_well_formed)]


def load_function(reference: str) -> Callable[..., Any]:
    """Return the function that ``package.module:function`` names.

    Raises:
        SpecError: The module does not import or has no such function.
    """
    module_name, _, name = reference.partition(":")
    module = _import(module_name, reference)
    found = getattr(module, name, None)
    if not callable(found):
        functions = [n for n, v in vars(module).items() if callable(v)]
        raise SpecError(f"{module_name} has no function {name!r}{did_you_mean(name, functions)}")
    function: Callable[..., Any] = found
    return function


def load_class(path: str) -> type[Any]:
    """Return the class that ``package.module.Class`` names.

    Raises:
        SpecError: The module does not import or has no such class.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise SpecError(f"{path!r} is not a class path; write package.module.Class")
    module = _import(module_name, path)
    found = getattr(module, name, None)
    if not inspect.isclass(found):
        classes = [n for n in dir(module) if inspect.isclass(getattr(module, n, None))]
        raise SpecError(f"{module_name} has no class {name!r}{did_you_mean(name, classes)}")
    return found


def source_of(reference: str) -> Path:
    """Return the file that holds a referenced function."""
    file = inspect.getsourcefile(load_function(reference))
    if file is None:
        raise SpecError(f"{reference} has no source file")
    return Path(file)


def code_digest(*references: str | None) -> str:
    """Return one digest over the source files of the given references, and of our own version."""
    files = {r: digests.of_file(source_of(r)) for r in references if r is not None}
    return digests.of_json({"mlops_assets": __version__, "files": files})


def _import(name: str, wanted: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SpecError(f"{wanted}: cannot import {name}: {error}") from error
