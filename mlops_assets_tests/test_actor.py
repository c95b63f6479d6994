"""Who acts is what the operating system says, not the environment."""

import os
import pwd
import subprocess
import sys

import pytest

from mlops_assets.actor import os_user


def test_the_environment_cannot_say_who_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "USERNAME", "LNAME"):
        monkeypatch.setenv(name, "somebody-else")
    assert os_user() == pwd.getpwuid(os.getuid()).pw_name != "somebody-else"


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become a user without a name")
def test_a_user_without_a_name_is_known_by_the_number() -> None:
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    uid = next(number for number in range(40_000, 60_000) if number not in taken)
    code = f"import os\nfrom mlops_assets.actor import os_user\nos.setuid({uid})\nprint(os_user())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"uid {uid}"
