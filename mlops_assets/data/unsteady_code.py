"""What a feature function must not hang on: what is another thing where the model serves, and tomorrow.

A feature is to be the same number for the same row in training, in the gateway, and a year later. Code that
asks the clock, its environment, a file or chance gives another one without a word, as long as nobody
compares. So it is looked for where it is written. What hides behind further calls is not found.
"""

import ast
from collections.abc import Iterator

_CLOCK, _PLACE, _PROCESS = "the clock", "the environment it runs in", "the process it runs in"
_FILE, _CHANCE = "a file that does not travel with the model", "chance"
_CODE, _SERVICE = "code that does not travel with the model", "what somebody else says"
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
    **dict.fromkeys(
        (
            *("open", "io.open", "os.open", "os.listdir", "os.scandir", "os.walk", "os.stat", "joblib.load"),
            *(f"os.path.{name}" for name in ("exists", "isfile", "isdir", "getmtime", "getsize")),
            *(f"numpy.{name}" for name in ("load", "loadtxt", "genfromtxt", "fromfile", "memmap")),
        ),
        _FILE,
    ),
    **dict.fromkeys(("uuid.uuid4", "os.urandom"), _CHANCE),
    **dict.fromkeys(("__import__", "eval", "exec", "compile"), _CODE),
    **dict.fromkeys(("os.system", "os.popen"), _SERVICE),
}
_KNOWN_BEGINNINGS = {
    **dict.fromkeys(("pandas.read_", "pathlib.Path", "glob.", "sqlite3."), _FILE),
    **dict.fromkeys(("random.", "numpy.random.", "secrets."), _CHANCE),
    **dict.fromkeys(("importlib.", "runpy."), _CODE),
    **dict.fromkeys(("urllib.request.", "requests.", "httpx.", "http.client.", "subprocess."), _SERVICE),
}
_SEEDED = ("numpy.random.default_rng", "numpy.random.RandomState", "random.Random")
# They read these words as the present.
_TIMES = (
    "pandas.Timestamp",
    "pandas.to_datetime",
    "pandas.Period",
    "pandas.DatetimeIndex",
    "numpy.datetime64",
)
_NOW = ("now", "today")


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
    asked_now = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call) and _says_now(node)}
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
        if what is None and meant in _TIMES and id(node) in asked_now:
            what = _CLOCK
        if what is not None:
            found.append((node.lineno, written, what))
    yield from sorted(found)


def _says_now(call: ast.Call) -> bool:
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    words = (inner.value for each in given for inner in ast.walk(each) if isinstance(inner, ast.Constant))
    return any(isinstance(word, str) and word.strip().lower() in _NOW for word in words)


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
