"""Who acts: the user this process runs as, by the operating system's word, or whom a run is stamped with."""

import os
import pwd

USER_TAG = "mlops/user"
EMAIL_TAG = "mlops/user_email"


def os_user() -> str:
    """Return the name of the user this process runs as, or ``uid N`` for one without a name.

    It comes from the password database and not from ``USER`` or ``LOGNAME``, which say whatever their
    user wants.
    """
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a container's user need not have one
        return f"uid {uid}"
