"""The command ``consume``, killed at a moment of its own choice; to be called in a process of its own."""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from mlops_assets.cli.main import main
from mlops_assets.streaming import kafka
from mlops_assets.streaming.kafka import KafkaStream
from mlops_assets.streaming.stream import Message


def killed_before_commit(number: int, argv: Sequence[str]) -> None:
    """Run the command until it is about to commit for the so manieth time, and kill it there."""
    commit, left = KafkaStream.commit, number

    def counted(self: KafkaStream, outgoing: Any, read: Sequence[Message]) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        commit(self, outgoing, read)

    kafka._SESSION_MILLISECONDS = 6_000  # for so long who comes next has to wait
    KafkaStream.commit = counted  # type: ignore[method-assign]
    sys.argv = ["mlops-assets", *argv]
    main()
