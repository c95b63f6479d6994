"""What a feature function must not hang on: what is another thing where the model serves, and tomorrow.

A feature is to be the same number for the same row in training, in the gateway, and a year later. Code that
asks the clock, its environment, a file or chance gives another one without a word, as long as nobody
compares. So it is looked for where it is written. What hides behind further calls is not found.
"""

import ast
from collections.abc import Iterator

_CLOCK, _PLACE, _PROCESS = "the clock", "the environment it runs in", "the process it runs in"
_FILE, _CHANCE = "a file that does not travel with the model", "chance"
_KNOWN = {
    **dict.fromkeys(
        (
            *(f"datetime.datetime.{name}" for name in ("now", "utcnow", "today")),
            "datetime.date.today",
            *(f"pandas.Timestamp.{name}" for name in ("now", "utcnow", "today")),
            *(f"time.{name}" for name in ("time", "time_ns", "monotonic", "localtime", "gmtime")),
        ),
        _CLOCK,
    ),
    **dict.fromkeys(("os.environ", "os.getenv", "os.getcwd", "socket.gethostname", "platform.node"), _PLACE),
    # Text is hashed with a seed of the process' own, and addresses are its own.
    **dict.fromkeys(("hash", "id"), _PROCESS),
    **dict.fromkeys(("open", "numpy.load", "numpy.loadtxt", "numpy.genfromtxt"), _FILE),
    **dict.fromkeys(("uuid.uuid4", "os.urandom"), _CHANCE),
}
_KNOWN_BEGINNINGS = {"pandas.read_": _FILE, "random.": _CHANCE, "numpy.random.": _CHANCE, "secrets.": _CHANCE}
_SEEDED = ("numpy.random.default_rng", "numpy.random.RandomState", "random.Random")


def unsteady_calls(code: str) -> Iterator[tuple[int, str, str]]:
    """Yield line, name as it is written, and what it hangs on, in the order of the lines.

    Args:
        code: Source of a Python module that compiles.
    """
    tree = ast.parse(code)
    names = _imported(tree)
    own = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    own |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    own |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    seeded = {
        id(node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and (node.args or node.keywords)
    }
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Name | ast.Attribute):
            continue
        written = _dotted(node)
        first, dot, rest = written.partition(".")
        if first in own:
            continue
        meant = names.get(first, first) + dot + rest
        what = _KNOWN.get(meant)
        if what is None and not (meant in _SEEDED and id(node) in seeded):
            what = next((w for start, w in _KNOWN_BEGINNINGS.items() if meant.startswith(start)), None)
        if what is not None:
            found.append((node.lineno, written, what))
    yield from sorted(found)


def _imported(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _dotted(node: ast.expr) -> str:
    """Return a name as it is written, ``pd.Timestamp.now``; empty for what is none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""
