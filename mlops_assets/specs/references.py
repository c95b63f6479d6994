"""``package.module:function`` references, and the digest of the code they lead to."""

import ast
import importlib
import importlib.util
import inspect
import re
import sysconfig
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator

from mlops_assets import digests
from mlops_assets.errors import SpecError, did_you_mean
from mlops_assets.version import __version__

_PLATFORM = "mlops_assets."
_MODELS = f"{_PLATFORM}defs."
_PATTERN = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_reference(text: str) -> bool:
    """Return whether ``text`` has the form ``package.module:function``."""
    return _PATTERN.fullmatch(text) is not None


def _well_formed(text: str) -> str:
    if not is_reference(text):
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
    function = inspect.unwrap(load_function(reference))
    try:
        file = inspect.getsourcefile(function)
    except TypeError:  # built in
        file = None
    if file is None:
        raise SpecError(f"{reference} has no source file")
    return Path(file)


def code_digest(reference: str) -> str:
    """Return one digest over all project code behind a function or class, and our own version.

    That is the module it stands in and every project module that one imports, directly or through
    others. Installed libraries are known by their versions instead.

    Args:
        reference: ``package.module:function`` or ``package.module.Class``.
    """
    files = {module: digests.of_bytes(found.code) for module, found in _project_modules(reference).items()}
    return digests.of_json({"mlops_assets": __version__, "files": files})


def project_code(reference: str) -> dict[str, bytes]:
    """Return the source of the code that :func:`code_digest` is the digest of.

    Returns:
        Source by its path below a folder from which it can be imported, such as ``team/train.py``.
    """
    return {found.path: found.code for found in _project_modules(reference).values()}


def project_files(reference: str) -> list[Path]:
    """Return the files of the code that :func:`code_digest` is the digest of."""
    return [found.file for found in _project_modules(reference).values()]


class _ProjectModule(NamedTuple):
    """A module's file, its path below a folder from which it can be imported, and its source."""

    file: Path
    path: str
    code: bytes


def _project_modules(reference: str) -> dict[str, _ProjectModule]:
    """Return each project module behind a reference, by the module's name."""
    module = reference.partition(":")[0] if ":" in reference else reference.rpartition(".")[0]
    found: dict[str, _ProjectModule] = {}
    _collect(module, found)
    return found


def is_installed(module: str) -> bool:
    """Return whether a module comes with Python or an installed distribution, and is not project code.

    A module that is not there counts as installed: it may be, where it is needed.
    """
    file = _file_of(module.partition(".")[0])
    if file is None:
        return True
    places = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    # By the folder's name, because an environment may look into those of others.
    named = {"site-packages", "dist-packages"} & set(file.parts)
    return bool(named) or any(file.is_relative_to(place) for place in places)


def is_platform(module: str) -> bool:
    """Return whether a module is our own, known by our version, and none of the models beside it."""
    return f"{module}.".startswith(_PLATFORM) and not f"{module}.".startswith(_MODELS)


def _collect(module: str, found: dict[str, _ProjectModule]) -> None:
    """Add a project module and the project modules it imports."""
    known = module in found or is_installed(module) or is_platform(module)
    file = None if known else _file_of(module)
    if file is None or file.suffix != ".py":
        return
    is_package = file.name == "__init__.py"
    code = file.read_bytes()
    path = module.replace(".", "/") + ("/__init__.py" if is_package else ".py")
    found[module] = _ProjectModule(file, path, code)
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                _collect(alias.name, found)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            _collect(base, found)
            for alias in node.names:  # a name imported from a package may be a module of it
                _collect(f"{base}.{alias.name}", found)


def _file_of(module: str) -> Path | None:
    """Return the file a module would be loaded from; for a package without one, its folder."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin in ("built-in", "frozen"):
        return None
    if spec.origin is None:
        return next((Path(folder) for folder in spec.submodule_search_locations or ()), None)
    return Path(spec.origin)


def _import(name: str, wanted: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise SpecError(f"{wanted}: cannot import {name}: {error}") from error
    except Exception as error:  # a team's module may fail in any way when imported
        raise SpecError(f"{wanted}: {name} fails on import: {type(error).__name__}: {error}") from error
