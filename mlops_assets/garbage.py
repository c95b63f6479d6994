"""How a process that holds much collects garbage: seldom, and not in what stays.

Libraries and models make millions of objects that stay. To look through them all over again costs a lifecycle
a tenth of its time, and a gateway 40 to 70 ms in which all requests wait, even where pandas is not imported.
"""

import atexit
import gc


def collect_seldom(after: int) -> None:
    """Look for garbage less often than Python does by itself, and not at all at the end of the process.

    Args:
        after: How many more objects there are to be than at the last time; Python's own figure is 700.
    """
    gc.set_threshold(after)
    # To take apart what is here at the end, piece by piece, would take up to a second.
    atexit.register(gc.freeze)


def leave_out_what_is_here() -> None:
    """Never again look for garbage among the objects that there are now."""
    gc.collect()
    gc.freeze()
