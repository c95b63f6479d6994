"""Python imports this first in every process of the offline test: it writes down what leaves the process.

Each line of ``$AUDIT_LOG`` is an event of Python's audit hooks: a connection, a name to resolve, a file
opened for writing, a program started.
"""

import json
import os
import sys
from typing import Any

_NAMES = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo")
_ADDRESSES = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND

_log = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    told: Any = None
    if event in _NAMES:
        told = arguments[0]
    elif event in _ADDRESSES:
        told = arguments[1]
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        told = arguments[0]
    elif event == "subprocess.Popen":
        told = arguments[1]
    elif event == "sqlite3.connect":
        told = arguments[0]
    else:
        return
    os.write(_log, json.dumps([event, told], default=str).encode() + b"\n")


sys.addaudithook(_hook)
