"""What ends a command from outside: Ctrl-C and SIGTERM, as exceptions that let it clean up."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class TerminatedError(BaseException):
    """SIGTERM came."""


@contextmanager
def raising_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise TerminatedError inside the block, as SIGINT raises KeyboardInterrupt.

    So what writes files takes back what is half done. Other processes that begin inside, workers,
    end by the signal itself. Nothing changes in a thread that may set no handlers.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ours = os.getpid()

    def terminate(number: int, frame: Any) -> None:
        if os.getpid() == ours:
            raise TerminatedError
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
