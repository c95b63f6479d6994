"""How a process that answers requests collects garbage: seldom, and not in what stays.

A full collection looks at every object there is while all requests wait: 40 to 70 ms where pandas is not
even imported. What a gateway holds when it becomes ready stays nearly all as long as it runs, so it is taken
out of what is looked at; what requests leave behind is little, and most of it is freed without a collection.
"""

import atexit
import gc

# Python's 700 are reached every few requests, each of which holds thousands of numbers for a moment.
_NEW_OBJECTS = 10_000


def collect_seldom() -> None:
    """Look for garbage less often than Python does by itself, and not at all at the end of the process."""
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    # What is here at the end stays for good; to look through it would take most of a second.
    atexit.register(gc.freeze)


def leave_out_what_is_here() -> None:
    """Never again look for garbage among the objects that there are now."""
    gc.collect()
    gc.freeze()
